"""A case's scan for a reader that wants slabs of it, not all at once."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.slabs import Moments
from napari_apprentice.errors import StudyError
from napari_apprentice.store.arrays import open_array
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.trust import count_files
from napari_apprentice.store.vault import PLAIN, Vault

MOMENTS = "moments"
_KEPT = 2  # rows of chunks: a slab reaches into two, and the next one begins where it ended


class StoredVoxels:
    """A stored scan as a `VoxelSource`: reads the rows of chunks that are asked for, and keeps the last ones.

    Parameters
    ----------
    path
        The array (c, z, y, x), full resolution.
    spacing
        Millimetres along (z, y, x).
    record
        The case's attributes, which may hold what `moments_of` found when the scan was added.
    vault
        The study's, at the array's place.

    Raises
    ------
    StudyError
        The array is absent or damaged, or one of its files is missing.
    """

    def __init__(
        self, path: Path, spacing: tuple[float, float, float], record: Mapping[str, Any], vault: Vault = PLAIN
    ) -> None:
        self._array = open_array(path, vault)
        self._what = f"the scan of case {path.parent.parent.name}"
        self._thick = int(self._array.chunks[1])
        self._rows: dict[int, NDArray[Any]] = {}
        self._record = record
        self.spacing = spacing
        grid = np.ceil(np.divide(self._array.shape, self._array.shards or self._array.chunks))
        with storage_errors(self._what):
            # zarr would read zeros in their place
            if count_files(path / "c") < math.prod(grid.tolist()) or _has_empty(path / "c"):
                raise StudyError(f"{self._what} is damaged: some of its files are missing or empty.")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(c, z, y, x)."""
        c, z, y, x = (int(n) for n in self._array.shape)
        return c, z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """The scan's own number type."""
        return np.dtype(self._array.dtype)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(c, stop - start, y, x) of slices `start` to `stop` - 1.

        Raises
        ------
        StudyError
            A checksum does not hold.
        StorageError
            The study cannot be reached.
        """
        parts = []
        for row in range(start // self._thick, -(-stop // self._thick)):
            first = row * self._thick
            parts.append(self._row(row)[:, max(start - first, 0) : stop - first])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def moments(self) -> tuple[Moments, ...] | None:
        """One per channel, if they were stored when the scan was added."""
        try:
            found = tuple(Moments(float(mean), float(std)) for mean, std in self._record[MOMENTS])
        except MALFORMED:
            return None
        sound = len(found) == self.shape[0] and all(math.isfinite(m.mean) and m.std >= 0 for m in found)
        return found if sound else None

    def _row(self, row: int) -> NDArray[Any]:
        if row in self._rows:
            self._rows[row] = self._rows.pop(row)  # used last, thrown out last
            return self._rows[row]
        while len(self._rows) >= _KEPT:
            del self._rows[next(iter(self._rows))]
        with storage_errors(self._what):
            try:
                found = np.asarray(self._array[:, row * self._thick : (row + 1) * self._thick])
            except (*MALFORMED, RuntimeError) as error:
                raise StudyError(f"{self._what} is damaged: {error}.") from error
        self._rows[row] = found
        return found


def _has_empty(folder: Path) -> bool:
    """Whether a file holds nothing, as a computer that lost its power may leave it."""
    return any(path.is_file() and not path.stat().st_size for path in folder.rglob("*"))


def moments_of(voxels: NDArray[Any]) -> list[list[float]]:
    """Mean and standard deviation of each channel over its finite voxels, slice by slice in float64.

    Combined as by Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm for computing
    sample variances", so that large numbers far from zero keep their spread.

    Parameters
    ----------
    voxels
        (c, z, y, x), any number type.
    """
    return [list(_channel(channel)) for channel in voxels]


def _channel(voxels: NDArray[Any]) -> tuple[float, float]:
    count, mean, squares = 0, 0.0, 0.0
    for slice_ in voxels:
        values = slice_.astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size == 0:
            continue
        shift = float(values.mean()) - mean
        total = count + values.size
        squares += float(values.var()) * values.size + shift**2 * count * values.size / total
        mean, count = mean + shift * values.size / total, total
    return mean, math.sqrt(squares / count) if count else 0.0
