"""Label maps that come with scans, as accepted revisions."""

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.collecting import SEPARATE, AddSettings
from napari_apprentice.core.correction import ACCEPTED
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Provenance
from napari_apprentice.core.volume import LabelMap, Volume
from napari_apprentice.errors import ChoiceError
from napari_apprentice.scans.balls import label_map_of
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.found import Found, FoundCase
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.store.study import Study


class LabelImport:
    """The label maps of one adding.

    Parameters
    ----------
    schema
        The study's labels.
    found
        What is being added.
    settings, collect
        How files are read and become cases.
    """

    def __init__(self, schema: LabelSchema, found: Found, settings: ReadSettings, collect: AddSettings) -> None:
        self._schema = schema
        self._found = found
        self._settings = settings
        self._collect = collect
        self._difference = schema_difference(schema, found.schema) if collect.labels else ""
        self._strange: dict[tuple[int, ...], list[str]] = defaultdict(list)

    def ask(self, case: FoundCase, shown: str) -> None:
        """Stop before a case is read when one of several label maps must be chosen.

        Raises
        ------
        ChoiceError
            There are several.
        """
        if case.choices and self._collect.labels:
            choices = tuple((_telling(p, case.choices), f"take {p.name}") for p in case.choices)
            raise ChoiceError(f"{shown} has {len(case.choices)} label maps.", "labels_from", choices)

    def of(self, case: FoundCase, volume: Volume) -> LabelMap | None:
        """The label map that comes with a case, on its grid; None when there is none.

        Raises
        ------
        ApprenticeError
            It cannot be read or lies on another grid.
        """
        if not self._collect.labels:
            return None
        if case.balls:
            return label_map_of(case.balls, volume.geometry)
        path = self._path(case)
        return self.read(path, volume) if path else None

    def read(self, path: Path, volume: Volume) -> LabelMap:
        """Read a label map onto a volume's grid."""
        labels = read_label_map(path, self._settings)
        return fit(labels, volume.geometry, path.name, resample=self._collect.resample)

    def status(self, labels: LabelMap) -> tuple[LabelMap, NDArray[np.uint8]]:
        """Labels and status (z, y, x): accepted, but unseen and 0 where the data set says "ignore"."""
        status = np.full(labels.voxels.shape, ACCEPTED, np.uint8)
        if self._found.ignore is None:
            return labels, status
        unseen = labels.voxels == self._found.ignore
        status[unseen] = 0
        voxels = np.where(unseen, np.zeros(1, labels.voxels.dtype), labels.voxels)
        return LabelMap(voxels, labels.geometry, labels.names, labels.colours, labels.warnings), status

    def strange(self, case_id: str, labels: LabelMap) -> str | None:
        """Say how many voxels have a label the study lacks; None when none has.

        Where a whole data set has other labels than the study this is "", and `summary` says it once.
        """
        counts = np.bincount(labels.voxels.ravel())
        ids = [int(i) for i in np.flatnonzero(counts) if i and i not in self._schema.ids]
        if not ids:
            return None
        if self._difference:
            self._strange[tuple(ids)].append(case_id)
            return ""
        told = ", ".join(f"{i} ({counts[i]} voxels)" for i in ids[:8])
        more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
        known = ", ".join(f"{x.id} {x.name}" for x in self._schema.labels)
        return f"{case_id} was added without its label map, which holds label {told}{more}; this study has {known}."

    def summary(self) -> tuple[str, ...]:
        """What is to be said once about labels of a data set that are not the study's."""
        if not self._difference:
            return ()
        said = [self._difference]
        for ids, cases in self._strange.items():
            names = ", ".join(cases[:3]) + (f" and {len(cases) - 3} more" if len(cases) > 3 else "")
            held = ", ".join(map(str, ids[:8])) + (" ..." if len(ids) > 8 else "")
            said.append(f"{len(cases)} scans were added without their label maps, which hold label {held}: {names}.")
        return tuple(said)

    def _path(self, case: FoundCase) -> Path | None:
        """A case's own label map, else the one on the grid that was taken; others only when resampling."""
        if case.labels:
            return case.labels
        reference = self._collect.reference
        named = [c for c in case.channels if c.name == reference and reference not in ("", SEPARATE)]
        first = named or list(case.channels[:1])
        maps = [c.labels for c in (*first, *(case.channels if self._collect.resample else ())) if c.labels]
        return maps[0] if maps else None


def schema_difference(study: LabelSchema, found: LabelSchema | None) -> str:
    """Say how the labels of a data set differ from a study's; "" when every one of them is there by id and name."""
    if found is None:
        return ""
    ours = {x.id: x.name for x in study.labels}
    odd = [f"{x.id} {x.name}" for x in found.labels if ours.get(x.id, "").casefold() != x.name.casefold()]
    if not odd:
        return ""
    known = ", ".join(f"{i} {name}" for i, name in ours.items())
    return (
        f"The labels of this data set are not the study's: it has {', '.join(odd)}, the study {known}. "
        "Ids count; a study with the data set's labels is made with create --dataset."
    )


def keep_accepted(
    study: Study, case_id: str, labels: LabelMap, status: NDArray[np.uint8] | None = None, *, author: str
) -> str:
    """Store a label map that came with its scan as a revision; by default every voxel is accepted."""
    if status is None:
        status = np.full(labels.voxels.shape, ACCEPTED, np.uint8)
    revision = study.revisions.save(case_id, labels.voxels, status, Provenance(author, origin="import"))
    study.split.assign(study.cases.info(case_id).subject)
    return revision.name


def _telling(path: Path, others: tuple[Path, ...]) -> str:
    """The shortest end of a path that no other path holds."""
    for count in range(1, len(path.parts) + 1):
        end = "/".join(path.parts[-count:])
        if sum(end in other.as_posix() for other in others) == 1:
            return end
    return path.as_posix()
