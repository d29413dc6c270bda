"""What a folder was understood to hold, before anything of it is added."""

from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from napari_apprentice.gui.controls import button, note
from napari_apprentice.gui.tables import compact
from napari_apprentice.loop.adding import shown_name
from napari_apprentice.scans.datasets.found import Found, FoundCase

COLUMNS = ("Case", "Subject", "Channels", "Label map")
KINDS = {
    "msd": "a data set of the Medical Segmentation Decathlon",
    "nnunet": "a data set laid out for nnU-Net",
    "images": "a data set with imagesTr and labelsTr",
    "pairs": "scans and the label maps named after them",
    "brats": "a BraTS data set",
    "luna16": "a LUNA16 data set",
    "bids": "a BIDS data set",
    "dicom": "DICOM series",
    "folders": "one folder per case",
    "files": "scan files",
}


class FoundDialog(QDialog):
    """Shows kind, cases, channels and labels; nothing is added unless the person says so.

    Parameters
    ----------
    found
        What was understood.
    difference
        How the data set's labels differ from the study's; "" when they do not.
    """

    def __init__(self, found: Found, difference: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Add scans")
        self.resize(640, 460)
        self.text = note(summary(found))
        self.table = QTableWidget(len(found.cases), len(COLUMNS))
        self.table.setToolTip("What would be added.")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for row, case in enumerate(found.cases):
            for column, text in enumerate(_cells(case)):
                self.table.setItem(row, column, QTableWidgetItem(text))
        compact(self.table, stretched=2)
        self.labels = QCheckBox("Take the label maps as corrections that are accepted")
        self.labels.setToolTip(
            "Each label map becomes a revision in which every voxel is accepted; the model learns it."
        )
        self.labels.setChecked(True)
        self.labels.setVisible(any(c.has_labels for c in found.cases))
        remarks = [*found.notes, *(f"{name}: {reason}" for name, reason in found.refused[:5])]
        self.remarks = note("\n".join([*remarks, difference] if difference else remarks))
        self.remarks.setVisible(bool(self.remarks.text()))
        ends = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.add = button(f"Add {len(found.cases)}", "Add these cases to the study.")
        self.add.setEnabled(bool(found.cases))
        ends.addButton(self.add, QDialogButtonBox.ButtonRole.AcceptRole)
        ends.accepted.connect(self.accept)
        ends.rejected.connect(self.reject)
        box = QVBoxLayout(self)
        for widget in (self.text, self.table, self.labels, self.remarks, ends):
            box.addWidget(widget)


def summary(found: Found) -> str:
    """One or two sentences: what it is, how many cases and subjects, which channels and labels."""
    count, subjects = len(found.cases), len(found.subjects)
    labelled = sum(case.has_labels for case in found.cases)
    title = f" ({found.title})" if found.title else ""
    parts = [f"{count} case{'s' * (count != 1)}"]
    parts += [f"{subjects} subject{'s' * (subjects != 1)}"] * bool(subjects)
    parts += [f"channels {', '.join(found.channels)}"] * bool(found.channels)
    parts += [f"{labelled} with a label map"] * bool(labelled)
    text = f"Understood as {KINDS.get(found.kind, found.kind)}{title}: {'; '.join(parts)}."
    if found.schema:
        text += f" Labels: {', '.join(f'{x.id} {x.name}' for x in found.schema.labels)}."
    return text


def _cells(case: FoundCase) -> tuple[str, str, str, str]:
    channels = [c.name or (c.path.name if c.path else "") for c in case.channels]
    missing = [c.name for c in case.channels if c.path is None]
    there = ", ".join(channels) + (f" (missing: {', '.join(missing)})" if missing else "")
    labels = "yes" if case.has_labels else "to choose" if case.choices else ""
    return case.case_id or shown_name(case), case.subject, there, labels
