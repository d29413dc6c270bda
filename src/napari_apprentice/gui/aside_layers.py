"""Voxels that belong to no case but are not thrown away, as hidden layers of their own."""

from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

ASIDE = "Not taken over"


class AsideLayers:
    """What something else put into the Corrections layer and no case could take over.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: list[Labels] = []

    def keep(self, voxels: NDArray[Any]) -> str:
        """Make a layer of them that is not shown; its name.

        Other voxels are another layer: a person was told of each where it is. The same ones are kept once.
        """
        self._layers = [x for x in self._layers if x in self._viewer.layers]
        layer = next((x for x in self._layers if np.array_equal(x.data, voxels)), None)
        if layer is None:
            active = self._viewer.layers.selection.active
            # Copied: it may be a view of the canvas, which goes on changing.
            layer = self._viewer.add_labels(np.array(voxels), name=ASIDE, visible=False)
            self._viewer.layers.selection.active = active
            self._layers.append(layer)
        return str(layer.name)
