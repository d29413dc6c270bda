"""The labels of a study that exists already."""

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.gui.controls import Complaint, button, note
from napari_apprentice.gui.schema_table import SchemaTable

HINT = (
    "Names and colours can change at any time. A label that is in no saved revision can be removed; model versions "
    "that know it do not propose it any more."
)


class LabelsDialog(QDialog):
    """Shows a label schema for changing; says under the table what is wrong with it.

    Parameters
    ----------
    schema
        The labels as they are.
    """

    def __init__(self, schema: LabelSchema, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Labels of the study")
        self.resize(420, 380)
        self.labels = SchemaTable()
        for label in schema.labels:
            self.labels.add_row(label.name, label.id, label.colour)
        self.problem = Complaint()
        self.labels.changed.connect(lambda: self.problem.setText(""))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.keep = button("Change labels", "Give the study these labels.")
        buttons.addButton(self.keep, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self._accept_if_right)
        buttons.rejected.connect(self.reject)
        box = QVBoxLayout(self)
        for widget in (note(HINT), self.labels, self.problem, buttons):
            box.addWidget(widget)

    def schema(self) -> LabelSchema:
        """The labels as they stand in the table."""
        return self.labels.schema()

    def _accept_if_right(self) -> None:
        try:
            self.schema()
        except ApprenticeError as error:
            self.problem.setText(str(error))
            return
        self.accept()
