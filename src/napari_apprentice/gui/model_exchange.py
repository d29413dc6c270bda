"""Models in from elsewhere, and out to others."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QWidget

from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.errors import InputError
from napari_apprentice.gui.desk import Desk
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.import_dialog import ImportDialog
from napari_apprentice.gui.panel import button
from napari_apprentice.loop.model_import import ImportReport


class ModelExchange(QWidget):
    """Two buttons beside the list of model versions.

    Parameters
    ----------
    desk
        Whose session takes models over and hands them on.
    """

    import_requested = Signal(object, object)
    """A path and `ImportSettings`."""
    export_requested = Signal(str, object)
    """A model version and the new folder."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._chosen: str | None = None
        self.take = button("Import model ...", "Take over a model of nnU-Net, a MONAI bundle or another study.")
        self.hand_on = button("Export ...", "Write the selected model version into a folder, with a model card.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.take)
        row.addWidget(self.hand_on)
        self.take.clicked.connect(self._ask_what)
        self.hand_on.clicked.connect(self._ask_where)
        self.import_requested.connect(self._import)
        self.export_requested.connect(self._export)

    def show_facts(self, facts: Facts) -> None:
        """What can be done now."""
        self.take.setEnabled(facts.path is not None)
        self.hand_on.setEnabled(bool(facts.models))

    def choose(self, name: str | None) -> None:
        """The model version that is selected; None for the active one."""
        self._chosen = name

    def _ask_what(self) -> None:
        dialog = ImportDialog(self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self._desk.runner.attempt(lambda: self.import_requested.emit(dialog.source, dialog.form.value()))
        dialog.deleteLater()

    def _ask_where(self) -> None:
        name = self._chosen or self._desk.facts.now.active
        if name is None:
            self._desk.runner.tell(InputError("Select a model version in the list first."))
            return
        chosen = QFileDialog.getExistingDirectory(self, f"Where to write {name}")
        if chosen:
            self.export_requested.emit(name, Path(chosen) / f"{self._desk.session.study.path.stem}-{name}")

    def _import(self, source: Path, settings: ImportSettings) -> None:
        job = self._desk.runner.run("Importing a model", lambda: self._desk.session.import_model(source, settings))
        job.returned.connect(self._on_imported)

    def _on_imported(self, report: ImportReport) -> None:
        state = "is now active" if report.active else "can be made active in the list"
        self._desk.runner.said.emit(f"Imported {report.name} ({report.library}) as {report.model}; it {state}.")
        if report.folds:
            told = f"Imported {', '.join(report.folds)}, folds of one model: the quality best asks all of them."
            self._desk.session.events.noticed.emit(told)
        for text in report.notes:
            self._desk.session.events.noticed.emit(text)

    def _export(self, name: str, out: Path) -> None:
        job = self._desk.runner.run("Exporting a model", lambda: self._desk.session.export_model(name, out))
        job.returned.connect(lambda written: self._desk.runner.said.emit(f"Wrote {name} to {written}."))
