"""Scans into the study: the verbs of a session that are about adding."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from pathlib import Path

from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.loop import adding
from napari_apprentice.scans.datasets.finding import find_scans
from napari_apprentice.scans.datasets.found import Found
from napari_apprentice.session_events import SessionEvents
from napari_apprentice.store.study import Study


class ScanVerbs(ABC):
    """The part of `session.Session` that finds and adds scans; by itself it has no study."""

    events: SessionEvents
    author: str

    @property
    @abstractmethod
    def study(self) -> Study:
        """The open study; StudyError when there is none."""

    def find_scans(self, paths: Sequence[Path], settings: AddSettings | None = None) -> Found:
        """Say what files and folders hold, before anything is read or added."""
        return find_scans(paths, settings or AddSettings())

    def add_scans(
        self,
        paths: Sequence[Path] | Found,
        subject: str | None = None,
        corrected: Path | None = None,
        *,
        settings: ReadSettings | None = None,
        collect: AddSettings | None = None,
    ) -> Generator[Progress, None, adding.AddReport]:
        """Add scan files, folders, or what `find_scans` found; see `loop.adding.add_scans`."""
        self.study.refresh()
        try:
            return (
                yield from adding.add_scans(
                    self.study,
                    paths,
                    subject=subject,
                    corrected=corrected,
                    author=self.author,
                    settings=settings,
                    collect=collect,
                )
            )
        finally:
            self.events.cases_changed.emit()

    def add_volume(self, volume: Volume, case_id: str, subject: str | None = None) -> str:
        """Add a volume that is in memory already, such as an image layer."""
        added = adding.add_volume(self.study, volume, case_id, subject=subject)
        self.events.cases_changed.emit()
        return added
