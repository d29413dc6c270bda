"""Training in the child process: revisions in, a gated model version into the study."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.fingerprint import Fingerprint, fingerprint
from napari_apprentice.core.plan import Plan, derive_plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example, ModelVersion, labels_taught
from napari_apprentice.errors import Cancelled, GpuLostError, InputError, ModelError, RunError, StudyError
from napari_apprentice.learn.device import choose_device, describe, gpu_errors, identity
from napari_apprentice.learn.heads import adapt, with_labels
from napari_apprentice.learn.ranks import Ranks, joined
from napari_apprentice.learn.trainer import FitResult, fit
from napari_apprentice.loop.begun import Begun, nothing_to_learn
from napari_apprentice.loop.candidate import Candidate
from napari_apprentice.loop.channel_order import ordered, readable
from napari_apprentice.loop.leakage import doubt
from napari_apprentice.loop.run_record import record, versions
from napari_apprentice.loop.unfit import clause, damage, left_out_notes, oversized, unfit
from napari_apprentice.loop.worker_collect import Sides, collecting
from napari_apprentice.loop.worker_conclude import conclude
from napari_apprentice.loop.worker_gate import DAMAGED, damage_of_active, not_compared, steps_of
from napari_apprentice.store.curves_file import with_curves
from napari_apprentice.store.device_turn import DeviceTurn
from napari_apprentice.store.runs import CHECKPOINT, RunFolder
from napari_apprentice.store.study import Study


def train(run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
    """Train a first model version, or fine-tune the base of the active one, then put it through the gate.

    The result names the new model version and says whether it became active and why. Of several processes that
    train together all but the first only compute, and return nothing.

    Raises
    ------
    RunError
        The GPU fails this process, among others.
    """
    try:
        with gpu_errors():
            return (yield from _trained(run))
    except GpuLostError as error:  # that is for predictions, which are begun anew by whoever asked
        again = "Resume the run once the GPU works again, if need be after a restart of the computer."
        raise RunError(f"{error} {again}") from error


def _trained(run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
    settings = TrainSettings.from_json(run.request["settings"])
    ranks = joined(settings.device)
    if not ranks.first:
        yield from _Work(run, settings, ranks).helped()
        return {}
    device = choose_device(settings.device)
    turn = DeviceTurn(identity(device))
    try:
        for other in turn.wait(run.cancelled):
            busy = f"Waiting for {describe(device)}: another training run (process {other.pid}) is computing there"
            yield Progress(0, settings.steps, busy)
        yield Progress(0, settings.steps, "Reading corrections")
        return (yield from _Work(run, settings, ranks).done())
    finally:
        turn.end()


class _Work:
    """What a training run has to go by: found out at its first start, read again at every later one."""

    def __init__(self, run: RunFolder, settings: TrainSettings, ranks: Ranks) -> None:
        self._run, self._settings, self._ranks = run, settings, ranks
        self._study = study = Study.open(run.study_path)
        self._base = base = study.models.info(run.request["base"]) if run.request["base"] else None
        self._learned = frozenset(base.revisions) if base else frozenset()
        self._measured = frozenset(base.held_out) if base else frozenset()
        self._out = run.path / "weights.safetensors"
        self._damage = ""  # of the active model version
        self._channels: tuple[str, ...] = ()
        self._made: dict[str, Any] = {}
        self._left_out: dict[str, str] = {}
        self._notes: list[str] = []
        self._read_notes: tuple[str, ...] = ()  # of the first start, on how channels are read; told at every one

    def done(self) -> Generator[Progress, None, dict[str, Any]]:
        """Train, and let the gate decide."""
        yield from self._gathered()
        facts = self._facts()
        self._run.note(facts)
        self._ranks.wait()  # from here on the others know what all go by
        work = self._fitted()
        result = yield from (with_curves(work, self._run.path / "tensorboard") if self._settings.tensorboard else work)
        self._ranks.leave()
        first = self._active() is None
        good = how_good(result.dice, self._held_out, self._examples) if first else ()
        notes = [*self._notes, *result.notes, *good]
        self._run.note({**facts, "settled": {"settings": result.settings.to_json(), "notes": notes}})
        taught = [e for e in self._examples if e.revision not in result.left_out]
        made = Candidate(
            self._base, self._start, self._plan, self._out, taught, self._held_out, self._channels, result.dice
        )
        verdict = yield from conclude(self._run, self._study, made, result.settings)
        return {**verdict, "steps": result.steps, "seconds": result.seconds, "history": _history(result),
                "notes": notes, "left_out": list(result.left_out)}  # fmt: skip

    def _facts(self) -> dict[str, Any]:
        """What is written down: once resumed still that of the first start, but for scans that broke since."""
        used = (self._examples, self._held_out)
        new = {"channels": list(self._channels), "notes": list(self._read_notes)}
        made = self._made or {**record(self._study, self._plan, self._base, used, self._settings), **new}
        kept = [r for r in made["revisions"] if r["revision"] not in self._left_out]
        return {**made, "revisions": kept, "left_out": self._left_out}

    def helped(self) -> Generator[Progress, None, None]:
        """Train along with the first process, by what that has written down."""
        self._ranks.wait()
        begun = Begun.of(self._run)
        assert begun is not None  # the first one has written it; for the type checker
        self._go_by(begun.plan, begun.channels, *(yield from self._collected(begun)))
        yield from self._fitted()
        self._ranks.leave()

    def _gathered(self) -> Generator[Progress, None, None]:
        """Find out what to go by, and leave out what cannot be used, all of it before the first step."""
        if self._base:
            self._study.models.sound_weights(self._base.name)
        self._damage = damage_of_active(self._study, self._base)
        compared = dict.fromkeys((self._base.name if self._base else None, self._active()))
        steps_of(self._study)  # the gate needs them after the last step
        begun = Begun.of(self._run)
        if begun is None or not (yield from self._taken_up(begun)):
            yield from self._begin()
        yield from self._look_at_held_out()
        self._notes += left_out_notes(self._left_out)
        self._notes += filter(None, [doubt(self._study, compared, self._held_out), self._not_compared()])
        for note in self._notes:
            yield Progress(0, self._settings.steps, note)

    def _taken_up(self, begun: Begun) -> Generator[Progress, None, bool]:
        """Go by what the run began with, if all of that is still there."""
        try:
            self._go_by(begun.plan, begun.channels, *(yield from self._collected(begun)))
        except (InputError, StudyError) as error:
            self._notes.append(f"This run cannot go on as it began. {error}")
            return False
        self._made, self._left_out = self._run.record()["made"], dict(begun.left_out)
        self._notes += filter(None, [*begun.notes, begun.missed(self._study), begun.moved(versions())])
        return True

    def _collected(
        self, begun: Begun | None = None, left_out: dict[str, str] | None = None
    ) -> Generator[Progress, None, Sides]:
        cancelled = self._run.cancelled if self._ranks.first else lambda: False
        return (yield from collecting(self._study, self._learned, begun, left_out, self._measured, cancelled))

    def _begin(self) -> Generator[Progress, None, None]:
        """Take the newest revisions of the study, as far as they fit."""
        base, study, left_out = self._base, self._study, self._left_out
        active = self._active()
        sides = yield from self._collected(left_out=left_out)
        read = readable(*sides, base, study.models.info(active) if active else None)
        self._read_notes = tuple(read.notes)
        self._notes += read.notes
        left_out |= read.left_out
        every = (*read.examples, *read.held_out)
        fixed = base.plan.labels if base and not base.plan.labels_can_change else None
        left_out |= {e.revision: why for e in read.examples if (why := unfit(e, fixed))}
        left_out |= {e.revision: why for e in read.held_out if (why := unfit(e))}
        prints = [] if base else _fingerprints(self._left(read.examples), left_out)
        _refuse_empty(self._left(read.examples), self._left(read.held_out), base, left_out)
        plan = _plan_of(base, study) if base else plan_for(prints, study, self._run)
        left_out |= {e.revision: why for e in self._left(every) if (why := oversized(e, plan))}
        examples, held_out = self._left(read.examples), self._left(read.held_out)
        _refuse_empty(examples, held_out, base, left_out)
        self._go_by(plan, read.channels, examples, held_out)

    def _left(self, side: Iterable[Example]) -> list[Example]:
        return [e for e in side if e.revision not in self._left_out]

    def _go_by(self, plan: Plan, channels: tuple[str, ...], examples: list[Example], held_out: list[Example]) -> None:
        self._plan, self._channels = plan, channels
        self._examples, self._held_out = ([ordered(e, channels) for e in side] for side in (examples, held_out))
        base, first = self._base, self._ranks.first
        self._start = _start(self._run, self._study, base, plan, write=first) if base else None

    def _look_at_held_out(self) -> Generator[Progress, None, None]:
        """Read held-out scans once: most are not read again before the gate, which comes after all steps."""
        for number, example in enumerate(self._held_out, 1):
            if self._run.cancelled():
                raise Cancelled("Training was cancelled before its first step.")
            text = f"Looking at held-out scan {number} of {len(self._held_out)}"
            yield Progress(0, self._settings.steps, text)
            # a source of its own, which does not stay in memory with what it has read
            why = damage(self._study.cases.source(example.revision.partition("/")[0]))
            if why:
                self._left_out[example.revision] = why
        self._held_out = [e for e in self._held_out if e.revision not in self._left_out]

    def _active(self) -> str | None:
        """The active model version, where there is one to compare with."""
        return None if self._damage else self._study.models.active()

    def _not_compared(self) -> str:
        if self._damage:
            why = DAMAGED.format(self._study.models.active())
            return f"{self._damage} The new model version will be kept as a candidate, to be activated by name: {why}."
        active = self._active()
        why = not_compared(self._plan, self._study.models.info(active)) if active else ""
        return f"The new model version will be kept as a candidate: {why}." if why else ""

    def _fitted(self) -> Generator[Progress, None, FitResult]:
        """Train; the new weights lie in the run's folder.

        The first process alone asks whether it is cancelled: if another one left by itself, all would wait for it.
        """
        cancelled = self._run.cancelled if self._ranks.first else lambda: False
        known = self._base.plan.labels if self._base else self._plan.labels
        added = [label for label in self._plan.labels if label not in known]
        return (
            yield from fit(
                self._plan, self._examples, self._held_out, self._settings, self._start, self._out,
                self._run.path / CHECKPOINT, cancelled, added, self._ranks, spills=not self._study.encrypted,
                veil=self._study.veil(),
            )
        )  # fmt: skip


def _plan_of(base: ModelVersion, study: Study) -> Plan:
    """The base's plan, for the study's labels of now, where its network can be given others."""
    return with_labels(base.plan, study.schema.ids) if base.plan.labels_can_change else base.plan


def _start(run: RunFolder, study: Study, base: ModelVersion, plan: Plan, *, write: bool) -> Path:
    """The base's weights; for other labels than the base's, a copy fitted to them."""
    source = study.models.weights(base.name)
    if plan.labels == base.plan.labels:
        return source
    fitted = run.path / "base.safetensors"
    if write:
        adapt(base.plan, source, plan, fitted)
    return fitted


def _refuse_empty(
    examples: Sequence[Example], held_out: Sequence[Example], base: ModelVersion | None, left_out: Mapping[str, str]
) -> None:
    if _fresh(examples):
        return
    what = nothing_to_learn(first=base is None)
    notes = left_out_notes(left_out)
    subjects = dict.fromkeys(e.subject for e in _fresh(held_out))
    if subjects:
        why = (
            f"{what}: what was corrected is of {', '.join(subjects)}, on the validation side, which is measured on and "
            "not learned from. Correct and save a scan of somebody on the train side, or move a subject there."
        )
        raise ModelError(" ".join((why, *notes)))
    if notes:
        raise ModelError(f"{what} that this run could use. {' '.join(notes)}")
    raise ModelError(f"{what}: correct a scan, accept what is right and save it first.")


def _fresh(examples: Sequence[Example]) -> list[Example]:
    return [e for e in examples if not e.replay and e.status.any()]


def _fingerprints(examples: Sequence[Example], left_out: dict[str, str]) -> list[Fingerprint]:
    """Of every example whose scan can be read; the others are put into `left_out`, with what is wrong."""
    prints = []
    for example in examples:
        try:
            prints.append(fingerprint(example))
        except StudyError as error:
            left_out[example.revision] = clause(error)
    return prints


def plan_for(prints: Sequence[Fingerprint], study: Study, run: RunFolder) -> Plan:
    """A plan from the data, in nnU-Net's manner."""
    return derive_plan(
        prints, study.schema, memory_mb=float(run.request["memory_mb"]), features=int(run.request["features"])
    )


def how_good(dice: float | None, held_out: Sequence[Example], examples: Iterable[Example]) -> Iterator[str]:
    """A sentence on a first model version, which there is nothing to compare with.

    Parameters
    ----------
    dice
        Mean over the held-out examples; None where there was no time to measure, or no label to measure.
    examples
        What it was taught.
    """
    if not held_out:
        yield "No corrected scan is held out yet, so nothing says how good it is."
    elif dice is not None:
        yield f"Mean Dice on held-out corrections: {dice:.3f}."
    elif not labels_taught(examples, frozenset[int]().union(*(e.labels_shown() for e in held_out))):
        yield "The held-out corrections have no label that was taught, so nothing says how good it is."


def _history(result: FitResult) -> list[list[float | None]]:
    return [list(row) for row in result.history]
