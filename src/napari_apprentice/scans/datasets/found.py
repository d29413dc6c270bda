"""What was found in files and folders, before a voxel is read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_apprentice.core.labels import LabelSchema


@dataclass(frozen=True)
class ChannelFile:
    """One file or series of a case.

    Parameters
    ----------
    name
        Channel name; "" leaves it to the reader.
    path
        Scan file or DICOM folder; None where the data set has this channel but this case lacks it.
    names
        Channel names where the file holds several.
    labels
        A label map on this file's own grid.
    series
        Which DICOM series of a folder, as `ReadSettings.series`; "" leaves it to the settings.
    """

    name: str
    path: Path | None
    names: tuple[str, ...] = ()
    labels: Path | None = None
    series: str = ""


@dataclass(frozen=True)
class Ball:
    """A labelled sphere: centre (x, y, z) in mm, RAS+ world, diameter in mm."""

    centre: tuple[float, float, float]
    diameter: float


@dataclass(frozen=True)
class FoundCase:
    """Files that make one case.

    Parameters
    ----------
    case_id
        Proposed id; "" lets the scan decide (DICOM without names).
    subject
        The person as the data set says; "" when it does not.
    channels
        Files in channel order.
    labels
        A label map of the whole case.
    balls
        Spheres that stand for a label map with the label 1.
    session
        What tells scans of one subject apart, such as a BIDS session.
    choices
        Label maps of which one must be chosen; `labels` is None then.
    """

    case_id: str
    subject: str
    channels: tuple[ChannelFile, ...]
    labels: Path | None = None
    balls: tuple[Ball, ...] = ()
    session: str = ""
    choices: tuple[Path, ...] = ()

    @property
    def has_labels(self) -> bool:
        """Whether a label map comes with this case."""
        return self.labels is not None or bool(self.balls) or any(c.labels for c in self.channels)


@dataclass(frozen=True)
class Found:
    """A collection of scans as it was understood.

    Parameters
    ----------
    kind
        One of `core.collecting.LAYOUTS`.
    cases
        What can be added, in order.
    refused
        Name and reason of what is there but cannot be taken.
    notes
        Plain sentences about what was assumed or passed over.
    schema, title
        What the data set says about its labels and its name; None and "" when it does not.
    ignore
        Label value that means "not looked at", None when there is none.
    """

    kind: str
    cases: tuple[FoundCase, ...]
    refused: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    schema: LabelSchema | None = None
    title: str = ""
    ignore: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects the data set names, each once."""
        return tuple(dict.fromkeys(c.subject for c in self.cases if c.subject))

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names of all cases, each once."""
        names = [n for c in self.cases for f in c.channels for n in (f.names or (f.name,))]
        return tuple(dict.fromkeys(n for n in names if n))


def with_missing(cases: Sequence[FoundCase]) -> tuple[FoundCase, ...]:
    """Cases in which a channel that more than half of them have, and one lacks, has a place without a file."""
    counts = Counter(name for case in cases for name in {f.name for f in case.channels})
    first = list(dict.fromkeys(f.name for case in cases for f in case.channels))
    common = [name for name in first if name and counts[name] > len(cases) / 2]
    made = []
    for case in cases:
        own = {f.name: f for f in case.channels}
        usual = {name: own.get(name) or ChannelFile(name, None) for name in common}
        lacks = any(f.path is None for f in usual.values())
        files = (*usual.values(), *(f for f in case.channels if f.name not in usual))
        made.append(replace(case, channels=files) if lacks else case)
    return tuple(made)
