"""Where a repair puts what it takes out of its place."""

import os
import shutil
from pathlib import Path

from napari_apprentice.store.files import storage_errors, sync_folder


class Repaired:
    """The folder of one repair; made when the first thing goes there.

    Parameters
    ----------
    study
        The study's folder.
    stamp
        When, UTC, ISO 8601.
    """

    def __init__(self, study: Path, stamp: str) -> None:
        self._study = study
        self._name = stamp.replace(":", "").replace("+0000", "Z")

    def keep(self, path: Path) -> str:
        """Move a file or folder there; the place, as a person would look for it."""
        with storage_errors(f"the repair of {path.name}"):
            target = self._target(path)
            path.rename(target)
            sync_folder(path.parent)
            sync_folder(target.parent)
        return self._told(target)

    def keep_copy(self, path: Path) -> str:
        """Copy a file there before a part of it is taken out; the place."""
        with storage_errors(f"the repair of {path.name}"):
            target = self._target(path)
            shutil.copyfile(path, target)
            with target.open("rb+") as file:
                os.fsync(file.fileno())  # the original is changed next
            sync_folder(target.parent)
        return self._told(target)

    def _target(self, path: Path) -> Path:
        folder = self._study / "repaired" / self._name / path.parent.relative_to(self._study)
        folder.mkdir(parents=True, exist_ok=True)
        target, number = folder / path.name.lstrip("."), 1
        while target.exists():
            number += 1
            target = folder / f"{number}-{path.name.lstrip('.')}"
        return target

    def _told(self, target: Path) -> str:
        return str(target.relative_to(self._study))
