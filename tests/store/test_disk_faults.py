"""Every call that changes a disk fails in turn: nothing stored is lost, a person is told, and it works afterwards."""

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import SHAPE, volume
from builders import study as make_study
from faults import Disk, finish
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Prediction
from napari_apprentice.errors import ApprenticeError, StorageError
from napari_apprentice.session import Session
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.check import check
from napari_apprentice.store.recent import RecentStudies
from napari_apprentice.store.study import Study
from sound_study import sound_study

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs to know what a descriptor leads to")
BOX, OTHER = (slice(0, 2), slice(0, 3), slice(1, 4)), (slice(3, 5), slice(4, 6), slice(5, 9))
Facts = dict[str, Any]


@dataclass
class Desk:
    """A session with the sound study open."""

    session: Session
    told: list[str]

    @classmethod
    def at(cls, path: Path, case_id: str | None = None) -> "Desk":
        session, told = Session("Ada", RecentStudies(path.parent / "home")), []
        session.events.went_wrong.connect(lambda error: told.append(str(error)))
        session.open_study(path)
        if case_id is not None:
            session.show_case(session.load_case(case_id))
        return cls(session, told)

    @property
    def study(self) -> Study:
        return self.session.study

    def paint(self, box: tuple[slice, slice, slice], label: int) -> None:
        canvas = self.session.case.canvas
        before = canvas.labels[box].copy()
        canvas.labels[box] = label
        self.session.record(box, before, canvas.labels[box].copy())
        self.session.case.settle()


def facts(path: Path) -> Facts:
    """Everything that a study holds, by a name for each."""
    study = Study.open(path)
    found: Facts = {"title": (study.title, study.schema), "sides": tuple(study.split.sides().items())}
    found |= {f"model {n}": study.models.info(n).weights_digest for n in study.models.names()}
    found["activations"] = study.models.activations()
    found |= {f"run {r}": study.runs.open(r).request for r in study.runs.ids()}
    for case_id in study.cases.ids():
        found[case_id] = digest(study.cases.voxels(case_id))
        for name in study.revisions.names(case_id):
            found[f"{case_id}/{name}"] = (
                study.revisions.info(case_id, name),
                digest(*study.revisions.read(case_id, name)),
            )
        for model in study.predictions.models(case_id):
            found[f"{case_id} by {model}"] = digest(study.predictions.read(case_id, model).labels)
    return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Case c3 was corrected once and has no strokes; c4 is as it was added."""
    path = sound_study(tmp_path_factory.mktemp("template") / "t.study")
    study = Study.open(path)
    for number in (3, 4):
        study.cases.add(f"c{number}", f"s{number}", volume(number, f"c{number}.nii.gz"))
    desk = Desk.at(path, "c3")
    desk.paint(BOX, 1)
    desk.session.save()
    desk.session.close()
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "t.study"))


# ------------------------------------------------------------------ verbs that write something

PREDICTION = Prediction(np.full(SHAPE, 2, np.uint8), np.zeros(SHAPE, np.uint8), {2: 0.5}, 0.1, "by hand")


def _model(desk: Desk) -> None:
    weights = desk.study.path.with_name("weights")
    weights.write_bytes(b"other bytes" * 20)
    version = replace(desk.study.models.info("v0001"), name="v0002", parent="v0001")
    desk.study.models.register(version, weights)


VERBS: dict[str, Callable[[Desk], object]] = {
    "scan": lambda desk: desk.session.add_volume(volume(9, "c9.nii.gz"), "c9", "s9"),
    "prediction": lambda desk: desk.study.predictions.write("c4", "v0001", PREDICTION),
    "prediction anew": lambda desk: desk.study.predictions.write("c1", "v0001", PREDICTION),
    "model version": _model,
    "activation": lambda desk: desk.study.models.activate("v0001", "once more"),
    "side": lambda desk: desk.study.split.assign("s4"),
    "move": lambda desk: desk.study.split.move("s1", "validation", "so that it fails"),
    "labels": lambda desk: finish(desk.session.set_labels(LabelSchema.from_names(["one", "two", "three"]))),
    "run": lambda desk: desk.study.runs.create("train", {"steps": 5}),
}


FAILING = pytest.mark.parametrize(
    ("code", "once"), [(errno.ENOSPC, False), (errno.EIO, True)], ids=["full", "one I/O error"]
)
# The n-th call fails, for n = 1, 1 + stride ...; every single one in the slow tests.
STRIDE = pytest.mark.parametrize("stride", [12, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "every"])


@STRIDE
@FAILING
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_done_or_told_and_leaves_nothing_behind(
    path: Path, template: Path, verb: str, code: int, once: bool, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, number, failed = facts(path), 1 - stride, True
    while failed:
        number += stride
        told, failed = fails_at(path, VERBS[verb], number, code, once, monkeypatch)
        after = facts(path)
        assert finish(check(path)) == ()
        if told:
            assert after == before, f"call {number}: {told}"
            assert told.endswith("."), told
            assert any(word in told for word in ("disk", "reached", "stored")), told
            continue
        assert {k for k in before if after.get(k) != before[k]} <= CHANGED.get(verb, set())
        assert after != before
        path = Path(shutil.copytree(template, path.with_name(f"{number}.study")))
    assert number > stride, "nothing failed"


CHANGED = {
    "prediction anew": {"c1 by v0001"}, "activation": {"activations"}, "side": {"sides"}, "move": {"sides"},
    "labels": {"title"},
}  # fmt: skip


def fails_at(
    path: Path, verb: Callable[[Desk], object], number: int, code: int, once: bool, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, bool]:
    """Let a verb meet a disk that fails at a call; what is told, and whether there was such a call."""
    desk = Desk.at(path)
    with monkeypatch.context() as patch:
        disk = Disk(patch, path, code)
        disk.fail(number, once=once)
        try:
            verb(desk)
        except ApprenticeError as error:
            told = str(error)
        else:
            told = ""
        finally:
            disk.heal()
    desk.session.close()
    return told, bool(disk.failed)


# ------------------------------------------------------------------------------ strokes and saving


def draws_and_saves(desk: Desk) -> None:
    """Three strokes and one taken back; then a revision, if it can be stored."""
    desk.paint(BOX, 2)
    desk.paint(OTHER, 1)
    desk.paint(OTHER, 2)
    desk.session.undo()
    desk.session.case.settle()
    try:
        desk.session.save()
    except StorageError as error:
        desk.told.append(str(error))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One case that nobody has corrected."""
    return make_study(tmp_path_factory.mktemp("small")).path


@STRIDE
@FAILING
@pytest.mark.parametrize("everywhere", [False, True], ids=["the study's disk", "every disk"])
def test_strokes_are_told_kept_and_saved_once_when_there_is_room(
    small: Path, tmp_path: Path, everywhere: bool, code: int, once: bool, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, failed = 1 - stride, True
    while failed:
        number += stride
        path = Path(shutil.copytree(small, tmp_path / str(number) / "t.study"))
        desk, notices = Desk.at(path, "c1"), []
        desk.session.events.noticed.connect(notices.append)
        canvas = desk.session.case.canvas
        with monkeypatch.context() as patch:
            disk = Disk(patch, path.parent if everywhere else path, code)
            disk.fail(number, once=once)
            draws_and_saves(desk)
            failed = bool(disk.failed)
            disk.heal()
            if desk.session.case.unsaved:
                assert desk.told, f"call {number} failed, and nobody was told"
                desk.session.flush()
                assert len(desk.study.journal.read("c1").strokes) == 4
                desk.session.save()
        assert desk.study.revisions.names("c1") == ("r0001",), f"call {number}: saved once"
        assert "in the meantime" not in " ".join(notices), f"call {number}: nobody else saved"
        labels, status = desk.study.revisions.read("c1", "r0001")
        assert (labels[BOX] == 2).all()
        assert (labels[OTHER] == 1).all()
        assert np.array_equal(status, canvas.status)
        assert desk.study.split.side("s1") == "train"
        desk.session.close()
        assert finish(check(path)) == ()
        again = Desk.at(path, "c1")
        assert again.session.case.unsaved == 0
        assert digest(again.session.case.canvas.labels) == digest(labels)
        again.session.close()
        shutil.rmtree(path.parent)
    assert number > stride, "nothing failed"


@STRIDE
@FAILING
def test_strokes_are_there_when_the_program_was_closed_meanwhile(
    small: Path, tmp_path: Path, code: int, once: bool, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, failed = 1 - stride, True
    while failed:
        number += stride
        path = Path(shutil.copytree(small, tmp_path / str(number) / "t.study"))
        desk = Desk.at(path, "c1")
        with monkeypatch.context() as patch:
            disk = Disk(patch, path, code)
            disk.fail(number, once=once)
            draws_and_saves(desk)
            failed, saved = bool(disk.failed), not desk.session.case.unsaved
            desk.session.close()
            disk.heal()
        assert finish(check(path)) == ()
        again = Desk.at(path, "c1")
        canvas = again.session.case.canvas
        assert (canvas.labels[BOX] == 2).all()
        assert (canvas.labels[OTHER] == 1).all()
        assert again.session.case.unsaved == (0 if saved else 4)
        again.session.undo()
        assert (canvas.labels[OTHER] == 0).all(), f"call {number}: undo goes on where it was"
        again.session.close()
        shutil.rmtree(path.parent)
    assert number > stride, "nothing failed"
