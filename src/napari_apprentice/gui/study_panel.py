"""Study: create or open one, add scans, choose a case."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction, QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QLabel

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.gui.case_table import CaseTable
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.labels_dialog import LabelsDialog
from napari_apprentice.gui.move_dialog import MoveDialog
from napari_apprentice.gui.new_study_dialog import NewStudyDialog
from napari_apprentice.gui.panel import Panel, button, menu_button, note

NO_STUDY = (
    "No study is open. A study is a folder that keeps your scans, corrections and model versions. "
    "Create one for your own scans, open one you have, or try the sample study."
)
FORMATS = (
    "Read are NIfTI, DICOM, NRRD, MetaImage, Analyze, MGH, OME-Zarr, TIFF, PNG and JPEG; "
    "data sets of MSD, nnU-Net, BraTS, LUNA16 and BIDS, and one folder per case."
)
NO_CASES = (
    "This study has no cases yet. Add scans with the buttons below, drop files, DICOM folders or whole data sets "
    "onto this panel, or open scans in napari and press Add open layers. " + FORMATS
)
NO_MODEL = (
    "There is no model version yet. Open a case, paint every label in it, press Accept scan and Save corrections. "
    "After a few cases press Train first model."
)


class StudyPanel(Panel):
    """The study, its cases, and the way into both."""

    create_requested = Signal(object, object, bool)
    open_requested = Signal(object)
    sample_requested = Signal()
    files_added = Signal(list)
    layers_added = Signal()
    labels_changed = Signal(object, object)
    case_requested = Signal(str)
    move_requested = Signal(str, str, str)
    """A subject, the side of the split it is to be put on, and why."""

    def _build(self) -> None:
        self.setAcceptDrops(True)
        self.title = QLabel()
        self.title.setToolTip("The study that is open.")
        self.guide = note()
        self.new = button("New ...", "Create a study: a folder and a list of labels.")
        self.open = button("Open ...", "Open the folder of a study.")
        self.recent, self.recent_menu = menu_button("Recent", "Studies opened lately.")
        self.sample = button("Try the sample study", "Make a study of small phantom scans with a model version.")
        self.table = CaseTable()
        self.table.setMinimumHeight(140)
        self.table.setToolTip("The cases of the study. Drop scans here to add them; double click one to open it.")
        self.add_files = button("Add scans ...", "Add scan files as cases. " + FORMATS)
        self.add_folder = button(
            "Add folder ...",
            "Add a folder of scans, a DICOM series or a whole data set; what was understood is shown before adding.",
        )
        self.add_layers = button("Add open layers", "Add the image layers that are open in napari as cases.")
        self.open_case = button("Open case", "Open the selected case for correction.")
        self.labels = button("Labels ...", "Name, colour, add or remove the labels of the study.")
        self._box.addWidget(self.title)
        for row in (
            (self.new, self.open, self.recent),
            (self.sample,),
            (self.add_files, self.add_folder, self.add_layers),
        ):
            line = QHBoxLayout()
            for widget in row:
                line.addWidget(widget)
            self._box.addLayout(line)
        self._box.insertWidget(1, self.guide)
        self._box.addWidget(self.table, 1)
        line = QHBoxLayout()
        line.addWidget(self.open_case, 1)
        line.addWidget(self.labels)
        self._box.addLayout(line)
        self._connect()
        self._show(self.desk.facts.now)

    def _connect(self) -> None:
        studies = self.desk.studies
        self.new.clicked.connect(self.ask_for_new)
        self.open.clicked.connect(self._ask_for_study)
        self.sample.clicked.connect(self.sample_requested)
        self.add_files.clicked.connect(self._ask_for_files)
        self.add_folder.clicked.connect(self._ask_for_folder)
        self.add_layers.clicked.connect(self.layers_added)
        self.labels.clicked.connect(self.ask_for_labels)
        self.labels_changed.connect(studies.set_labels)
        self.open_case.clicked.connect(self.table.open_selected)
        self.table.opened.connect(self.case_requested)
        self.table.move_requested.connect(self.ask_why)
        self.move_requested.connect(studies.move_subject)
        self.recent_menu.aboutToShow.connect(self._list_recent)
        self.create_requested.connect(studies.create)
        self.open_requested.connect(studies.open)
        self.sample_requested.connect(studies.try_sample)
        self.files_added.connect(studies.add_files)
        self.layers_added.connect(studies.add_layers)
        self.case_requested.connect(self.desk.cases.open_case)
        self.desk.facts.changed.connect(self._show)
        self.desk.bridge.case_opened.connect(self._mark_open)

    # ------------------------------------------------------------- showing

    def _show(self, facts: Facts) -> None:
        there = facts.path is not None
        self.title.setText(f"<b>{facts.title}</b>" if there else "<b>No study open</b>")
        self.title.setToolTip(str(facts.path) if there else "No study is open.")
        guide = NO_STUDY if not there else NO_CASES if not facts.rows else NO_MODEL if not facts.models else ""
        self.guide.setText(guide)
        self.guide.setVisible(bool(guide))
        self.sample.setVisible(not there)
        for widget in (self.table, self.open_case, self.labels, self.add_files, self.add_folder, self.add_layers):
            widget.setVisible(there)
        self.open_case.setEnabled(bool(facts.rows))
        self._show_rows(facts)

    def _show_rows(self, facts: Facts) -> None:
        selected = self.table.selected()
        self.table.cases.show(facts.rows, self._here())
        if selected is not None:
            self.table.select(selected)

    def _mark_open(self) -> None:
        self.table.cases.show(self.table.cases.rows, self._here())
        if self._here() is not None:
            self.table.select(str(self._here()))

    def _here(self) -> str | None:
        case = self.desk.session.case
        return case.info.case_id if case else None

    def _list_recent(self) -> None:
        menu = self.recent_menu
        menu.clear()
        for path in self.desk.session.recent.paths():
            action = QAction(str(path), menu)
            action.triggered.connect(lambda _=False, p=path: self.open_requested.emit(p))
            menu.addAction(action)
        if menu.isEmpty():
            nothing = QAction("No study was opened yet", menu)
            nothing.setEnabled(False)
            menu.addAction(nothing)

    # -------------------------------------------------------------- asking

    def ask_for_new(self) -> None:
        """Show the dialog for a new study."""
        dialog = NewStudyDialog(self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self._create(dialog.path(), dialog.schema(), encrypted=dialog.encrypted())
        dialog.deleteLater()

    def ask_why(self, subject: str, side: str) -> None:
        """Show the dialog that asks why a subject is to change sides."""
        dialog = MoveDialog(subject, side, self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.move_requested.emit(subject, side, dialog.why.text())
        dialog.deleteLater()

    def ask_for_labels(self) -> None:
        """Show the dialog for the study's labels."""
        schema = self.desk.facts.now.schema
        if schema is None:
            return
        dialog = LabelsDialog(schema, self)
        if dialog.exec() == QDialog.DialogCode.Accepted and dialog.schema() != schema:
            self.labels_changed.emit(dialog.schema(), schema)
        dialog.deleteLater()

    def _create(self, path: Path, schema: LabelSchema, *, encrypted: bool = False) -> None:
        self.create_requested.emit(path, schema, encrypted)

    def _ask_for_study(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open a study (a folder that ends in .study)")
        if chosen:
            self.open_requested.emit(Path(chosen))

    def _ask_for_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Add scans")
        if chosen:
            self.files_added.emit([Path(c) for c in chosen])

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Add a folder of scans")
        if chosen:
            self.files_added.emit([Path(chosen)])

    # ------------------------------------------------------- drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take files, before napari opens them as layers."""
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        """Add what is dropped: a study is opened, everything else is a scan."""
        data = event.mimeData() if event is not None else None
        if event is None or data is None:
            return
        event.acceptProposedAction()
        paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
        studies = [p for p in paths if (p / "study.json").is_file()]
        if studies:
            self.open_requested.emit(studies[0])
        elif paths:
            self.files_added.emit(paths)
