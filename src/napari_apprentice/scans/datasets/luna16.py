"""LUNA16: CT scans as .mhd, nodules as spheres in annotations.csv."""

import csv
import math
from pathlib import Path

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import InputError
from napari_apprentice.scans.datasets.folders import name_of, scans_in, stem_of, tree
from napari_apprentice.scans.datasets.found import Ball, ChannelFile, Found, FoundCase

NAME = "annotations.csv"
_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


def looks_like_luna16(folder: Path) -> bool:
    """Whether a folder holds an annotations.csv with LUNA16's columns."""
    try:
        with (folder / NAME).open(encoding="utf-8-sig", newline="") as file:
            return set(_COLUMNS) <= set(next(csv.reader(file), ()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def find_luna16(folder: Path) -> Found:
    """The scans of LUNA16's subsets with their nodules; candidates and lung masks are passed over.

    Raises
    ------
    InputError
        annotations.csv is missing or damaged.
    """
    balls = _balls(folder / NAME)
    files = [
        path
        for place in tree(folder)
        if not any(part.lower().startswith("seg-lungs") for part in place.relative_to(folder).parts)
        for path in scans_in(place)
        if path.suffix.lower() == ".mhd"
    ]
    cases = tuple(
        FoundCase(stem_of(p), stem_of(p), (ChannelFile("CT", p),), balls=tuple(balls.get(stem_of(p), ())))
        for p in files
    )
    here = {c.case_id for c in cases}
    absent = sum(uid not in here for uid in balls)
    bare = sum(not c.balls for c in cases)
    notes = ["Nodules are spheres of the diameter in annotations.csv, not outlines."]
    notes += [f"{bare} scans have no row in {NAME} and come without a label map."] * bool(bare)
    notes += [f"{absent} scans that {NAME} names are not in this folder."] * bool(absent)
    return Found("luna16", cases, (), tuple(notes), LabelSchema.from_names(["nodule"]), name_of(folder))


def _balls(path: Path) -> dict[str, list[Ball]]:
    found: dict[str, list[Ball]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                found.setdefault(row["seriesuid"].strip(), []).append(_ball(row, path, number))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. LUNA16 keeps its nodules there.") from error
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no table with the columns {', '.join(_COLUMNS)}.") from error
    return found


def _ball(row: dict[str, str], path: Path, line: int) -> Ball:
    try:
        x, y, z, diameter = (float(row[name]) for name in _COLUMNS[1:])
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}, line {line}: a position or diameter is no number.") from error
    if not all(map(math.isfinite, (x, y, z, diameter))) or diameter <= 0:
        raise InputError(f"{path}, line {line}: a position or diameter is no finite number above 0.")
    return Ball((-x, -y, z), diameter)  # the table is in ITK's LPS world, this program's is RAS
