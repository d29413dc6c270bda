"""Two people, one study, anything in any order: strokes, undo, saves, crashes, a disk that fails.

Hypothesis makes up the story, tests/believed.py says in plain numpy what must be found. `APPRENTICE_EXAMPLES=2000`
tells many more stories than the default run.
"""

import functools
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from believed import Box, Moment, State, Work, accepted, key, painted
from faults import finish
from napari_apprentice.core.correction import whole
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.records import ModelVersion, Prediction, Revision
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.loop.shown import canvas_on
from napari_apprentice.session import Session
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.check import check
from napari_apprentice.store.journal import FILE, Journal
from napari_apprentice.store.recent import RecentStudies
from napari_apprentice.store.repair import repair
from napari_apprentice.store.rescue import Rescues
from napari_apprentice.store.study import Study

EXAMPLES = int(os.environ.get("APPRENTICE_EXAMPLES", "25"))
STEPS = int(os.environ.get("APPRENTICE_STEPS", "30"))
SHAPE = (2, 3, 4)  # (z, y, x)
CASES, MODELS = ("c1", "c2"), ("v0001", "v0002")
WHO = st.sampled_from(("Ada", "Bo"))
CASE = st.sampled_from(CASES)
Works = list[Work]


class KilledError(BaseException):
    """The process ends here."""


@functools.cache
def template() -> Path:
    """A fresh study to copy."""
    study = Study.create(Path(tempfile.mkdtemp(prefix="apprentice-story-")) / "t.study", LabelSchema.from_names("ab"))
    z, y, x = SHAPE
    for number, case_id in enumerate(CASES):
        geometry = Geometry.from_source((x, y, z), np.diag([1.0, 1.0, 3.0, 1.0]))
        voxels = np.random.default_rng(number).integers(0, 9, (1, *SHAPE)).astype(np.int16)
        study.cases.add(case_id, f"s{number}", Volume(voxels, geometry, ("CT",), f"{case_id}.nii.gz", "0" * 64))
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), ((1, 1, 1),), ((3, 3, 3),), (4,), 2, (Normalisation("zscore"),), (1, 2))
    weights = study.path.with_name("weights")
    weights.write_bytes(b"never read")
    for name in MODELS:
        study.models.register(
            ModelVersion(name, None, "2026-01-01", plan, study.schema, (), (), None, {}, 0, {}, ""), weights
        )
    study.models.activate(MODELS[0], "the first one")
    return study.path


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    edges = [sorted((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1)))) for n in SHAPE]
    z, y, x = (slice(a, b + 1) for a, b in edges)
    return z, y, x


class Story(RuleBasedStateMachine):
    """`live` is who works on what now; `lost` is work whose window is gone and that no revision has."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="apprentice-story-"))
        self.path = self.folder / "t.study"
        shutil.copytree(template(), self.path)
        self.study = Study.open(self.path)
        self.sessions: dict[str, Session] = {}
        self.notices: dict[str, list[str]] = {}
        self.live: dict[str, Work] = {}
        self.lost: dict[str, Works] = {case_id: [] for case_id in CASES}
        self.revisions: dict[str, list[tuple[Revision, State]]] = {case_id: [] for case_id in CASES}
        self.ways: dict[tuple[str, int], Moment] = {}  # that a revision stored, with the way back behind it
        self.predicted: dict[tuple[str, str], np.ndarray] = {}
        self.active = MODELS[0]
        self.patch = pytest.MonkeyPatch()

    # ------------------------------------------------------------- the world

    @rule(case_id=CASE, model=st.sampled_from(MODELS), seed=st.integers(0, 9))
    def predict(self, case_id: str, model: str, seed: int) -> None:
        labels = np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)
        prediction = Prediction(labels, np.zeros(SHAPE, np.uint8), {1: 0.5}, 0.0, "by hand")
        self.study.predictions.write(case_id, model, prediction)
        self.predicted[case_id, model] = labels

    @rule(model=st.sampled_from(MODELS))
    def activate(self, model: str) -> None:
        self.study.models.activate(model, "so the story goes")
        self.active = model

    @rule(broken=st.booleans())
    def the_journals_cannot_be_written(self, broken: bool) -> None:
        self.settle()
        self.patch.undo()
        if broken:
            for verb in ("start", "append"):
                self.patch.setattr(Journal, verb, _full)

    @rule()
    def repaired(self) -> None:
        self.settle()
        finish(repair(self.path))

    @rule()
    def checked(self) -> None:
        self.settle()
        assert finish(check(self.path)) == ()

    # -------------------------------------------------------------- a person

    @rule(who=WHO, case_id=CASE)
    def opens(self, who: str, case_id: str) -> None:
        session, mine = self.session(who), self.live.pop(who, None)
        shown, told = session.case, len(self.notices[who])
        before = self.base(case_id)
        if mine is not None:
            self.leaves_behind(mine)
        session.show_case(session.load_case(case_id))
        session.case.settle()
        _wait_until_seen(session)
        if mine is not None and session.case is shown:  # it is left for nobody while the study lacks strokes of it
            self.lost[case_id].remove(mine)
            self.live[who] = mine
            return
        if self.find_revisions(case_id):
            assert "in the meantime" in " ".join(self.notices[who][told:])
        self.live[who] = self.found(session.case, before)
        self.acknowledged(who)

    @rule(who=WHO, box=boxes(), label=st.integers(0, 2), waits=st.booleans())
    def paints(self, who: str, box: Box, label: int, waits: bool) -> None:
        if (case := self.case(who)) is None:
            return
        before = case.canvas.labels[box].copy()
        case.canvas.labels[box] = label  # as a paint tool does
        self.sessions[who].record(box, before, case.canvas.labels[box].copy())
        self.steps(who, lambda m: m.drawn(painted(m.now, box, label)), waits)

    @rule(who=WHO, strokes=st.lists(st.tuples(boxes(), st.integers(0, 2)), min_size=2, max_size=4), waits=st.booleans())
    def paints_faster_than_the_disk(self, who: str, strokes: list[tuple[Box, int]], waits: bool) -> None:
        """What comes while the disk is busy is written together."""
        if (case := self.case(who)) is None:
            return
        case.settle()
        with case._writer._state:  # its thread waits meanwhile
            for box, label in strokes:
                self.paints(who, box, label, waits=False)
        if waits:
            self.acknowledged(who)

    @rule(who=WHO, axis=st.integers(0, 2), waits=st.booleans())
    def accepts_a_slice(self, who: str, axis: int, waits: bool) -> None:
        if self.case(who) is None:
            return
        self.sessions[who].accept_slice(axis, 1)
        box = list(whole(SHAPE))
        box[axis] = slice(1, 2)
        self.steps(who, lambda m: m.drawn(accepted(m.now, (box[0], box[1], box[2]))), waits)

    @rule(who=WHO, waits=st.booleans())
    def accepts_the_scan(self, who: str, waits: bool) -> None:
        if self.case(who) is None:
            return
        self.sessions[who].accept_scan()
        self.steps(who, lambda m: m.drawn(accepted(m.now, whole(SHAPE))), waits)

    @rule(who=WHO, times=st.integers(1, 3), waits=st.booleans())
    def undoes(self, who: str, times: int, waits: bool) -> None:
        for _ in range(times if self.case(who) else 0):
            self.sessions[who].undo()
            self.steps(who, Moment.undo, waits)
            self.look(who)

    @rule(who=WHO, times=st.integers(1, 3), waits=st.booleans())
    def redoes(self, who: str, times: int, waits: bool) -> None:
        for _ in range(times if self.case(who) else 0):
            self.sessions[who].redo()
            self.steps(who, Moment.redo, waits)
            self.look(who)

    @rule(who=WHO, pick=st.randoms(use_true_random=False), waits=st.booleans())
    def goes_back_to_a_revision(self, who: str, pick: random.Random, waits: bool) -> None:
        if self.case(who) is None or not self.revisions[self.live[who].case_id]:
            return
        info, state = pick.choice(self.revisions[self.live[who].case_id])
        self.sessions[who].revert_to_revision(info.name)
        self.steps(who, lambda m: m.drawn(state), waits)

    @rule(who=WHO, waits=st.booleans())
    def goes_back_to_the_prediction(self, who: str, waits: bool) -> None:
        case = self.case(who)
        if case is None or (labels := self.predicted.get((case.info.case_id, self.active))) is None:
            return
        self.sessions[who].revert_to_prediction()
        self.steps(who, lambda m: m.drawn((labels, np.zeros(SHAPE, np.uint8))), waits)

    @rule(who=WHO)
    def saves(self, who: str) -> None:
        if (case := self.case(who)) is None:
            return
        work, told = self.live[who], len(self.notices[who])
        newest = len(self.revisions[work.case_id])
        state = case.canvas.labels.copy(), case.canvas.status.copy()
        name = self.sessions[who].save().name
        (found,) = self.find_revisions(work.case_id)
        assert (found.name, found.digest) == (name, digest(*state))
        assert _number(found.provenance.parent) == work.now.parent
        assert found.provenance.author == who
        assert found.provenance.strokes == len(work.now.since)
        conflict = "in the meantime" in " ".join(self.notices[who][told:])
        assert conflict == (work.now.parent != newest), "a conflict is announced, and nothing else"
        work.go(lambda m: m.saved(newest + 1))
        self.acknowledged(who)

    @rule(who=WHO)
    def is_killed_after_a_revision_was_stored(self, who: str) -> None:
        if (case := self.case(who)) is None:
            return
        self.settle()
        case.saved_as = _kill  # type: ignore[method-assign]
        with pytest.raises(KilledError):
            self.sessions[who].save()
        self.find_revisions(self.live[who].case_id)
        del self.live[who]
        self.gone(who)

    @rule(who=WHO, case_id=CASE, pick=st.randoms(use_true_random=False))
    def restores(self, who: str, case_id: str, pick: random.Random) -> None:
        if not self.revisions[case_id]:
            return
        self.settle()
        session, mine = self.session(who), self.live.get(who)
        info, _ = pick.choice(self.revisions[case_id])
        try:
            session.restore_revision(case_id, info.name)
        except InputError:
            others = [w for w in (*self.live.values(), *self.lost[case_id]) if w.case_id == case_id and w.now.since]
            assert others or info.name == self.revisions[case_id][-1][0].name
            return
        found = self.find_revisions(case_id)
        assert any(r.digest == info.digest and r.provenance.parent == info.name for r in found)
        if mine is not None and mine.case_id == case_id:
            assert not mine.now.since
            _wait_until_seen(session)
            self.live[who] = self.found(session.case, self.base(case_id))
            self.acknowledged(who)

    @rule(who=WHO)
    def closes(self, who: str) -> None:
        session = self.sessions.pop(who, None)
        if session is not None:
            session.close()
            with suppress(KeyError):
                self.leaves_behind(self.live.pop(who))

    @rule(who=WHO, share=st.floats(0, 1))
    def is_killed(self, who: str, share: float) -> None:
        """As if the plug was pulled: what was not acknowledged may be there, or half of it, or not."""
        if (case := self.case(who)) is None:
            return
        work = self.live.pop(who)
        case.settle()
        file = self.study.journal.root / work.case_id / FILE
        if self.owns(who) and not case.rescued and file.is_file():
            end = work.size + round(share * (file.stat().st_size - work.size))
            if work.size:
                os.truncate(file, end)
            elif share < 0.5:
                file.unlink()
        self.lost[work.case_id].append(work)
        self.gone(who)

    # ----------------------------------------------------- what must be true

    @invariant()
    def the_canvas_is_what_was_drawn(self) -> None:
        for who, work in getattr(self, "live", {}).items():
            case = self.sessions[who].case
            assert key((case.canvas.labels, case.canvas.status)) == key(work.now.now)
            assert case.unsaved == len(work.now.since)

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        for case_id, works in getattr(self, "lost", {}).items():
            if works:
                self.settle()
                there = set(self.kept(case_id))
                for work in works:
                    assert any(key(m.now) in there for m in work.trail), f"work on {case_id} is gone"

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            self.patch.undo()
            for who in list(self.sessions):
                self.closes(who)
            self.everything_comes_back()
            for case_id in CASES:
                assert not self.find_revisions(case_id)
                for info, (labels, status) in self.revisions[case_id]:
                    assert self.study.revisions.info(case_id, info.name) == info
                    assert digest(*self.study.revisions.read(case_id, info.name)) == digest(labels, status)
            assert finish(check(self.path)) == ()
        finally:
            for who in list(self.sessions):
                self.gone(who)
            shutil.rmtree(self.folder, ignore_errors=True)

    def everything_comes_back(self) -> None:
        """Opened and saved until nothing waits: then every piece of work was shown or is a revision."""
        for case_id in CASES:
            for _ in range(2 + len(self.lost[case_id])):
                self.opens("Ada", case_id)
                if self.live["Ada"].now.since:
                    self.saves("Ada")
                self.closes("Ada")
            assert self.lost[case_id] == []
            assert self.study.journal.read(case_id) is None
            assert self.study.cases.ids() == CASES

    # --------------------------------------------------------------- helpers

    def session(self, who: str) -> Session:
        if who not in self.sessions:
            session, told = Session(who, RecentStudies(self.folder / "home")), []
            session.events.noticed.connect(told.append)
            session.open_study(self.path)
            self.sessions[who], self.notices[who] = session, told
        return self.sessions[who]

    def case(self, who: str) -> OpenCase | None:
        return self.sessions[who].case if who in self.live else None

    def settle(self) -> None:
        for session in self.sessions.values():
            if session.case is not None:
                assert session.case.settle()

    def owns(self, who: str) -> bool:
        return bool(self.sessions[who].case._writer._started)

    def steps(self, who: str, step: Any, waits: bool) -> None:
        if self.live[who].go(step) and waits:
            self.sessions[who].case.settle()
            self.acknowledged(who)

    def acknowledged(self, who: str) -> None:
        case, work = self.sessions[who].case, self.live[who]
        assert case.settle()
        assert case.unwritten == 0
        file = self.study.journal.root / work.case_id / FILE
        work.acknowledge(file.stat().st_size if self.owns(who) and file.is_file() else 0)

    def gone(self, who: str) -> None:
        """The process ends: locks and the sign of its presence go with it."""
        session = self.sessions.pop(who)
        if session.case is not None:
            session.case.settle()
            rescued = session.case._writer._rescued
            if rescued is not None:
                rescued.release()
        session._presence.leave(10)

    def leaves_behind(self, work: Work) -> None:
        work.acknowledge(0)
        if work.now.since:
            self.lost[work.case_id].append(work)

    def base(self, case_id: str) -> Moment:
        """What the case shows that nobody has drawn on since its newest revision."""
        stored = self.revisions[case_id]
        labels, status = stored[-1][1] if stored else (np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8))
        prediction = self.predicted.get((case_id, self.active))
        shown = labels if prediction is None else np.where(status == 0, prediction, labels)
        return self.reopened(case_id, Moment((shown, status), len(stored)))

    def reopened(self, case_id: str, moment: Moment) -> Moment:
        """With the way back as it is found again: from the strokes since the revision and those that led to it."""
        kept, since, number = self.study.journal.archives(case_id), moment.since, moment.parent
        # A journal that a kill left in place gets its revision's name when the case is opened by somebody alone.
        while (way := self.ways.get((case_id, number))) and (not way.since or f"r{number:04d}" in kept):
            since, number = (*way.since, *since), way.parent
        return replace(moment.walked(since), since=moment.since)

    def look(self, who: str) -> None:
        """What is unseen is as the program shows it: strokes taken back bring no old prediction back."""
        work, canvas = self.live[who], self.sessions[who].case.canvas
        assert key((canvas.labels, canvas.status)) == key(work.now.now)
        work.trail[-1] = _as_shown(work.now, (canvas.labels.copy(), canvas.status.copy()))

    def found(self, case: OpenCase, before: Moment) -> Work:
        """Whose work a case shows that was just opened; it is no longer lost."""
        case_id, state = case.info.case_id, (case.canvas.labels.copy(), case.canvas.status.copy())
        lost, others = self.lost[case_id], [w for w in self.live.values() if w.case_id == case_id]
        self.lost[case_id] = [w for w in lost if not any(self.in_one(w, m) for m in w.trail)]
        for work in self.lost[case_id]:
            for moment in work.trail:
                if moment.since and moment.facts == (key(state), case.unsaved):
                    self.lost[case_id].remove(work)
                    return Work(case_id, [self.reopened(case_id, _as_shown(moment, state))])
        bases = (self.base(case_id), before)
        assert any(np.array_equal(state, base.now) for base in bases)
        assert case.unsaved == 0
        certain = [w for w in self.lost[case_id] if w.trail[0].since]
        assert others or not certain, "what was acknowledged is shown"
        if not others:
            self.lost[case_id] = []  # nothing of them was acknowledged, and nothing is there
        return Work(case_id, [next(b for b in bases if b.parent == _number(case.parent))])

    def in_one(self, work: Work, moment: Moment) -> bool:
        return bool(moment.since) and any(_led_to(moment, *found) for found in self.revisions[work.case_id])

    def find_revisions(self, case_id: str) -> list[Revision]:
        """Those that the story did not know of; their numbers follow one another, and those before are there."""
        names = self.study.revisions.names(case_id)
        assert names == tuple(f"r{n:04d}" for n in range(1, len(names) + 1))
        assert len(names) >= len(self.revisions[case_id])
        new = names[len(self.revisions[case_id]) :]
        for name in new:
            state = self.study.revisions.read(case_id, name)
            info = self.study.revisions.info(case_id, name)
            self.revisions[case_id].append((info, state))
            for work in (*self.lost[case_id], *(w for w in self.live.values() if w.case_id == case_id)):
                for moment in work.trail:
                    if _led_to(moment, info, state):
                        self.ways[case_id, _number(name)] = moment
        return [info for info, _ in self.revisions[case_id][len(names) - len(new) :]]

    def kept(self, case_id: str) -> Iterator[bytes]:
        """Every state of a case that something on a disk leads to."""
        yield from (key(state) for _, state in self.revisions[case_id])
        yield key(self.base(case_id).now)
        content = self.study.journal.read(case_id)
        trails = [(content.parent, content.model, content.strokes)] if content else []
        rescues = Rescues(self.folder / "home" / "rescue")
        for journal in rescues.take(self.path, case_id, self.study.vault, self.study.study_id):
            trails.append((journal.parent, journal.model, journal.strokes))
            journal.release()
        for parent, model, strokes in trails:
            canvas = canvas_on(self.study, self.study.cases.info(case_id), parent, model)
            yield key((canvas.labels, canvas.status))
            for stroke in strokes:
                canvas.apply(stroke)
                yield key((canvas.labels, canvas.status))


def _as_shown(moment: Moment, state: State) -> Moment:
    """The moment with what is unseen as the program shows it."""
    return Moment(state, moment.parent, moment.since, moment.done, moment.undone)


def _led_to(moment: Moment, info: Revision, state: State) -> bool:
    """Whether a revision was stored at a moment, out of its strokes."""
    made = info.provenance
    return (
        made.origin != "restore" and key(state) == key(moment.now)
        and (_number(made.parent), made.strokes) == (moment.parent, len(moment.since))
    )  # fmt: skip


def _number(name: str | None) -> int:
    return int(name[1:]) if name else 0


def _full(*_: object, **__: object) -> None:
    raise StorageError("The disk is full, so the story goes.")


def _kill(*_: object) -> None:
    raise KilledError


def _wait_until_seen(session: Session) -> None:
    """Until others can see that a case is open here, once."""
    folder = session.study.journal.root / session.case.info.case_id
    for _ in range(2000):
        if len({path.name for path in folder.glob("open-*.json")} & session._presence._names) == 1:
            return
        time.sleep(0.001)


def test_any_story_ends_well() -> None:
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
