"""Two people who add scans to one study at once."""

from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE, study, write_nifti
from faults import finish
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.loop import adding
from napari_apprentice.loop.adding import AddReport, add_scans, add_volume
from napari_apprentice.store.study import Study


def _files(folder: Path, seeds: tuple[int, ...]) -> list[Path]:
    folder.mkdir()
    voxels = {n: np.random.default_rng(n).integers(-50, 200, SHAPE).astype(np.int16) for n in seeds}
    return [write_nifti(folder / f"person{n}.nii", v) for n, v in voxels.items()]


def _believed(made: Study, *reports: AddReport) -> None:
    """Six scans of six people and one that both have: each is in the study once, of a person of its own."""
    assert made.cases.ids() == tuple(f"case-{n:04}" for n in range(1, 8))
    assert len({made.cases.info(c).subject for c in made.cases.ids()}) == 7
    assert sum(len(r.added) for r in reports) == 7
    assert sum(len(r.already) for r in reports) == sum(len(r.refused) for r in reports) == 1


def test_numbers_in_place_of_names_are_given_once_while_two_are_adding(tmp_path: Path) -> None:
    made, hidden = study(tmp_path, cases=0), ReadSettings(hide_names=True)
    works = {
        who: add_scans(Study.open(made.path), _files(tmp_path / who, seeds), settings=hidden)
        for who, seeds in (("a", (1, 2, 3, 9)), ("b", (4, 5, 6, 9)))
    }
    reports: list[AddReport] = []
    while works:
        for who in list(works):
            try:
                next(works[who])
            except StopIteration as end:
                reports.append(end.value)
                del works[who]
    _believed(made, *reports)


def test_a_number_that_somebody_takes_while_a_scan_is_written_is_left_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, hidden = study(tmp_path, cases=0), ReadSettings(hide_names=True)
    files, theirs = _files(tmp_path / "a", (9, 1, 2, 3)), _files(tmp_path / "b", (9, 4, 5, 6))
    reports: list[AddReport] = []

    def while_written(*args: object, **kwargs: object) -> str:
        monkeypatch.setattr(adding, "add_volume", add_volume)
        reports.append(finish(add_scans(Study.open(made.path), theirs, settings=hidden)))
        return add_volume(*args, **kwargs)

    monkeypatch.setattr(adding, "add_volume", while_written)
    reports.append(finish(add_scans(made, files, settings=hidden)))
    _believed(made, *reports)
