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

    def ahead(self, patches: torch.Tensor) -> int:
        """Begin with the first windows of those that are going to be asked about; how many `retrying` will answer."""
        if patches.device.type != "cpu":  # nothing is begun there
            return len(patches)
        patches = _worth(patches)
        if self._flips == [[]] and self._known(patches) is None:
            self._backends[0].ahead(patches)
        return len(patches)

    def stop(self) -> None:
        """That is not going to be asked."""
        for backend in self._backends:
            backend.stop()

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
        if len(patches) > 1:
            patches = _worth(patches)
        known = self._known(patches)
        if known is not None:
            return known
        maps = self.run(patches)
        if len(patches) == 1 and bool(_flat(patches)) and maps.numel() <= KEPT:
            self._empty = (patches[0, :, 0, 0, 0].clone(), maps.clone())
        return maps

    def _known(self, patches: torch.Tensor) -> torch.Tensor | None:
        """What a window of one value gave before."""
        if self._empty is None or len(patches) > 1 or not bool(_flat(patches)):
            return None
        return self._empty[1] if torch.equal(self._empty[0], patches[0, :, 0, 0, 0]) else None

    def _of(self, backend: Backend, patches: torch.Tensor) -> torch.Tensor:
        if self._flips == [[]]:
            return backend.run(patches)
        total: torch.Tensor | None = None
        view = patches
        for axes, following in zip(self._flips, [*self._flips[1:], []], strict=True):
            backend.ahead(view)
            now, view = view, patches.flip(following)
            if following:
                backend.ahead(view)
            maps = backend.run(now).flip(axes).float()
            total = maps if total is None else total.add_(maps)
        if total is None:
            return backend.run(patches)
        return total.div_(len(self._flips))


def _flat(patches: torch.Tensor) -> torch.Tensor:
    """(b,) whether a window has one value."""
    return (patches == patches[:, :, :1, :1, :1]).flatten(1).all(1)


def _worth(patches: torch.Tensor) -> torch.Tensor:
    """Those up to the first of one value, or that one alone."""
    flat = _flat(patches)
    if bool(flat[0]):
        return patches[:1]
    return patches[: int(flat.int().argmax())] if bool(flat.any()) else patches
