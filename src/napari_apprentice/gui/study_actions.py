"""What the study panel's intents lead to."""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import InputError, LockedError
from napari_apprentice.gui.case_actions import CaseActions
from napari_apprentice.gui.key_dialog import KeyDialog
from napari_apprentice.gui.layer_making import UNCERTAINTY
from napari_apprentice.gui.layer_volume import case_id_for, in_millimetres, volume_from_layer
from napari_apprentice.gui.placing import KEY
from napari_apprentice.gui.scan_adding import ScanAdding
from napari_apprentice.gui.work import Job, Runner
from napari_apprentice.loop.adding import AddReport
from napari_apprentice.loop.sample import making_sample_study
from napari_apprentice.loop.unlocking import kept_here
from napari_apprentice.session import Session


class StudyActions(QObject):
    """Create, open and fill studies.

    Parameters
    ----------
    session, runner, viewer, cases
        Whose verbs, where they run, whose layers can be added, who knows whether the open case can be left.
    """

    def __init__(
        self, session: Session, runner: Runner, viewer: Any, cases: CaseActions, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._viewer = viewer
        self._cases = cases
        self.adding: ScanAdding | None = None
        self.asking: KeyDialog | None = None

    def create(self, path: Path, schema: LabelSchema, encrypted: bool = False) -> None:
        """Make a study and open it."""
        if self._cases.may_leave_study():
            self._runner.attempt(lambda: self._session.create_study(path, schema, encrypted=encrypted))

    def move_subject(self, subject: str, side: str, why: str) -> None:
        """Put a subject on the other side of the split."""
        self._runner.attempt(lambda: self._session.move_subject(subject, side, why))

    def open(self, path: Path) -> None:
        """Open a study; the key of an encrypted one is asked for where this computer does not have it."""
        if self._cases.may_leave_study():
            self._runner.attempt(lambda: self._open(path))

    def _open(self, path: Path) -> None:
        try:
            self._session.open_study(path)
        except LockedError:
            self._ask_for_key(path)

    def _ask_for_key(self, path: Path) -> None:
        window: QWidget = self._viewer.window._qt_window
        dialog = self.asking = KeyDialog(path, window)
        dialog.accepted.connect(lambda: self._runner.attempt(lambda: self._unlock(dialog)))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _unlock(self, dialog: KeyDialog) -> None:
        key = dialog.key()
        self._session.open_study(dialog.path, key)
        trouble = kept_here(dialog.path, key) if dialog.keep.isChecked() else ""
        if trouble:
            self._runner.said.emit(f"The study is open; its key will be asked for again. {trouble}")

    def set_labels(self, schema: LabelSchema, was: LabelSchema) -> None:
        """Give the study another list of labels than it was; the open case is shown anew with it."""
        if not self._cases.may_leave_study():
            return
        job = self._runner.run("Changing labels", lambda: self._session.set_labels(schema, was))
        job.returned.connect(lambda _: self._cases.reopen())
        job.returned.connect(lambda _: self._runner.said.emit("The labels of the study were changed."))

    def try_sample(self) -> Job:
        """Make a study of the sample scans in the user's data folder and open it."""
        path = sample_path(self._session.recent.folder)
        job = self._runner.run("Making the sample study", lambda: _sample(path))
        job.returned.connect(lambda study: self.open(study.path))
        return job

    def add_files(self, paths: list[Path]) -> None:
        """Add scan files, folders or whole data sets as cases; what they leave open is asked for."""
        if not self._session.has_study:
            self._runner.tell(InputError("No study is open: create or open one first, then add scans to it."))
            return
        self.adding = ScanAdding(self._session, self._runner, self._viewer, self)
        self.adding.start(paths)

    def add_layers(self) -> None:
        """Add the viewer's image layers that are no case yet as cases."""
        self._runner.attempt(self._add_layers)

    def _add_layers(self) -> None:
        study = self._session.study
        known = {UNCERTAINTY, *study.cases.ids()}
        layers = [x for x in self._viewer.layers if _is_new(x, known)]
        if not layers:
            raise InputError("There is no image layer to add: open a scan in napari first, or use Add scans.")
        volumes = [(case_id_for(layer.name), volume_from_layer(layer)) for layer in layers]
        job = self._runner.run("Adding layers", lambda: _add_volumes(self._session, volumes))
        job.returned.connect(self._report)
        job.returned.connect(lambda _: _put_aside(layers))

    def _report(self, report: AddReport) -> None:
        if report.added:
            self._runner.said.emit(f"Added {len(report.added)} cases." if len(report.added) > 1 else "Added 1 case.")


def sample_path(folder: Path) -> Path:
    """A free folder name for a new sample study."""
    base = folder if folder.is_dir() else Path(tempfile.gettempdir())
    names = (base / f"sample{'' if n == 1 else f'-{n}'}.study" for n in range(1, 10_000))
    return next(path for path in names if not path.exists())


def _sample(path: Path) -> Generator[Progress, None, Any]:
    return (yield from making_sample_study(path))


def _is_new(layer: Any, known: set[str]) -> bool:
    """Whether a layer is an image that is neither the open case's nor a case of the same name."""
    ours = "case" in layer.metadata.get(KEY, {})
    return type(layer).__name__ == "Image" and not ours and case_id_for(layer.name) not in known


def _add_volumes(session: Session, volumes: list[tuple[str, Volume]]) -> Generator[Progress, None, AddReport]:
    added = []
    for done, (case_id, volume) in enumerate(volumes):
        yield Progress(done, len(volumes), f"Adding {case_id}")
        added.append(session.add_volume(volume, case_id))
    return AddReport(tuple(added), ())


def _put_aside(layers: list[Any]) -> None:
    """Hide layers that are cases now, and give them a unit, so that they neither shine through nor disagree."""
    for layer in layers:
        layer.visible = False
        if not in_millimetres(layer):
            layer.units = ("mm",) * layer.ndim
