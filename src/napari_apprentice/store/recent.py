"""The studies opened lately, kept in the user's own data folder."""

import json
from pathlib import Path

from napari_apprentice.store.user_folder import user_folder

LONGEST = 10


class RecentStudies:
    """A short list of study folders, newest first.

    Parameters
    ----------
    folder
        Where the list is kept; by default $APPRENTICE_HOME, or the platform's user data folder.

    Attributes
    ----------
    folder
        The user's own data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_folder()
        self._path = self.folder / "recent.json"

    def paths(self) -> tuple[Path, ...]:
        """Folders that still exist, newest first."""
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ()  # no list yet, or a torn one: it is only a convenience
        found = (Path(p) for p in stored if isinstance(p, str))
        return tuple(p for p in found if (p / "study.json").is_file())

    def remember(self, path: Path) -> None:
        """Put a study at the head of the list; a list that cannot be written is no reason to stop."""
        path = path.resolve()
        paths = [path, *(p for p in self.paths() if p != path)][:LONGEST]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps([str(p) for p in paths], indent=1), encoding="utf-8")
        except OSError:
            return
