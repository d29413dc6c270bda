"""Opens the dialog about a model version, and keeps it true while it is open."""

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_apprentice.gui.desk import Desk
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.model_dialog import ModelDialog, Shown, read_shown


class ModelViewing(QObject):
    """One dialog at a time.

    Parameters
    ----------
    desk
        Whose session is asked.
    window
        The widget the dialog belongs to.
    """

    def __init__(self, desk: Desk, window: QWidget) -> None:
        super().__init__(window)
        self._desk, self._window = desk, window
        self._name: str | None = None
        self.dialog: ModelDialog | None = None
        desk.facts.changed.connect(self._on_facts)
        desk.bridge.study_changed.connect(self.close)

    def open(self, name: str) -> None:
        """Show a model version, once it is read."""
        self._name = name
        session = self._desk.session
        job = self._desk.runner.run("Reading a model version", lambda: read_shown(session, name), quiet=True)
        job.returned.connect(self._show)

    def choose(self, name: str) -> None:
        """Make a model version active; one that the gate found worse is shown first, and a reason asked for."""
        row = next((m for m in self._desk.facts.now.models if m.name == name), None)
        if row is not None and row.refused:
            self.open(name)
        else:
            self._desk.models.activate(name)

    def close(self) -> None:
        """Another study: what is shown is of none."""
        self._name = None
        if self.dialog is not None:
            self.dialog.close()

    def _show(self, shown: Shown) -> None:
        if shown.known.version.name != self._name:
            return  # another one was asked for meanwhile, or the dialog was closed
        if self.dialog is None:
            self.dialog = self._made()
        self.dialog.show_version(shown)
        self.dialog.show()
        self.dialog.raise_()

    def _made(self) -> ModelDialog:
        dialog, models = ModelDialog(self._window), self._desk.models
        dialog.activate_requested.connect(models.activate)
        dialog.refuse_requested.connect(models.refuse)
        dialog.note_changed.connect(models.keep_note)
        dialog.finished.connect(self._on_closed)
        return dialog

    def _on_closed(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
        self.dialog, self._name = None, None

    def _on_facts(self, _: Facts) -> None:
        if self.dialog is not None and self._name is not None and not self.dialog.writing:
            self.open(self._name)
