"""Asks where a model from elsewhere is, and how it is to be taken over."""

from pathlib import Path

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.gui.panel import button, note
from napari_apprentice.gui.settings_form import SettingsForm

_WHAT = (
    "A model folder of nnU-Net v2, a MONAI bundle (a folder or a .zip), another study, or a folder made by Export. "
    "Nothing in it is run."
)


class ImportDialog(QDialog):
    """The folder or archive, and the settings."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import model")
        self.path = QLineEdit()
        self.path.setToolTip(_WHAT)
        self.path.setMinimumWidth(360)
        self.folder = button("Folder ...", "Choose a folder: nnU-Net, a bundle, a study, an exported model.")
        self.archive = button("Archive ...", "Choose a MONAI bundle that is a .zip.")
        self.form = SettingsForm(ImportSettings())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take = button("Import", "Take the model over as a new model version.")
        buttons.addButton(self.take, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.folder.clicked.connect(self._on_folder)
        self.archive.clicked.connect(self._on_archive)
        self.path.textChanged.connect(lambda text: self.take.setEnabled(bool(text.strip())))
        self.take.setEnabled(False)
        where = QHBoxLayout()
        for widget in (self.path, self.folder, self.archive):
            where.addWidget(widget)
        box = QVBoxLayout(self)
        box.addWidget(note(_WHAT, ""))
        box.addLayout(where)
        box.addWidget(self.form.native)
        box.addWidget(buttons)

    @property
    def source(self) -> Path:
        """What was chosen."""
        return Path(self.path.text().strip())

    def _on_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The model's folder", self.path.text())
        if chosen:
            self.path.setText(chosen)

    def _on_archive(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "A MONAI bundle", self.path.text(), "Archives (*.zip)")
        if chosen:
            self.path.setText(chosen)
