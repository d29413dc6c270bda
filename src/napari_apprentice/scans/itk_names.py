"""Label names and colours in a NRRD, as 3D Slicer and MITK keep them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by

from napari_apprentice.scans.itk import GROUPS, reader_of


@dataclass(frozen=True)
class Segment:
    """What a NRRD says of a segment: which value in which layer it is, name and colour (#rrggbb), "" for none."""

    layer: int
    value: int
    name: str
    colour: str


def read_segments(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours (#rrggbb) by label id, from Segment0_LabelValue, Segment0_Name, Segment0_Color ...

    Raises
    ------
    RuntimeError
        The header cannot be read.
    """
    found = segments_of(path)
    return {s.value: s.name for s in found if s.name}, {s.value: s.colour for s in found if s.colour}


def segments_of(path: Path) -> tuple[Segment, ...]:
    """The segments that a NRRD describes, in its order; none where neither 3D Slicer nor MITK, or their like, wrote it.

    Raises
    ------
    RuntimeError
        The header cannot be read.
    """
    reader = reader_of(path)
    reader.ReadImageInformation()
    facts = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    if GROUPS in facts:
        return tuple(_of_mitk(facts[GROUPS]))
    numbers = sorted(int(match[1]) for key in facts if (match := re.fullmatch(r"Segment(\d+)_LabelValue", key)))
    return tuple(
        Segment(
            int(facts.get(f"Segment{n}_Layer", 0)),
            int(facts[f"Segment{n}_LabelValue"]),
            facts.get(f"Segment{n}_Name", ""),
            _hexadecimal(facts.get(f"Segment{n}_Color", "")),
        )
        for n in numbers
    )


def _of_mitk(text: str) -> Iterator[Segment]:
    """From [{"labels": [{"name": "liver", "value": 1, "color": {"value": [1, 0, 0]}}]}, ...], a group for a layer."""
    try:
        for layer, group in enumerate(json.loads(text)):
            for label in group["labels"] or ():
                colour = " ".join(str(part) for part in label.get("color", {}).get("value", ()))
                yield Segment(layer, int(label["value"]), str(label.get("name", "")), _hexadecimal(colour))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{GROUPS} is no list of groups of labels") from error


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
