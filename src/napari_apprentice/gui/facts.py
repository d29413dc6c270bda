"""What the panels show of a study, read in a worker thread: a study of 500 cases is 1500 small files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.ranking import QueueItem
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.work import Job, Runner
from napari_apprentice.loop.launch import is_silent, silent_error
from napari_apprentice.session import CaseRow, ModelRow, Session
from napari_apprentice.store.presence import Present
from napari_apprentice.store.runs import RunFolder

SETTLE_MS = 30  # facts that change together are read once


@dataclass(frozen=True)
class Facts:
    """A study as it was a moment ago; all empty when none is open."""

    path: Path | None = None
    title: str = ""
    schema: LabelSchema | None = None
    rows: tuple[CaseRow, ...] = ()
    queue: tuple[QueueItem, ...] = ()
    models: tuple[ModelRow, ...] = ()
    previous: str | None = None
    running: RunFolder | None = None
    resumable: RunFolder | None = None
    outgrown: bool = False
    """The study has a label that the active model version does not know."""
    silent: str = ""
    """Why the resumable run, of another computer that is not heard of any more, is not simply gone on with."""
    untunable: str = ""
    """What is damaged or gone, so that the active model version cannot be fine-tuned."""
    learned: str = ""
    """That the newest training run has learned from all there is, where another one would only do it over."""

    @property
    def active(self) -> str | None:
        """Name of the active model version."""
        return next((m.name for m in self.models if m.active), None)

    @property
    def training(self) -> str:
        """The kind of training run that is offered: "train", from nothing, where a "fine-tune" has nothing to go by."""
        return "fine-tune" if self.active and not self.outgrown and not self.untunable else "train"

    def row(self, case_id: str) -> CaseRow | None:
        """One line of the case table."""
        return next((r for r in self.rows if r.case_id == case_id), None)


def read_facts(session: Session) -> Facts:
    """Read everything anew; touches the disk."""
    if not session.has_study:
        return Facts()
    study, resumable = session.study, session.resumable_training()
    study.refresh()
    rows = session.case_rows()
    facts = Facts(
        study.path, study.title, study.schema, rows, session.queue(rows), session.models(),
        session.previous_model(), session.running_training(), resumable,
        _outgrown(session), str(silent_error(resumable)) if resumable and is_silent(resumable) else "",
        session.untunable(),
    )  # fmt: skip
    return replace(facts, learned=_learned(session, facts.training))


def _facts_or_error(session: Session) -> Facts | ApprenticeError:
    try:
        return read_facts(session)
    except ApprenticeError as error:
        return error


def _outgrown(session: Session) -> bool:
    """Whether the active model version lacks a label and cannot be given it by a fine-tune."""
    active = session.study.models.active()
    if active is None:
        return False
    try:
        plan = session.model(active).plan
    except ApprenticeError:  # it is damaged or gone, as the list of model versions says: another is to be chosen
        return False
    return not plan.labels_can_change and not set(session.study.schema.ids) <= set(plan.labels)


def _learned(session: Session, kind: str) -> str:
    try:
        return session.already_learned(kind)
    except ApprenticeError:  # a damaged model version is told where it is asked to train
        return ""


class FactsReader(QObject):
    """Keeps the newest facts and announces them.

    Parameters
    ----------
    session, bridge, runner
        Whose facts, who says that they changed, who reads them.
    """

    changed = Signal(object)

    def __init__(self, session: Session, bridge: Bridge, runner: Runner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.now = Facts()
        self._session = session
        self._runner = runner
        self._generation = 0
        self._told = ""
        self._reading: Job | None = None
        self._again = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.timeout.connect(self._read)
        bridge.study_changed.connect(self._forget_reading)
        for signal in (bridge.study_changed, bridge.cases_changed, bridge.models_changed):
            signal.connect(self.refresh)

    def refresh(self) -> None:
        """Read again soon; a reading under way is out of date."""
        self._generation += 1
        self._timer.start()

    def refresh_after_stroke(self) -> None:
        """Read again soon, but show what is being read: strokes come faster than a large study is read."""
        if self._reading is None:
            self.refresh()
        else:
            self._again = True

    def take_present(self, study: Path, present: Mapping[str, tuple[Present, ...]]) -> None:
        """Who else has which case of a study open, where nothing else is to be read anew."""
        rows = tuple(replace(row, others=present.get(row.case_id, ())) for row in self.now.rows)
        if study == self.now.path and rows != self.now.rows:
            self.now = replace(self.now, rows=rows)
            self.changed.emit(self.now)

    def close(self) -> None:
        """Read no more."""
        self._timer.stop()

    def _read(self) -> None:
        if self._reading is not None:  # several at once only keep each other from the disk
            self._again = True
            return
        generation, self._again = self._generation, False
        job = self._runner.run("Reading the study", lambda: _facts_or_error(self._session), quiet=True)
        self._reading = job
        job.returned.connect(lambda facts: self._show(facts, generation))
        job.ended.connect(lambda: self._ended(job))

    def _ended(self, job: Job) -> None:
        if job is not self._reading:
            return
        self._reading = None
        if self._again:
            self.refresh()

    def _forget_reading(self) -> None:
        """What is still read of another study, on a disk that may not answer, is not waited for."""
        self._reading = None

    def _show(self, facts: Facts | ApprenticeError, generation: int) -> None:
        if generation != self._generation:
            return  # a later reading is on its way
        if isinstance(facts, ApprenticeError):
            # While a share is gone every stroke leads to another reading; one sentence is enough.
            if str(facts) != self._told:
                self._told = str(facts)
                self._runner.tell(facts)
            return
        self._told = ""
        self.now = facts
        self.changed.emit(facts)
