"""Pictures of what a candidate changed: the held-out scans it did best and worst on, before and after."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plane import Plane
from napari_apprentice.core.volume import LabelArray

WIDTH = 300  # pixels of each of the three panels
TALLEST = 420
LINE = 2  # pixels an outline is wide
UNSEEN_LIGHT = 0.45  # where nobody has looked at the reference, the scan is darker


def change_pictures(
    report: GateReport, planes: Sequence[Plane], schema: LabelSchema, titles: tuple[str, str]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Draw the scan with the best and the one with the worst change of mean Dice.

    Parameters
    ----------
    planes
        One slice of each held-out scan.
    titles
        What the two model versions are called.

    Returns
    -------
    PNG files by name, best.png and worst.png (one of the two where there is one scan); and of each what it shows,
    as JSON values.
    """
    changes = {p.revision: _mean_change(report, p.revision) for p in planes}
    ranked = sorted((p for p in planes if changes[p.revision] is not None), key=lambda p: changes[p.revision] or 0.0)
    if not ranked:
        return {}, {}
    ends = {"best.png": ranked[-1], "worst.png": ranked[0]}
    if len(ranked) == 1:
        ends.pop("worst.png" if (changes[ranked[0].revision] or 0.0) >= 0 else "best.png")
    pictures = {name: _png(plane, report, schema, titles) for name, plane in ends.items()}
    told = {
        name: {"revision": plane.revision, "z": plane.z, "change": changes[plane.revision]}
        for name, plane in ends.items()
    }
    return pictures, told


def _dice(report: GateReport, revision: str) -> tuple[float, float] | None:
    pairs = [(p.before, p.after) for p in report.pairs if p.revision == revision]
    return None if not pairs else (float(np.mean([b for b, _ in pairs])), float(np.mean([a for _, a in pairs])))


def _mean_change(report: GateReport, revision: str) -> float | None:
    found = _dice(report, revision)
    return None if found is None else found[1] - found[0]


def _png(plane: Plane, report: GateReport, schema: LabelSchema, titles: tuple[str, str]) -> bytes:
    dice = _dice(report, plane.revision) or (0.0, 0.0)
    panels = [
        _panel(plane, plane.before, schema, f"{titles[0]}: mean Dice {dice[0]:.3f}"),
        _panel(plane, plane.after, schema, f"{titles[1]}: mean Dice {dice[1]:.3f}"),
        _panel(plane, plane.reference, schema, f"corrected ({plane.revision}, z {plane.z})"),
    ]
    sheet = Image.new("RGB", (sum(p.width for p in panels), panels[0].height))
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i * panel.width, 0))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _panel(plane: Plane, labels: LabelArray, schema: LabelSchema, title: str) -> Image.Image:
    size = _size(plane)
    grey = Image.fromarray(_grey(plane)).resize(size, Image.Resampling.BILINEAR)
    rgb = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    enlarged = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(size, Image.Resampling.NEAREST))
    colours = _colours(schema)
    for label in np.unique(enlarged[enlarged > 0]):
        mask = enlarged == label
        rgb[mask & ~ndimage.binary_erosion(mask, iterations=LINE)] = colours.get(int(label), (255, 255, 255))
    image = Image.fromarray(rgb)
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((0, 0, size[0], 17), fill=(0, 0, 0))
    drawing.text((6, 3), title, fill=(255, 255, 255))
    return image


def _size(plane: Plane) -> tuple[int, int]:
    """Width and height in pixels, in proportion to millimetres."""
    rows, columns = (n * mm for n, mm in zip(plane.scan.shape, plane.spacing, strict=True))
    zoom = min(WIDTH / columns, TALLEST / rows)
    return max(1, round(columns * zoom)), max(1, round(rows * zoom))


def _grey(plane: Plane) -> NDArray[np.uint8]:
    scan = np.nan_to_num(plane.scan.astype(np.float64))
    low, high = np.percentile(scan, (1, 99.5))
    light = np.clip((scan - low) / max(high - low, 1e-9), 0, 1) * np.where(plane.known, 1.0, UNSEEN_LIGHT)
    grey: NDArray[np.uint8] = (255 * light).astype(np.uint8)
    return grey


def _colours(schema: LabelSchema) -> Mapping[int, tuple[int, ...]]:
    return {x.id: tuple(int(x.colour[i : i + 2], 16) for i in (1, 3, 5)) for x in schema.labels}
