"""DICOM by the door that people use: nothing of a person may come through it into a study, or into another person."""

from pathlib import Path

import pytest

from builders import study
from dicom_builder import random_voxels, write_series
from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.loop.adding import AddReport, add_scans
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase
from napari_apprentice.store.study import Study
from spilling import OWN_DATE, OWN_UID, SECRET, marked_series, spilled


def add(made: Study, folder: Path | Found, **settings: object) -> AddReport:
    collect = AddSettings(per=settings.pop("per", "series"))
    work = add_scans(
        made, [folder] if isinstance(folder, Path) else folder, settings=ReadSettings(**settings), collect=collect
    )
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("hide_names", [False, True])
def test_a_folder_of_dicom_leaves_no_identifier_in_the_study(tmp_path: Path, hide_names: bool):
    folder = tmp_path / f"{SECRET}_Jane"
    marked_series(folder / f"{SECRET}-1" / f"{SECRET}-2")
    made = study(tmp_path, cases=0)
    report = add(made, folder, hide_names=hide_names)
    assert len(report.added) == 1
    assert not report.refused
    assert spilled(made.path, (SECRET, OWN_DATE, OWN_UID)) == []
    info = made.cases.info(report.added[0])
    assert info.subject.startswith("sub-")
    assert not any(SECRET in w for w in report.warnings)


def test_persons_who_share_a_series_uid_become_cases_of_their_own(tmp_path: Path):
    voxels = random_voxels((6, 6, 7))
    folder = tmp_path / "mixed"
    write_series(folder, voxels[:3])
    write_series(folder, voxels[3:], origin=(-10, -20, 12.5), prefix="B", PatientID="P-2")
    made = study(tmp_path, cases=0)
    assert "of 2 persons" in add(made, folder).questions[0].text
    report = add(made, folder, series="all")
    assert len({made.cases.info(c).subject for c in report.added}) == len(report.added) == 2


@pytest.mark.parametrize(
    ("other", "said"), [({"PatientID": "P-2"}, "2 persons"), ({"StudyInstanceUID": "1.9"}, "2 st")]
)
def test_series_of_two_persons_or_studies_are_no_channels_of_one_case(tmp_path: Path, other: dict, said: str):
    folder = tmp_path / "mixed"
    write_series(folder, random_voxels((3, 6, 7)))
    write_series(folder, random_voxels((3, 6, 7), seed=1), prefix="B", SeriesInstanceUID="1.7", SeriesNumber=8, **other)
    made = study(tmp_path, cases=0)
    report = add(made, folder, per="study")
    assert not report.added
    assert said in report.refused[0][1]


def test_channels_that_a_person_puts_together_may_have_two_ids(tmp_path: Path):
    one = write_series(tmp_path / "ct", random_voxels((3, 6, 7)))
    other = write_series(tmp_path / "pt", random_voxels((3, 6, 7), seed=1), PatientID="P-2", SeriesInstanceUID="1.7")
    case = FoundCase("c", "", (ChannelFile("CT", one), ChannelFile("PT", other)))
    report = add(study(tmp_path, cases=0), Found("files", (case,)))
    assert len(report.added) == 1
    assert any("seem to be of 2 persons" in w for w in report.warnings)
