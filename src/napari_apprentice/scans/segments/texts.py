"""Names of any characters and any length in attributes of DICOM that take 64 plain ones."""

import re

from pydicom.dataset import Dataset

from napari_apprentice.scans.dicom.file import text_of

_LONGEST = 64  # characters of a text of kind LO, and of a part of a PN
_LONGEST_DESCRIPTION = 1024  # of kind ST, in which a backslash is a character like any other


def short(text: str) -> str:
    """A text as one value of kind LO or PN: a backslash would end it there, and control characters are not allowed."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text.replace("\\", "/"))[:_LONGEST].strip()


def put_name(description: Dataset, name: str) -> None:
    """Name a segment, in full where its label cannot hold the name."""
    description.SegmentLabel = short(name)
    if description.SegmentLabel != name and len(name) <= _LONGEST_DESCRIPTION:
        description.SegmentDescription = name


def name_of(description: Dataset) -> str:
    """A segment's label; its description where that is the same name in full, as `put_name` writes it."""
    label, full = text_of(description, "SegmentLabel"), text_of(description, "SegmentDescription")
    return full if short(full) == label else label
