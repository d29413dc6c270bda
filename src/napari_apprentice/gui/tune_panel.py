"""Fine-tune: train on what was corrected, watch it, and see whether it is better."""

from dataclasses import replace

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel

from napari_apprentice.core.config import LENGTHS, TrainSettings, first_model_settings
from napari_apprentice.core.progress import Progress
from napari_apprentice.gui.curves import Curves
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.gate_table import GateTable
from napari_apprentice.gui.model_exchange import ModelExchange
from napari_apprentice.gui.model_list import ModelList
from napari_apprentice.gui.model_viewing import ModelViewing
from napari_apprentice.gui.panel import Panel, button, note
from napari_apprentice.gui.section import Section
from napari_apprentice.gui.settings_form import SettingsForm
from napari_apprentice.gui.status_line import time_left
from napari_apprentice.gui.work import Job
from napari_apprentice.loop.tuning import TuneReport

FAR = "How far the training run is."


class TunePanel(Panel):
    """One click, curves while it runs, a verdict at the end."""

    train_requested = Signal(object)
    cancel_requested = Signal()
    resume_requested = Signal()
    activate_requested = Signal(str)
    back_requested = Signal()
    details_requested = Signal(str)

    def _build(self) -> None:
        self._first: bool | None = None
        self.fine_tune = button(
            "Fine-tune on corrections", "Make a new model version that has learned from the saved corrections."
        )
        self.fine_tune.setMinimumHeight(32)
        self.fine_tune.setStyleSheet("font-weight: bold")
        self.train_first = button(
            "Train first model", "Train a model version from nothing, on all saved corrections of this study."
        )
        self.preset = QComboBox()
        self.preset.addItems(list(LENGTHS))
        self.preset.setMinimumContentsLength(8)  # the dock stays narrow; the list is as wide as its texts
        self.preset.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.preset.setPlaceholderText("as in Advanced settings")
        self.preset.setToolTip(
            "How long to train; longer is usually better, up to a point. Auto takes 100 steps per corrected case, at "
            "least 250 and at most 2000."
        )
        self.form = SettingsForm(TrainSettings(steps=0))
        self.advanced = Section("Advanced settings", self.form.native, "The recipe of the training run.", False)
        self.step = note("", FAR)
        self.cancel = button("Cancel", "Stop after the current step; the checkpoint is kept.")
        self.resume = button("Resume", "Go on with the cancelled training run from its checkpoint.")
        self.curves = Curves()
        self.verdict = note("", "Whether the new model version is better, and so active.")
        self.table = GateTable(narrow=True)
        self.details = button(
            "Pictures and details ...", "See what changed, and decide otherwise where you know better."
        )
        self.viewing = ModelViewing(self.desk, self)
        self._tuned: TuneReport | None = None
        self.models = ModelList()
        self.exchange = ModelExchange(self.desk)
        self._lay_out()
        self._connect()
        self.curves.hide()
        self.table.hide()
        self.details.hide()
        self._show(self.desk.facts.now)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        label = QLabel("Length")
        label.setToolTip(self.preset.toolTip())
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.preset, 0, 1)
        grid.setColumnStretch(1, 1)
        control = QHBoxLayout()
        control.addWidget(self.step, 1)
        control.addWidget(self.resume)
        control.addWidget(self.cancel)
        self._box.addLayout(grid)
        self._box.addWidget(self.fine_tune)
        self._box.addWidget(self.train_first)
        self._box.addWidget(self.advanced)
        self._box.addLayout(control)
        self._box.addWidget(self.curves)
        self._box.addWidget(self.verdict)
        self._box.addWidget(self.table)
        self._box.addWidget(self.details)
        self._box.addWidget(self.models)
        self._box.addWidget(self.exchange)

    def _connect(self) -> None:
        models = self.desk.models
        self.fine_tune.clicked.connect(self._ask)
        self.train_first.clicked.connect(self._ask)
        self.preset.currentIndexChanged.connect(self._on_preset)
        self.form.on_change(self._on_form)
        self.cancel.clicked.connect(self.cancel_requested)
        self.resume.clicked.connect(self.resume_requested)
        self.models.activated.connect(self.activate_requested)
        self.models.back_requested.connect(self.back_requested)
        self.models.details_requested.connect(self.details_requested)
        self.details.clicked.connect(self._ask_details)
        self.models.selected.connect(self.exchange.choose)
        self.train_requested.connect(models.train)
        self.cancel_requested.connect(models.cancel_training)
        self.resume_requested.connect(models.resume)
        self.activate_requested.connect(self.viewing.choose)
        self.back_requested.connect(models.go_back)
        self.details_requested.connect(self.viewing.open)
        models.training_began.connect(self._on_began)
        models.training_ended.connect(self._refresh)
        models.tuned.connect(self._on_tuned)
        self.desk.facts.changed.connect(self._show)
        self.desk.bridge.study_changed.connect(self._forget)

    def _on_preset(self, index: int) -> None:
        if index >= 0:
            steps, minutes = list(LENGTHS.values())[index]
            self.form.set("minutes", minutes)
            self.form.set("steps", steps)

    def _on_form(self) -> None:
        lengths = list(LENGTHS.values())
        minutes = self.form.get("minutes")
        now = (0 if minutes else self.form.get("steps"), minutes)
        with QSignalBlocker(self.preset):  # it shows what the form has, and is not to be asked about it
            self.preset.setCurrentIndex(lengths.index(now) if now in lengths else -1)

    def _ask(self) -> None:
        self.desk.runner.attempt(lambda: self.train_requested.emit(self.form.value()))

    def _ask_details(self) -> None:
        if self._tuned is not None:
            self.details_requested.emit(self._tuned.model)

    # ------------------------------------------------------------- showing

    def _refresh(self) -> None:
        self._show(self.desk.facts.now)

    def _show(self, facts: Facts) -> None:
        first = facts.training == "train"
        if first != self._first:
            self._first = first
            steps, minutes = self.form.get("steps"), self.form.get("minutes")
            recipe = first_model_settings(steps) if first else TrainSettings(steps=steps)
            self.form.show(replace(recipe, minutes=minutes))
        running = self.desk.models.training is not None
        learnable = any(row.revisions for row in facts.rows)
        self.fine_tune.setEnabled(not running and not first and learnable)
        self.train_first.setVisible(first and facts.path is not None)
        anew = "Train anew" if facts.models else "Train first model"
        self.train_first.setText("Train anew, with the new labels" if facts.outgrown and not facts.untunable else anew)
        self.train_first.setEnabled(not running and learnable)
        self.cancel.setVisible(running)
        self.resume.setVisible(not running and facts.resumable is not None and not facts.silent)
        if not running:
            self.step.setText(_why_not(facts, learnable))
        self.step.setToolTip(_in_full(self.step.text(), facts))
        self.step.setVisible(bool(self.step.text()))
        if self._tuned is not None:
            self.verdict.setText("<br>".join(_told(self._tuned, facts)))
        self.models.show_models(facts)
        self.models.setVisible(bool(facts.models))
        self.exchange.show_facts(facts)

    def _on_began(self, job: Job) -> None:
        self._tuned = None
        self.curves.clear()
        self.curves.show()
        self.verdict.setText("")
        self.verdict.hide()
        self.table.hide()
        self.details.hide()
        self.step.setText("Starting the training process: its libraries are loaded first, which takes some seconds ...")
        job.progressed.connect(self._on_progress)
        self._refresh()

    def _on_progress(self, reports: tuple[Progress, ...]) -> None:
        self.curves.add(reports)
        last = reports[-1]
        count = f" ({last.done} of {last.total})" if last.total and " of " not in last.text else ""
        self.step.setText(f"{last.text}{count}{time_left(last)}")

    def _on_tuned(self, report: TuneReport) -> None:
        self._tuned = report
        self.verdict.setText("<br>".join(_told(report, self.desk.facts.now)))
        self.verdict.show()
        self.table.show_report(report.gate, self.desk.session.study.schema)
        self.details.show()

    def _forget(self) -> None:
        self._tuned = None
        self.details.hide()
        self.verdict.hide()
        self.table.hide()
        self.curves.hide()


def _told(report: TuneReport, facts: Facts) -> tuple[str, ...]:
    """The verdict, what was chosen since, how sure it is, and what the run settled by itself; a line each."""
    read_since = any(row.name == report.model for row in facts.models)
    chosen = read_since and facts.active is not None and report.active != (facts.active == report.model)
    since = (f"<b>Since then {facts.active} was made active.</b>",) if chosen else ()
    return (f"<b>{report.verdict}</b>", *since, *_proof(report), *report.notes)


def _proof(report: TuneReport) -> tuple[str, ...]:
    """How sure the change on held-out corrections is."""
    row = next((t for t in report.gate.totals if not t.replay), None) if report.gate else None
    if row is None or not row.interval:
        return ()
    return (f"Change of mean Dice {row.change:+z.3f}, 95 % interval {row.interval} ({row.subjects} subjects).",)


def _why_not(facts: Facts, learnable: bool) -> str:
    if facts.path is None:
        return "Open a study first."
    if not learnable:
        return "Correct and save a case first: there is nothing to learn from yet."
    if facts.untunable:
        return _instead(facts)
    if facts.outgrown:
        return f"{facts.active} does not know all labels of the study: train anew, on all saved corrections."
    if facts.silent or facts.resumable:
        return facts.silent or "A cancelled training run can go on."
    if facts.active is None and facts.models:
        return "No model version is active: select one in the list and press Activate, or train anew."
    return _in_short(facts.learned)


def _instead(facts: Facts) -> str:
    """What is damaged, and what can be done about it."""
    way = "Activate another model version." if facts.learned else "Train anew, or activate another model version."
    return f"{facts.active} cannot be fine-tuned. {_in_short(facts.untunable)} {way}"


def _in_full(shown: str, facts: Facts) -> str:
    """What is told in short, with all its sentences; of a run under way, what is shown of it."""
    texts = {_in_short(facts.learned): facts.learned, _instead(facts): facts.untunable}
    return texts.get(shown) or FAR


def _in_short(sentences: str) -> str:
    """The first of some sentences; the others go into the tooltip, or they push the curves and the verdict down."""
    return f"{sentences.split('. ')[0].removesuffix('.')}." if sentences else ""
