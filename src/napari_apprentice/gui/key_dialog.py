"""Asks for the key of an encrypted study."""

from pathlib import Path

from qtpy.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QLineEdit, QVBoxLayout, QWidget

from napari_apprentice.errors import ApprenticeError
from napari_apprentice.gui.controls import Complaint, button, note
from napari_apprentice.loop.unlocking import key_from

HINT = (
    "{} is encrypted, and its key is not on this computer. Whoever made the study can show the key: "
    "apprentice key STUDY --show."
)


class KeyDialog(QDialog):
    """A line for the key, which is not shown, and whether to keep it.

    Parameters
    ----------
    path
        The study's folder.
    """

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Key of the study")
        self.resize(420, 160)
        self.path = path
        self.line = QLineEdit()
        self.line.setEchoMode(QLineEdit.EchoMode.Password)
        self.line.setToolTip("44 characters of base64, or 64 hexadecimal digits.")
        self.keep = QCheckBox("Keep the key in this computer's keyring")
        self.keep.setChecked(True)
        self.keep.setToolTip("Otherwise it is asked for each time the study is opened.")
        self.problem = Complaint()
        self.line.textEdited.connect(lambda: self.problem.setText(""))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.unlock = button("Open study", "Open the study with this key.")
        buttons.addButton(self.unlock, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self._accept_if_right)
        buttons.rejected.connect(self.reject)
        box = QVBoxLayout(self)
        for widget in (note(HINT.format(path.name)), self.line, self.keep, self.problem, buttons):
            box.addWidget(widget)

    def key(self) -> bytes:
        """The key as it was typed; InputError when it is none."""
        return key_from(self.line.text())

    def _accept_if_right(self) -> None:
        try:
            self.key()
        except ApprenticeError as error:
            self.problem.setText(str(error))
            return
        self.accept()
