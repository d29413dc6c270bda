"""What several networks, looking at a window from several sides, say about it."""

from collections.abc import Callable
from itertools import combinations

import torch

from napari_apprentice.errors import RunError
from napari_apprentice.learn.backend import Backend
from napari_apprentice.learn.device import is_out_of_memory, release_memory

KEPT = 2**23  # numbers of an empty window that are worth keeping


class Voters:
    """Backends asked about the same windows.

    Parameters
    ----------
    backends
        One per model.
    mirror_axes
        Axes (0 z, 1 y, 2 x) along which windows are flipped too, in every combination; logits, or what they are
        made of, are averaged over the flips, as nnU-Net does.
    """

    def __init__(self, backends: tuple[Backend, ...], mirror_axes: tuple[int, ...]) -> None:
        self._backends = backends
        axes = [a + 2 for a in mirror_axes]  # of (b, c, z, y, x)
        self._flips = [list(f) for n in range(len(axes) + 1) for f in combinations(axes, n)]
        self.batch = min(b.batch for b in backends)
        self._empty: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def name(self) -> str:
        """As it is recorded."""
        return ", ".join(dict.fromkeys(backend.name for backend in self._backends))

    def run(self, patches: torch.Tensor) -> torch.Tensor:
        """(b, maps of all models, z, y, x); valid until the next call."""
        found = [self._of(backend, patches) for backend in self._backends]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    def retrying(self, cut: Callable[[int], torch.Tensor], shrink: Callable[[], bool]) -> torch.Tensor:
        """What the first windows give, as many as memory allows.

        Parameters
        ----------
        cut
            Gives up to so many patches.
        shrink
            Makes room elsewhere; False when there is none to make.

        Raises
        ------
        RunError
            Not even one window fits.
        """
        while True:
            try:
                return self._remembering(cut(self.batch))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch == 1 and not shrink():
                    raise RunError(
                        "There is too little free memory for one window of this model. Close other programs, or "
                        "choose cpu as the device."
                    ) from error
            # outside the handler, where the error no longer holds the tensors
            self.batch = max(1, self.batch // 2)
            release_memory()

    def _remembering(self, patches: torch.Tensor) -> torch.Tensor:
        """`run`, where windows of one value (air, or padding) are computed once per value, on the CPU.

        Of several windows those up to the first of one value are computed, or that one alone.
        """
        if len(patches) > 1 and patches.device.type != "cpu":
            return self.run(patches)
        flat = (patches == patches[:, :, :1, :1, :1]).flatten(1).all(1)
        if not bool(flat[0]):
            return self.run(patches[: int(flat.int().argmax())] if bool(flat.any()) else patches)
        patches = patches[:1]
        value = patches[0, :, 0, 0, 0].clone()
        if self._empty is not None and torch.equal(self._empty[0], value):
            return self._empty[1]
        maps = self.run(patches)
        if maps.numel() <= KEPT:
            self._empty = (value, maps.clone())
        return maps

    def _of(self, backend: Backend, patches: torch.Tensor) -> torch.Tensor:
        if self._flips == [[]]:
            return backend.run(patches)
        total: torch.Tensor | None = None
        for axes in self._flips:
            maps = backend.run(patches.flip(axes)).flip(axes).float()
            total = maps if total is None else total.add_(maps)
        if total is None:
            return backend.run(patches)
        return total.div_(len(self._flips))
