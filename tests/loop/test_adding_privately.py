"""DICOM by the door that people use: nothing of a person may come through it into a study."""

from pathlib import Path

import pytest

from builders import study
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.loop.adding import add_scans
from spilling import OWN_DATE, OWN_UID, SECRET, marked_series, spilled


@pytest.mark.parametrize("hide_names", [False, True])
def test_a_folder_of_dicom_leaves_no_identifier_in_the_study(tmp_path: Path, hide_names: bool):
    folder = tmp_path / f"{SECRET}_Jane"
    marked_series(folder / f"{SECRET}-1" / f"{SECRET}-2")
    made = study(tmp_path, cases=0)
    work = add_scans(made, [folder], settings=ReadSettings(hide_names=hide_names))
    try:
        while True:
            next(work)
    except StopIteration as end:
        report = end.value
    assert len(report.added) == 1
    assert not report.refused
    assert spilled(made.path, (SECRET, OWN_DATE, OWN_UID)) == []
    info = made.cases.info(report.added[0])
    assert info.subject.startswith("sub-")
    assert not any(SECRET in w for w in report.warnings)
