"""What was accepted and not saved is what it was, however the prediction that it was accepted on is taken away."""

import errno
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import SHAPE
from builders import study as make_study
from faults import sentences
from loop.test_unseen import BOX, activate, paint, predict
from napari_apprentice.errors import StorageError
from napari_apprentice.loop.correcting import save_correction
from napari_apprentice.loop.opening import OpenCase, load_case
from napari_apprentice.store.check import check
from napari_apprentice.store.journal import FILE
from napari_apprentice.store.repair import repair
from napari_apprentice.store.rescue import Rescues
from napari_apprentice.store.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Predicted as label 1, slices 2 and 3 accepted, a box of them painted as label 2; nothing is saved."""
    made = make_study(tmp_path / "made")
    activate(made, "v0001")
    predict(made, 1)
    case = load_case(made, "c1")
    accept(case)
    case.leave()
    return made


def accept(case: OpenCase) -> None:
    case.accept_slice(0, 2)
    case.accept_slice(0, 3)
    paint(case, 2, BOX)


def is_as_accepted(case: OpenCase) -> None:
    rest = np.ones(SHAPE, bool)
    rest[BOX] = False
    rest[[0, 1, 4, 5]] = False
    assert (case.canvas.labels[BOX] == 2).all()
    assert (case.canvas.status[BOX] == 2).all()
    assert (case.canvas.labels[rest] == 1).all()
    assert (case.canvas.status[rest] == 1).all()


@pytest.fixture
def killed(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The study as a kill leaves it before and after each rename beside the prediction, while it is made anew twice."""
    place, taken = study.cases.folder("c1") / "predictions", []
    real = os.rename

    def snapshot() -> None:
        taken.append(tmp_path / f"{len(taken)}.study")
        shutil.copytree(study.path, taken[-1])

    def rename(source: Path, target: Path) -> None:
        beside = Path(source).parent == place and Path(source).is_dir()
        if beside:
            snapshot()
        real(source, target)
        if beside:
            snapshot()

    monkeypatch.setattr(os, "fsync", lambda _: None)  # a copy asks for no durability
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        predict(study, 2)
        predict(study, 0)
    return taken


def test_a_kill_at_any_instant_of_an_exchange_leaves_what_was_accepted(killed: list[Path]) -> None:
    assert len(killed) == 8, "two exchanges of two renames each"
    for path in killed:
        found = Study.open(path)
        case = load_case(found, "c1")
        is_as_accepted(case)
        assert case.notes == ()
        assert sentences(check(path)) == ()
        predict(found, 0)  # on whatever was left there, once more
        is_as_accepted(load_case(found, "c1"))


def take_away(study: Study, how: str) -> None:
    folder = study.cases.folder("c1") / "predictions" / "v0001"
    if how == "by hand":
        shutil.rmtree(folder)
        return
    chunk = next(p for p in (folder / "uncertainty" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-3])
    if how == "by repair":
        assert sentences(repair(study.path))
    else:
        predict(study, 2)  # as the sentence about a damaged prediction tells people


@pytest.mark.parametrize("how", ["by hand", "by repair", "by predicting anew"])
@pytest.mark.parametrize("again", [None, 2])
def test_what_was_accepted_on_a_prediction_that_is_gone_is_unseen_and_told(
    study: Study, how: str, again: int | None
) -> None:
    take_away(study, how)
    if again is not None:
        predict(study, again)
    faults = sentences(check(study.path))
    assert len(faults) == 1
    assert "148 voxels that were accepted as it had them" in faults[0]
    case = load_case(study, "c1")
    assert len(case.notes) == 1
    assert "148 voxels that were accepted as it had them are unseen again" in case.notes[0]
    assert (case.canvas.labels[BOX] == 2).all()
    assert (case.canvas.status[BOX] == 2).all()  # a person drew that
    assert np.count_nonzero(case.canvas.status) == case.canvas.status[BOX].size
    case.accept_slice(0, 3)
    case.leave()
    kept = load_case(study, "c1")  # and now it is known what was accepted
    np.testing.assert_array_equal(kept.canvas.status[3], case.canvas.status[3])
    np.testing.assert_array_equal(kept.canvas.labels[3], case.canvas.labels[3])
    revision, _ = save_correction(study, kept, "ann")
    assert revision.voxels_accepted == np.count_nonzero(kept.canvas.status == 1)
    assert load_case(study, "c1").notes == ()


def test_strokes_that_only_this_computer_has_know_what_they_were_drawn_on(study: Study, tmp_path: Path) -> None:
    rescues = Rescues(tmp_path / "rescue")
    content = study.journal.read("c1")
    assert content is not None
    rescues.begin(
        study.path, "c1", None, "v0001", "ann", list(content.strokes), study.vault, study.study_id, "", content.base
    ).release()
    study.journal.close("c1")
    predict(study, 2)  # nothing in the study says that it is needed
    case = load_case(study, "c1", rescues)
    assert any("148 voxels that were accepted" in note for note in case.notes)
    assert np.count_nonzero(case.canvas.status) == case.canvas.status[BOX].size
    case.leave()


def test_a_journal_that_cannot_be_read_for_now_keeps_what_it_was_drawn_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(study, 2)
    real = io.open

    def refuse(place: Any, *rest: Any, **named: Any) -> Any:
        if place == study.journal.root / "c1" / FILE:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(place, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", refuse)
        with pytest.raises(StorageError):
            predict(study, 0)
    is_as_accepted(load_case(study, "c1"))


def test_journals_of_earlier_versions_open_on_the_prediction_that_was_kept_for_them(study: Study) -> None:
    content = study.journal.read("c1")
    assert content is not None
    strokes = [content.strokes[i] for i in range(len(content.strokes))]
    study.journal.close("c1")
    study.journal.start("c1", None, "v0001", strokes)  # without a digest
    is_as_accepted(load_case(study, "c1"))
    predict(study, 2)
    is_as_accepted(load_case(study, "c1"))
    shutil.rmtree(next((study.cases.folder("c1") / "predictions").glob(".*.kept")))
    shutil.rmtree(study.cases.folder("c1") / "predictions" / "v0001")
    assert "148 voxels" in load_case(study, "c1").notes[0]
