"""Label names and colours in a NRRD, as 3D Slicer keeps them."""

import re
from collections.abc import Mapping
from pathlib import Path

import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by

from napari_apprentice.scans.itk import reader_of


def read_segments(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours (#rrggbb) by label id, from Segment0_LabelValue, Segment0_Name, Segment0_Color ...

    Raises
    ------
    RuntimeError
        The header cannot be read.
    """
    reader = reader_of(path)
    reader.ReadImageInformation()
    facts = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    names, colours = {}, {}
    for key, value in facts.items():
        match = re.fullmatch(r"(Segment\d+)_LabelValue", key)
        if match is None:
            continue
        segment, label = match.group(1), int(value)
        if f"{segment}_Name" in facts:
            names[label] = facts[f"{segment}_Name"]
        if colour := _hexadecimal(facts.get(f"{segment}_Color", "")):
            colours[label] = colour
    return names, colours


def put_segments(image: sitk.Image, names: Mapping[int, str], colours: Mapping[int, str]) -> None:
    """Write names and colours where 3D Slicer looks for them."""
    for number, label in enumerate(sorted({*names, *colours})):
        image.SetMetaData(f"Segment{number}_ID", f"Segment_{label}")
        image.SetMetaData(f"Segment{number}_LabelValue", str(label))
        image.SetMetaData(f"Segment{number}_Name", names.get(label, f"label {label}"))
        if label in colours:
            parts = (int(colours[label][n : n + 2], 16) / 255 for n in (1, 3, 5))
            image.SetMetaData(f"Segment{number}_Color", " ".join(f"{part:.6f}" for part in parts))


def _hexadecimal(text: str) -> str:
    try:
        parts = [round(float(part) * 255) for part in text.split()]
    except ValueError:
        return ""
    return "#" + "".join(f"{p:02x}" for p in parts) if len(parts) == 3 and all(0 <= p <= 255 for p in parts) else ""
