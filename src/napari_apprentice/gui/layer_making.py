"""The layers that an open case is made of."""

from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_apprentice.core.differences import KindArray, Place
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import CaseInfo
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.gui.pictures import Channel
from napari_apprentice.gui.placing import AXES, UNITS, metadata_of, place_of
from napari_apprentice.loop.opening import OpenCase

LABELS, STATUS, UNCERTAINTY = "Corrections", "Status", "Uncertainty"
OUTLINE = 1  # voxels
DIFFERENCE_COLOURS: dict[int | None, str] = {1: "#ff00ff", 2: "#00ffff", 3: "#b6ff00"}
"""Only in the first (mine), only in the second (theirs), in both but otherwise; brighter than any label's colour."""
STATUS_COLOURS = {None: "transparent", 0: "transparent", 1: "#2ca02c", 2: "#ff7f0e"}


def warm_up() -> None:
    """Make one layer of each kind and forget it: napari imports half a second of code for the first ones."""
    place = {"scale": (1.0, 1.0, 1.0), "units": UNITS, "axis_labels": AXES}
    Image(np.zeros((1, 2, 2), np.uint8), colormap="gray", **place)
    Labels(np.zeros((1, 2, 2), np.uint8), colormap=DirectLabelColormap(color_dict=STATUS_COLOURS), **place)


def scan_layer(channel: Channel, info: CaseInfo) -> Image:
    """One channel of the scan."""
    return Image(
        channel.data, multiscale=channel.pyramid, name=scan_name(channel, info), colormap="gray",
        contrast_limits=channel.limits, blending="translucent_no_depth", **place_in(info),
    )  # fmt: skip


def scan_name(channel: Channel, info: CaseInfo) -> str:
    """The case's name, and the channel's where there are several."""
    return f"{info.case_id} {channel.name}" if len(info.channels) > 1 else info.case_id


def uncertainty_layer(uncertainty: NDArray[np.uint8], case: OpenCase) -> Image:
    """How unsure the model version was; hidden to begin with."""
    return Image(
        uncertainty, name=UNCERTAINTY, colormap="magma", blending="additive", visible=False,
        contrast_limits=(0, 255), **place_in(case.info),
    )  # fmt: skip


def status_layer(case: OpenCase) -> Labels:
    """Accepted green, edited orange; hidden to begin with, and nothing to paint on."""
    layer = Labels(
        case.canvas.status, name=STATUS, opacity=0.35, visible=False,
        colormap=DirectLabelColormap(color_dict=STATUS_COLOURS),
        features={"index": [0, 1, 2], "status": ["unseen", "accepted", "edited"]}, **place_in(case.info),
    )  # fmt: skip
    layer.editable = False
    return layer


def labels_layer(case: OpenCase, schema: LabelSchema) -> Labels:
    """The canvas itself, to paint on: the layer holds the very array, not a copy."""
    layer = Labels(
        case.canvas.labels, name=LABELS, opacity=0.55, colormap=label_colours(schema),
        features=label_names(schema), **place_in(case.info),
    )  # fmt: skip
    layer.brush_size = max(3, round(max(case.info.shape[1:]) / 25))
    layer.selected_label = schema.ids[0]
    return layer


def outline_layer(labels: LabelArray, info: CaseInfo, schema: LabelSchema, name: str) -> Labels:
    """A label map to look at beside the corrections: its outlines in the study's colours; nothing to paint on."""
    return _to_look_at(labels, info, name, label_colours(schema), opacity=1.0, contour=OUTLINE)


def difference_layer(kinds: KindArray, info: CaseInfo, name: str, opacity: float = 0.85) -> Labels:
    """Where two label maps differ, coloured by kind 1 to 3 (see `DIFFERENCE_COLOURS`); nothing to paint on."""
    colours: dict[int | None, str] = {None: "transparent", 0: "transparent", **DIFFERENCE_COLOURS}
    return _to_look_at(kinds, info, name, DirectLabelColormap(color_dict=colours), opacity)


def place_layer(place: Place, info: CaseInfo, name: str) -> Labels:
    """The outline of one place; an array as small as that, put where the place is."""
    colours = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", 1: "white"})
    layer = _to_look_at(np.zeros((1, 1, 1), np.uint8), info, name, colours, opacity=1.0, contour=1)
    layer.metadata = {}  # it lies on no grid that a writer should know of
    outline_place(layer, place, info)
    return layer


def outline_place(layer: Labels, place: Place, info: CaseInfo) -> None:
    """Let the layer of one place show another one: napari takes half a second to remove a layer."""
    layer.data = np.pad(place.mask, 1).view(np.uint8)  # one voxel more, so that the outline is closed
    start = np.array([s.start - 1 for s in place.box])
    layer.translate = np.add(place_of(info.geometry)["translate"], start * info.spacing)
    layer.editable = False


def _to_look_at(
    voxels: LabelArray, info: CaseInfo, name: str, colours: DirectLabelColormap, opacity: float, contour: int = 0
) -> Labels:
    layer = Labels(voxels, name=name, opacity=opacity, colormap=colours, **place_in(info))
    layer.contour = contour
    layer.editable = False
    return layer


def label_names(schema: LabelSchema) -> dict[str, list[Any]]:
    """What napari says of the label under the mouse."""
    ids = [0, *schema.ids]
    return {"index": ids, "label": [schema.name(i) for i in ids]}


def label_colours(schema: LabelSchema) -> DirectLabelColormap:
    """The schema's colours; background is clear, and an id outside the schema white, so that it is noticed."""
    colours: dict[int | None, str] = {x.id: x.colour for x in schema.labels}
    return DirectLabelColormap(color_dict={None: "white", 0: "transparent", **colours})


def place_in(info: CaseInfo) -> dict[str, Any]:
    """Scale, place, unit and axis names, which all layers of a case share, and its grid for whoever writes them."""
    return {**place_of(info.geometry), "metadata": metadata_of_case(info)}


def metadata_of_case(info: CaseInfo) -> dict[str, Any]:
    """What the layers of a case know of it."""
    files = [info.source_digest, *(s.detail.get("digest") for s in info.steps if s.kind == "channel")]
    return metadata_of(
        info.geometry, case=info.case_id, digests=[digest for digest in files if digest], acquisition=info.acquisition
    )
