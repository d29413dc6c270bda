"""Where a new study goes and which labels it has."""

from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QWidget,
)

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import ApprenticeError, InputError
from napari_apprentice.gui.controls import Complaint, button
from napari_apprentice.gui.schema_table import SchemaTable
from napari_apprentice.loop.unlocking import refuse_keyless


class NewStudyDialog(QDialog):
    """Asks for a folder and a label schema; says under the table what is still missing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New study")
        self.resize(460, 420)
        self.folder = QLineEdit(str(Path.home()))
        self.folder.setToolTip("The study is made inside this folder.")
        self.name = QLineEdit("my-scans")
        self.name.setToolTip("The study becomes a folder of this name, ending in .study.")
        self.browse = button("Browse ...", "Choose the folder that the study is made in.")
        self.browse.clicked.connect(self._browse)
        self.labels = SchemaTable()
        self.labels.add_row("")
        self.encrypt = QCheckBox("Encrypted: only who has its key can read it")
        self.encrypt.setToolTip(
            "Scans, label maps, strokes and names are encrypted; the key is kept in this computer's keyring. Without "
            "the key the study is lost: apprentice key STUDY --show prints it, to keep it safe."
        )
        self.problem = Complaint()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.make = button("Create study", "Make the study and open it.")
        buttons.addButton(self.make, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self._accept_if_right)
        buttons.rejected.connect(self.reject)
        where = QHBoxLayout()
        where.addWidget(self.folder)
        where.addWidget(self.browse)
        form = QFormLayout(self)
        form.addRow("Folder", where)
        form.addRow("Name", self.name)
        form.addRow("Labels", self.labels)
        form.addRow(self.encrypt)
        form.addRow(self.problem)
        form.addRow(buttons)
        for change in (self.labels.changed, self.name.textEdited, self.folder.textChanged, self.encrypt.toggled):
            change.connect(lambda: self.problem.setText(""))

    def path(self) -> Path:
        """The study's folder."""
        name = self.name.text().strip()
        if not name:
            raise InputError("The study has no name yet.")
        return Path(self.folder.text().strip()).expanduser() / (name if name.endswith(".study") else f"{name}.study")

    def schema(self) -> LabelSchema:
        """The label schema."""
        return self.labels.schema()

    def encrypted(self) -> bool:
        """Whether the study is to be encrypted."""
        return self.encrypt.isChecked()

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder for the study", self.folder.text())
        if chosen:
            self.folder.setText(chosen)

    def _accept_if_right(self) -> None:
        try:
            _refuse_taken(self.path())
            self.schema()
            if self.encrypted():
                refuse_keyless()
        except ApprenticeError as error:
            self.problem.setText(str(error))
            return
        self.accept()


def _refuse_taken(path: Path) -> None:
    """Here, and not after the dialog has closed: what was typed would be lost."""
    try:
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as error:
        raise InputError(f"{path.parent} cannot be read ({error.strerror}); choose another folder.") from error
    if taken:
        raise InputError(f"{path.name} exists already and is not empty; choose another name.")
