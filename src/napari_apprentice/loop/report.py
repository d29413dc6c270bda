"""A folder with the table and pictures of once around the loop."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.loop.sample import STARTER
from napari_apprentice.loop.tuning import TuneReport
from napari_apprentice.store.study import Study

ZOOM_TO = 260  # pixels a panel is wide at least
OPACITY = 0.5


@dataclass(frozen=True)
class ReportRow:
    """Mean Dice of one label (or "mean") at one site before and after fine-tuning, on scans nobody corrected."""

    site: str
    label: str
    before: float
    after: float
    scans: int


def write_report(
    study: Study, out: Path, rows: Sequence[ReportRow], tune: TuneReport, cases: Sequence[str],
    reference: Callable[[str], LabelMap],
) -> None:  # fmt: skip
    """Write report.md, report.json and one picture per case (before, after, reference) into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for case_id in cases:
        _picture(study, case_id, tune.model, reference(case_id)).save(out / f"{case_id}.png")
    facts = {"rows": [asdict(r) for r in rows], "model": tune.model, "active": tune.active, "seconds": tune.seconds}
    (out / "report.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    (out / "report.md").write_text(_markdown(rows, tune, cases), encoding="utf-8")


def table(rows: Sequence[ReportRow]) -> list[str]:
    """The before/after table as lines of Markdown."""
    lines = ["| site | label | scans | before | after | change |", "|---|---|---|---|---|---|"]
    return lines + [
        f"| {r.site} | {r.label} | {r.scans} | {r.before:.3f} | {r.after:.3f} | {r.after - r.before:+.3f} |"
        for r in rows
    ]


def _markdown(rows: Sequence[ReportRow], tune: TuneReport, cases: Sequence[str]) -> str:
    pictures = [f"\n{c}: {STARTER}, {tune.model}, reference\n\n![{c}]({c}.png)" for c in cases]
    head = ["# Once around the loop", "", "Dice on sample scans that nobody corrected.", ""]
    return "\n".join([*head, *table(rows), "", tune.verdict, *pictures, ""])


def _picture(study: Study, case_id: str, model: str, reference: LabelMap) -> Image.Image:
    voxels = study.cases.voxels(case_id)[0]
    # The slice that shows most of the reference says most.
    z = int(np.argmax((reference.voxels > 0).sum(axis=(1, 2))))
    maps = [
        (STARTER, study.predictions.read(case_id, STARTER).labels),
        (model, study.predictions.read(case_id, model).labels),
        ("reference", reference.voxels),
    ]
    info = study.cases.info(case_id)
    panels = [_panel(voxels[z], labels[z], study.schema, info.spacing, title) for title, labels in maps]
    sheet = Image.new("RGB", (sum(p.width for p in panels), panels[0].height))
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i * panel.width, 0))
    return sheet


def _panel(
    scan: NDArray[Any], labels: LabelArray, schema: LabelSchema, spacing: tuple[float, float, float], title: str
) -> Image.Image:
    low, high = np.percentile(scan, (1, 99))
    grey = np.clip((scan.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1) * 255
    rgb = np.repeat(grey[..., None], 3, axis=2)
    for label in schema.labels:
        colour = np.array([int(label.colour[i : i + 2], 16) for i in (1, 3, 5)])
        rgb[labels == label.id] = (1 - OPACITY) * rgb[labels == label.id] + OPACITY * colour
    zoom = ZOOM_TO / (scan.shape[1] * spacing[2])
    size = (ZOOM_TO, round(scan.shape[0] * spacing[1] * zoom))
    image = Image.fromarray(rgb.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    ImageDraw.Draw(image).text((6, 4), title, fill=(255, 255, 255))
    return image
