"""A prediction that another process is still making, as far as it has come."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.store.arrays import open_array
from napari_apprentice.store.prediction_place import PROGRESS
from napari_apprentice.store.prediction_writer import LABEL_MAP, UNCERTAINTY
from napari_apprentice.store.vault import PLAIN, Vault


class UnfinishedPrediction:
    """Reads finished slabs before the prediction is whole.

    Parameters
    ----------
    aside
        The hidden folder that is being written to.
    final
        Where it will be; read from there when the writer was quicker.
    of_now
        Takes labels out that the study does not have any more.
    vault
        The study's, at the prediction's place.
    """

    def __init__(
        self, aside: Path, final: Path, of_now: Callable[[LabelArray], LabelArray], vault: Vault = PLAIN
    ) -> None:
        self._aside, self._final, self._of_now, self._vault = aside, final, of_now, vault

    def done(self) -> tuple[tuple[int, int], ...]:
        """First slice and the one behind the last of every slab that can be read, in order of arrival."""
        try:
            lines = (self._aside / PROGRESS).read_text(encoding="utf-8").splitlines()
        except OSError:
            return ()
        found = (_slab(line) for line in lines[1:])
        return tuple(slab for slab in found if slab is not None)

    def read(self, start: int, stop: int) -> PredictedSlab | None:
        """A slab that is done; None when the prediction is gone."""
        for folder in (self._aside, self._final):
            try:
                before = _identity(folder)
                arrays = (open_array(folder / n, self._vault.at(n)) for n in (LABEL_MAP, UNCERTAINTY))
                labels, uncertainty = (np.asarray(array[start:stop]) for array in arrays)
                # A chunk whose file went away while it was asked for reads as zeros.
                if _identity(folder) == before:
                    return PredictedSlab(start, stop, self._of_now(labels), uncertainty)
            except (ApprenticeError, OSError, KeyError, ValueError, RuntimeError):
                continue  # committed, abandoned, or never begun
        return None


def _identity(folder: Path) -> tuple[int, bool]:
    """Which folder it is; one that is being written also has the list of its slabs, which goes first."""
    unfinished = folder.name.startswith(".")
    if unfinished:
        (folder / PROGRESS).stat()
    return folder.stat().st_ino, unfinished


def _slab(line: str) -> tuple[int, int] | None:
    try:
        found: Any = json.loads(line)  # the last line may be half written
        return int(found[0]), int(found[1])
    except (ValueError, TypeError, IndexError, KeyError):
        return None
