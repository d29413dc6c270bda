"""Post-processing in the dock: the steps of every label, and which of them corrections prove."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_apprentice.core.postprocess import TEXTS, PostRecipe, steps_of
from napari_apprentice.core.postprocess_trial import PostRow
from napari_apprentice.gui.colours import BETTER
from napari_apprentice.gui.controls import button, note
from napari_apprentice.gui.facts import Facts, FactsReader
from napari_apprentice.gui.tables import ROW_HEIGHT, compact
from napari_apprentice.gui.work import Job, Runner
from napari_apprentice.loop.postprocessing import PostReport
from napari_apprentice.session import Session

COLUMNS = ("Label", "Steps", "Before", "After")
LABEL, STEPS, BEFORE, AFTER = range(4)
_MOST_ROWS = 8
_TIP = "Double-click to write steps, separated by commas.\n" + "\n".join(f"{n}: {t}" for n, t in TEXTS.items())


class PostprocessSection(QWidget):
    """One row per label: its steps, and what the suggested ones did on held-out cases.

    Parameters
    ----------
    session, runner, facts
        Whose steps, where long work runs, who says that the study has changed.
    """

    def __init__(self, session: Session, runner: Runner, facts: FactsReader) -> None:
        super().__init__()
        self._session, self._runner, self._facts = session, runner, facts
        self._report: PostReport | None = None
        self._recipe = PostRecipe()
        self._ids: tuple[int, ...] = ()
        self._generation = 0
        self._build()
        self.table.itemChanged.connect(self._on_edited)
        facts.changed.connect(self._read)
        runner.changed.connect(self._enable)
        self._read(facts.now)

    def _build(self) -> None:
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setToolTip(_TIP)
        self._header = compact(self.table, stretched=STEPS)
        self.suggest = button(
            "Suggest from corrections", "Try steps on corrected cases; what raises Dice on held-out subjects is proved."
        )
        self.take = button("Use what is proved", "Take the proved steps of the suggestion into this study.")
        self.apply = button("Apply to predictions", "Put the predictions that are stored through the steps above.")
        self.told = note("", "What the newest suggestion or change came to.")
        line = QHBoxLayout()
        for widget in (self.suggest, self.take, self.apply):
            line.addWidget(widget)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.table)
        box.addLayout(line)
        box.addWidget(self.told)
        self.suggest.clicked.connect(self._on_suggest)
        self.take.clicked.connect(self._on_take)
        self.apply.clicked.connect(self._on_apply)

    # --------------------------------------------------------- what is shown

    def _read(self, facts: Facts) -> None:
        self._generation += 1
        generation = self._generation
        if facts.path is None or facts.schema is None:
            self._show(PostRecipe(), facts)
            return
        job = self._runner.run("Reading the steps", self._session.postprocessing, quiet=True)
        job.returned.connect(lambda recipe: self._show(recipe, facts) if generation == self._generation else None)

    def _show(self, recipe: PostRecipe, facts: Facts) -> None:
        ids = facts.schema.ids if facts.schema else ()
        if ids != self._ids or (self._report and self._report.model != facts.active):
            self._report = None
            self.told.setText("")
        self._recipe, self._ids = recipe, ids
        rows = {row.label: row for row in self._report.rows} if self._report else {}
        self.table.blockSignals(True)  # what is told here was not typed
        self.table.setRowCount(len(ids))
        for index, label in enumerate(ids):
            name = facts.schema.name(label) if facts.schema else ""
            self._fill(index, name, ", ".join(s.text for s in recipe.steps.get(label, ())), rows.get(label))
        self.table.blockSignals(False)
        height = self._header.sizeHint().height() + min(len(ids), _MOST_ROWS) * ROW_HEIGHT
        self.table.setFixedHeight(height + 2 * self.table.frameWidth() + 2)
        self._enable()

    def _fill(self, index: int, name: str, steps: str, row: PostRow | None) -> None:
        held = row.held_out if row is not None and row.steps else None
        suggested = ", ".join(s.text for s in row.steps) if row is not None and row.accepted else ""
        before, after = (f"{d:.3f}" for d in held) if held else ("", "")
        for column, text in enumerate((name, steps, before, after)):
            item = QTableWidgetItem(text)
            if column != STEPS:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            if row is not None:
                item.setToolTip(f"{suggested or 'nothing'}: {row.reason}")
                if row.accepted and column == AFTER:
                    item.setForeground(BETTER.on(self))
            self.table.setItem(index, column, item)

    def _enable(self) -> None:
        busy = self._runner.shown is not None
        facts = self._facts.now
        self.suggest.setEnabled(facts.active is not None and not busy)
        self.take.setEnabled(bool(self._report and self._report.recipe) and not busy)
        self.apply.setEnabled(facts.active is not None and not busy)

    # ------------------------------------------------------- what is asked for

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if item.column() != STEPS:
            return
        label, text = self._ids[item.row()], item.text()
        if not self._runner.attempt(lambda: self._choose(label, text)):
            self._show(self._recipe, self._facts.now)  # as it was

    def _choose(self, label: int, text: str) -> None:
        self._session.set_postprocessing({label: steps_of(text)})
        self._changed("Predictions from now on go through these steps; Apply changes those that are stored.")

    def _on_suggest(self) -> None:
        job = self._runner.run("Trying post-processing", self._session.suggest_postprocessing)
        job.returned.connect(self._on_suggested)

    def _on_suggested(self, report: PostReport) -> None:
        self._report = report
        proved = len(report.recipe.steps)
        cases = f"{report.learning} cases to learn from, {report.held_out} held out"
        if report.unpredicted:
            cases += f", {len(report.unpredicted)} not predicted yet"
        if report.damaged:
            cases += f", {len(report.damaged)} damaged and left out"
        self.told.setText(f"{proved} of {len(report.rows)} labels have steps that are proved ({cases}).")
        self._read(self._facts.now)

    def _on_take(self) -> None:
        self._runner.attempt(self._take)

    def _take(self) -> None:
        if self._report is None:
            return
        steps = self._report.taken_with(self._session.postprocessing())
        self._session.set_postprocessing(steps, f"learned on predictions of {self._report.model}")
        self._changed("Taken; predictions from now on go through them, Apply changes those that are stored.")

    def _changed(self, text: str) -> None:
        self.told.setText(text)
        self._read(self._facts.now)

    def _on_apply(self) -> None:
        job: Job = self._runner.run("Post-processing", self._session.apply_postprocessing)
        job.returned.connect(lambda done: self._changed(f"{len(done)} stored predictions were changed."))
