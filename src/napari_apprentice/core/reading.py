"""How a scan is to be read where its file leaves a choice, and what was done to its voxels on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_apprentice.core.config import Settings, setting
from napari_apprentice.errors import InputError


@dataclass(frozen=True)
class ReadSettings(Settings):
    """Answers to what files leave open; the defaults change no voxel silently."""

    series: str = setting(
        "", "Which DICOM series of a folder: its number, UID or a part of its description; all takes each as a case."
    )
    volumes: str = setting(
        "", "Which volumes of a 4D scan become channels: numbers from 0, separated by commas, or all."
    )
    colour: str = setting(
        "channels", "Coloured voxels become three channels, or one of grey.", choices=("channels", "grey")
    )
    spacing: str = setting("", "Voxel size in mm as z,y,x for pictures that do not say theirs; y,x for flat ones.")
    tilt: str = setting(
        "ask",
        "Tilted gantry or uneven slice gaps: keep the sheared grid exactly (only where gaps are even), or "
        "straighten by resampling, which is recorded.",
        choices=("ask", "keep", "straighten"),
    )
    not_numbers: str = setting(
        "keep",
        "Voxels that are NaN or infinite: keep them with a warning, fill them with 0, or refuse the scan.",
        choices=("keep", "zero", "refuse"),
    )
    segments: str = setting(
        "",
        "Which segments, contours or labels of a label map to take: names or numbers, separated by commas; all if "
        "empty.",
    )
    overlap: str = setting(
        "ask",
        "Voxels that several segments or contours claim go to the first, the last, or the smallest of them.",
        choices=("ask", "first", "last", "smallest"),
    )
    match: str = setting(
        "names",
        "Labels of a label map that names them are found in the study by name, or their numbers taken as they are.",
        choices=("names", "ids"),
    )
    foreign: str = setting(
        "ask",
        "A DICOM SEG or contours that say that they are of another person or scan than the case: ask, or take them.",
        choices=("ask", "take"),
    )
    suv: bool = setting(True, "PET in Bq/ml becomes SUV by body weight, which is recorded.")
    deidentify: bool = setting(True, "Take out of DICOM what points to a person (PS3.15, basic profile).")
    hide_names: bool = setting(False, "Keep no file names in the study, and name cases by number.")


@dataclass(frozen=True)
class Step:
    """One thing that was done to voxels on their way from the file.

    Parameters
    ----------
    what
        One plain sentence in the past tense: "Volumes 0, 2 of 5 were taken as channels."
    kind
        One word to find it by: volumes, colour, fill, straighten, resample, order, suv, deidentify ...
    detail
        Numbers that repeat it; JSON values.
    """

    kind: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"kind": self.kind, "what": self.what, "detail": dict(self.detail)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Step":
        """Read what `to_json` wrote."""
        return cls(str(data["kind"]), str(data["what"]), dict(data["detail"]))


def chosen_volumes(text: str, count: int) -> tuple[int, ...]:
    """Numbers of volumes from a setting's text; all of them for "all".

    Raises
    ------
    InputError
        No numbers, one named twice, or one that does not exist.
    """
    if text.strip() == "all":
        return tuple(range(count))
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"Volumes are numbers separated by commas, or all, not {text!r}.") from error
    wrong = [n for n in numbers if not 0 <= n < count]
    if wrong or len(set(numbers)) < len(numbers):
        raise InputError(f"Volumes are chosen once each from 0 to {count - 1}, not {text!r}.")
    return numbers


def chosen_spacing(text: str) -> tuple[float, float, float] | None:
    """Millimetres along (z, y, x) from a setting's text, None when it is empty; two numbers are (y, x).

    Raises
    ------
    InputError
        Not two or three numbers above 0.
    """
    if not text.strip():
        return None
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) == 2:
        sizes = [1.0, *sizes]
    if len(sizes) != 3 or not all(0 < s < float("inf") for s in sizes):
        raise InputError(f"Spacing is given in mm as z,y,x, such as 3,0.8,0.8, not {text!r}.")
    return sizes[0], sizes[1], sizes[2]
