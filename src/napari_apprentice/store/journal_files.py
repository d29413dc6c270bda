"""Journals by the names of their files: the one that grows, and those that led to revisions."""

from collections.abc import Callable
from pathlib import Path

from napari_apprentice.errors import StudyError
from napari_apprentice.store.archived import Archive, Archived
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.journal_content import JournalContent, content_of
from napari_apprentice.store.names import check_name, is_revision
from napari_apprentice.store.record_walk import StoredStrokes
from napari_apprentice.store.trust import journal_bytes, refuse_links, refuse_odd_file, stroke_voxels
from napari_apprentice.store.vault import PLAIN, Vault

FILE = "strokes.bin"


class JournalFiles:
    """Reads a study's journals.

    Parameters
    ----------
    root
        The study's journal folder.
    vault
        How records are written.
    grid_voxels
        Voxels of a case's grid, None where that is not known: no stroke has more, whatever a file from somebody
        else says.
    """

    def __init__(
        self, root: Path, vault: Vault = PLAIN, grid_voxels: Callable[[str], int | None] = lambda _: None
    ) -> None:
        self.root = root
        self._vault = vault
        self._grid_voxels = grid_voxels

    def most(self, case_id: str) -> float:
        """Voxels that a stroke of a case may have."""
        return self._grid_voxels(case_id) or stroke_voxels()

    def archived(self, case_id: str, revision: str) -> JournalContent | None:
        """Strokes that led to a revision; None when they are not kept, or not readable from the first to the last.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        try:
            data = self._bytes(self._archive(case_id, revision))
        except StudyError:
            return None
        content = None if data is None else content_of(data, self._at(case_id), self.most(case_id))
        return None if content is None or content.damaged else content

    def archive_of(self, case_id: str, revision: str) -> Archive | None:
        """The same, to be read stroke by stroke."""
        content, path = self.archived(case_id, revision), self._archive(case_id, revision)
        if content is None or not isinstance(content.strokes, StoredStrokes):
            return None
        found = zip(content.strokes.facts, content.strokes.places, strict=True)
        strokes = tuple(Archived(*facts, path, place, self._at(case_id)) for facts, place in found)
        return Archive(content.parent, content.model, strokes)

    def archives(self, case_id: str) -> tuple[str, ...]:
        """Revisions of a case whose strokes are kept, by name."""
        folder = self._path(case_id).parent
        with storage_errors(f"the journal of case {case_id}"):
            names = [p.stem for p in folder.glob("r*.bin")] if folder.is_dir() else []
        return tuple(sorted(name for name in names if is_revision(name)))

    def _at(self, case_id: str) -> Vault:
        # Not the file's: a journal takes the name of a revision when it is saved.
        return self._vault.at(case_id, "journal")

    def _archive(self, case_id: str, revision: str) -> Path:
        path = self._path(case_id).with_name(f"{revision}.bin")
        refuse_links(self.root, path)
        return path

    def _path(self, case_id: str) -> Path:
        path = self.root / check_name("case id", case_id) / FILE
        refuse_links(self.root, path)
        return path

    def _bytes(self, path: Path, most: int = -1) -> bytes | None:
        with storage_errors(f"the journal of case {path.parent.name}"):
            try:
                refuse_odd_file(path, journal_bytes())
                with path.open("rb") as file:
                    return file.read(most)
            except (FileNotFoundError, NotADirectoryError):
                return None
