"""What a study keeps about its cases, revisions, predictions and model versions."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import StatusArray
from napari_apprentice.core.counting import count_values
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.packed import keeps_packed, kept
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.reading import Step
from napari_apprentice.core.slabs import ArraySource, VoxelSource
from napari_apprentice.core.volume import LabelArray


def now() -> str:
    """UTC, ISO 8601, to the second; how every record is dated."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, eq=False)
class CaseInfo:
    """What is known of a case without reading a voxel.

    Parameters
    ----------
    case_id, subject
        Names inside the study.
    geometry
        Grid and way back to the source file.
    channels
        Channel names in array order; "CT" in a name asks for CT normalisation.
    dtype
        NumPy name of the voxels' type.
    source_name, source_digest
        File name without folder; SHA-256 of the file's bytes.
    added
        When, UTC.
    steps
        What was done to the voxels between the file and the study, in order.
    modality
        DICOM's word (CT, MR, PT ...), "" when unknown.
    acquisition
        What is known of the scan besides; see `core.volume.Volume`.
    """

    case_id: str
    subject: str
    geometry: Geometry
    channels: tuple[str, ...]
    dtype: str
    source_name: str
    source_digest: str
    added: str
    steps: tuple[Step, ...] = ()
    modality: str = ""
    acquisition: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x)."""
        return self.geometry.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along (z, y, x)."""
        return self.geometry.spacing


@dataclass(frozen=True)
class Provenance:
    """Who made a corrected label map, from what, at what cost.

    Parameters
    ----------
    author
        Who saved it.
    parent
        Revision it started from, or None.
    model
        Model version whose prediction it started from, or None.
    seconds
        Time a person spent on it.
    strokes
        Editing steps that led to it, undone ones and undos among them: the effort, and not what differs.
    voxels_changed
        Label id (as text, for JSON) to voxels that this label gained or lost since the start.
    origin
        "correction" when made here, "import" when a label map came from elsewhere, "restore", "rescue", "merge".
    merged
        Revisions whose changes were taken into it beside those of `parent`.
    """

    author: str
    parent: str | None = None
    model: str | None = None
    seconds: float = 0.0
    strokes: int = 0
    voxels_changed: Mapping[str, int] = field(default_factory=dict)
    origin: str = "correction"
    merged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Revision:
    """One stored, immutable corrected label map; `digest` is SHA-256 over its labels and status.

    `schema` are the ids of the labels that the study had then; None in revisions of before these were kept.
    """

    case_id: str
    name: str
    created: str
    provenance: Provenance
    voxels_accepted: int
    voxels_edited: int
    digest: str
    schema: tuple[int, ...] | None = None

    @property
    def key(self) -> str:
        """case_id/rNNNN, as model versions cite it."""
        return f"{self.case_id}/{self.name}"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model version proposed for a case.

    Parameters
    ----------
    labels
        (z, y, x) label ids.
    uncertainty
        (z, y, x) uint8; 255 is the highest entropy possible with this many labels.
    quality
        Label id to predicted Dice (soft-Dice confidence), only labels present in the prediction.
    seconds, device
        What it took, and on what.
    made
        How it was made, as JSON values: settings, backend, temperature, steps afterwards ...
    digest
        By which a stored one is told from one made anew; "" for one that is not stored.
    """

    labels: LabelArray
    uncertainty: NDArray[np.uint8]
    quality: Mapping[int, float]
    seconds: float = 0.0
    device: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""


@keeps_packed("where")
@dataclass(frozen=True, eq=False)
class OpenLabels:
    """Voxels that were called background when some labels did not exist yet: they may be of one of those.

    Parameters
    ----------
    sets
        Label ids that did not exist, one tuple for each list of labels that voxels were seen under.
    where
        (z, y, x) uint8: 0 where nothing is open, i where a label of `sets[i - 1]` may be; kept packed.
    """

    sets: tuple[tuple[int, ...], ...]
    where: NDArray[np.uint8]


@keeps_packed("labels", "status")
@dataclass(frozen=True, eq=False)
class Example:
    """One revision as training or evaluation material.

    Parameters
    ----------
    revision
        case_id/rNNNN.
    voxels
        (c, z, y, x), as in the case; or where they are read from, slab by slab, when they are needed.
    labels, status
        (z, y, x); voxels with status 0 are unknown and never taught. Kept packed, and unpacked each time: a study
        has hundreds.
    spacing
        Millimetres along (z, y, x).
    replay
        True when the base model version already learned from this revision, or was and is measured on it.
    open
        Where background may be a label that is newer than the revision; None where nowhere.
    """

    revision: str
    subject: str
    voxels: NDArray[Any] | VoxelSource
    labels: LabelArray
    status: StatusArray
    spacing: tuple[float, float, float]
    channels: tuple[str, ...] = ()
    replay: bool = False
    open: OpenLabels | None = None

    @property
    def source(self) -> VoxelSource:
        """The scan, to be read in slabs."""
        return ArraySource(self.voxels, self.spacing) if isinstance(self.voxels, np.ndarray) else self.voxels

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x) of the label map."""
        z, y, x = kept(self, "labels").shape
        return z, y, x

    def labels_shown(self) -> set[int]:
        """Labels that known voxels have."""
        return {int(i) for i in np.flatnonzero(count_values(self.labels[self.status != 0]))} - {0}

    def known(self, label: int) -> NDArray[np.bool_]:
        """(z, y, x): where it is known whether a voxel is of a label."""
        return self.knowing()(label)

    def knowing(self) -> Callable[[int], NDArray[np.bool_]]:
        """What `known` says of one label after another, with what is packed unpacked once."""
        seen: NDArray[np.bool_] = self.status != 0
        if self.open is None:
            return lambda _: seen
        sets, where = self.open.sets, self.open.where

        def known(label: int) -> NDArray[np.bool_]:
            closed = np.array([True, *(label not in s for s in sets)])
            found: NDArray[np.bool_] = seen & closed[where]
            return found

        return known


def labels_taught(examples: Iterable[Example], among: Collection[int]) -> frozenset[int]:
    """Those of some labels that a known voxel of any example has; no more examples are unpacked than need be."""
    wanted, found = frozenset(among), frozenset[int]()
    for example in examples:
        if wanted <= found:
            break
        found |= example.labels_shown()
    return wanted & found


@dataclass(frozen=True)
class ModelVersion:
    """Registered weights and everything needed to say where they come from.

    Parameters
    ----------
    name
        v0001 ...; "starter" for the one that comes with the program.
    parent
        The base model version it was tuned from; None for one trained from scratch.
    plan, schema
        Network and preprocessing; the labels its output rows stand for.
    revisions, held_out
        case_id/rNNNN it learned from, and those it was only measured on.
    gate
        The comparison it went through; None for a first model.
    settings, seed, libraries
        To repeat the run.
    weights_digest
        SHA-256 of weights.safetensors.
    origin
        Of one that was imported: library, name, digest of the file, labels and channels by name, lineage, digests
        of the scans it learned from ...
    temperature
        What its logits are divided by before the softmax; 1 leaves them as they are.
    metrics
        What else was measured, as JSON values: shares of the change that were tried, calibration, the steps after
        which it was measured ...
    pictures
        File name of each picture of a held-out scan to what it shows, with its digest, as JSON values.
    channels
        Names of the channels in the order in which the network reads them; empty where nobody knows them.
    run
        The training run that made it; "" for one that was imported, and where an earlier version did not write it down.
    """

    name: str
    parent: str | None
    created: str
    plan: Plan
    schema: LabelSchema
    revisions: tuple[str, ...]
    held_out: tuple[str, ...]
    gate: GateReport | None
    settings: Mapping[str, Any]
    seed: int
    libraries: Mapping[str, str]
    weights_digest: str
    note: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    run: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["plan"] = self.plan.to_json()
        data["schema"] = self.schema.to_json()
        data["gate"] = self.gate.to_json() if self.gate else None
        for key in ("revisions", "held_out", "channels"):
            data[key] = list(data[key])
        for key in ("settings", "libraries", "origin", "metrics", "pictures"):
            data[key] = dict(data[key])
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModelVersion":
        """Read what `to_json` wrote."""
        return cls(
            name=str(data["name"]),
            parent=data["parent"],
            created=str(data["created"]),
            plan=Plan.from_json(data["plan"]),
            schema=LabelSchema.from_json(data["schema"]),
            revisions=tuple(data["revisions"]),
            held_out=tuple(data["held_out"]),
            gate=GateReport.from_json(data["gate"]) if data["gate"] else None,
            settings=dict(data["settings"]),
            seed=int(data["seed"]),
            libraries=dict(data["libraries"]),
            weights_digest=str(data["weights_digest"]),
            note=str(data.get("note", "")),
            origin=dict(data.get("origin", {})),
            temperature=float(data.get("temperature", 1.0)),
            metrics=dict(data.get("metrics", {})),
            # Earlier versions left those of the other study with imported ones, which never have any of their own.
            pictures={} if data.get("origin") else dict(data.get("pictures", {})),
            channels=tuple(str(name) for name in data.get("channels", ())),
            run=str(data.get("run", "")),
        )
