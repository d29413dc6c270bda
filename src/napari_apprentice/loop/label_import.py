"""Label maps that come with scans, as accepted revisions."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.collecting import SEPARATE, AddSettings
from napari_apprentice.core.correction import ACCEPTED, UNSEEN
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Provenance
from napari_apprentice.core.volume import LabelArray, LabelMap, Volume
from napari_apprentice.errors import ApprenticeError, ChoiceError, InputError
from napari_apprentice.loop.label_matching import IGNORE, Matched, match_labels
from napari_apprentice.scans.datasets.balls import label_map_of
from napari_apprentice.scans.datasets.found import Found, FoundCase
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.scans.segments.belonging import refuse_foreign
from napari_apprentice.scans.segments.masks import masks_in
from napari_apprentice.scans.suffixes import stem_of
from napari_apprentice.scans.told_names import with_told
from napari_apprentice.store.study import Study

_MANY = 4  # from here on label maps that fail for a data set's sake are counted, not told one by one
_TOLD = 8
_TOO_MANY = 12  # from here on those that fail for any reason


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
        self._failed: list[tuple[str, str]] = []
        self._notes: Counter[str] = Counter()
        self._taken = 0

    def ask(self, case: FoundCase, shown: str) -> None:
        """Stop before a case is read when one of several label maps must be chosen.

        Raises
        ------
        ChoiceError
            There are several.
        """
        left = self._wanted(case.choices)
        if len(left) > 1 and self._collect.labels:
            choices = tuple((_telling(p, left), f"take {p.name}") for p in left)
            raise ChoiceError(f"{shown} has {len(left)} label maps.", "labels_from", choices)

    def of(self, case: FoundCase, volume: Volume) -> Matched | None:
        """The label map that comes with a case, on its grid and in the study's ids; None when there is none.

        Raises
        ------
        ApprenticeError
            It cannot be read, lies on another grid, or has labels that the study lacks.
        """
        if not self._collect.labels:
            return None
        if case.balls:
            balls = label_map_of(case.balls, volume.geometry)
            return self._matched(with_told(balls, self._told(), "annotations.csv"), "annotations.csv")
        path = self._path(case)
        return self.read(path, volume) if path else None

    def read(self, path: Path, volume: Volume) -> Matched:
        """Read a label map onto a volume's grid, in the study's ids."""
        doubt = refuse_foreign(path, volume.acquisition, self._settings)
        refuse_masks(self._schema, path, self._settings)
        labels = read_label_map(path, self._settings, volume.geometry, self._unknown(), self._told())
        if doubt:
            labels = replace(labels, warnings=(*labels.warnings, doubt))
        return self._matched(fit(labels, volume.geometry, path.name, resample=self._collect.resample), path.name)

    def failed(self, case_id: str, error: ApprenticeError) -> None:
        """Note a scan that was added without its label map."""
        self._failed.append((case_id, str(error)))

    def summary(self) -> tuple[str, ...]:
        """What is to be said of label maps; what holds for a whole data set, or for many cases, is said once."""
        notes = [f"{count} label maps: {text}" if count > 1 else text for text, count in self._notes.items()]
        said = [self._difference] if self._difference and (self._failed or self._notes) else []
        if len(self._failed) < (_MANY if self._difference else _TOO_MANY):
            return (*said, *notes, *(f"{c} was added without its label map: {why}" for c, why in self._failed))
        first, why = self._failed[0]
        once = f"{len(self._failed)} scans were added without their label maps; the first is {first}: {why}"
        if 0 < self._taken < len(self._failed):
            once += (
                f" Only {self._taken} of {self._taken + len(self._failed)} label maps have no other labels than the "
                "study's; see whether they mean the same."
            )
        return (*said, *notes, once)

    def _matched(self, labels: LabelMap, name: str) -> Matched:
        """The study's ids; what the data set says to ignore stays unseen."""
        ignore = self._found.ignore
        unseen = None if ignore is None else labels.voxels == ignore
        if unseen is not None:
            labels = replace(labels, voxels=np.where(unseen, labels.voxels.dtype.type(0), labels.voxels))
        matched = match_labels(self._schema, labels, name, self._settings.match)
        self._taken += 1
        self._notes.update(note.removeprefix(f"{name}: ") for note in matched.notes)
        if unseen is None or matched.ignored is None:
            return replace(matched, ignored=unseen if matched.ignored is None else matched.ignored)
        return replace(matched, ignored=unseen | matched.ignored)

    def _unknown(self) -> set[int]:
        usual = {IGNORE} - {*self._schema.ids}
        return usual if self._found.ignore is None else usual | {self._found.ignore}

    def _told(self) -> dict[int, str]:
        return {x.id: x.name for x in self._found.schema.labels} if self._found.schema else {}

    def _wanted(self, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(p for p in paths if self._collect.labels_from in p.as_posix())

    def _path(self, case: FoundCase) -> Path | None:
        """A case's own label map, else the one on the grid that was taken; others only when resampling."""
        left = self._wanted(case.choices)
        if case.labels or len(left) == 1:
            return case.labels or left[0]
        reference = self._collect.reference
        named = [c for c in case.channels if c.name == reference and reference not in ("", SEPARATE)]
        first = named or list(case.channels[:1])
        maps = [c.labels for c in (*first, *(case.channels if self._collect.resample else ())) if c.labels]
        return maps[0] if maps else None


def refuse_masks(schema: LabelSchema, folder: Path, settings: ReadSettings) -> None:
    """Stop at the first mask of a label that the study lacks: to read a hundred only to refuse them takes long.

    Raises
    ------
    InputError
        There is such a mask, with a voxel in it.
    """
    if settings.segments.strip():
        return
    strange = [p for p in masks_in(folder) if schema.id_of(stem_of(p)) is None]
    if any(read_label_map(p, settings).voxels.any() for p in strange):
        told = ", ".join(stem_of(p) for p in strange[:_TOLD]) + " ..." * (len(strange) > _TOLD)
        known = ", ".join(f"{x.id} {x.name}" for x in schema.labels)
        raise InputError(
            f"{folder.name} has masks of {told}, which this study does not have ({known}). "
            "--segments takes some of its labels only."
        )


def schema_difference(study: LabelSchema, found: LabelSchema | None) -> str:
    """Say how the labels of a data set differ from a study's; "" when every one of them is there by name."""
    if found is None:
        return ""
    odd = [f"{x.id} {x.name}" for x in found.labels if study.id_of(x.name) is None]
    if not odd:
        return ""
    known = ", ".join(f"{x.id} {x.name}" for x in study.labels)
    return (
        f"The labels of this data set are not the study's: it has {', '.join(odd)}, the study {known}. "
        "create --dataset makes a study with the data set's labels."
    )


def keep_accepted(
    study: Study, case_id: str, labels: LabelArray, *, author: str, ignored: NDArray[np.bool_] | None = None
) -> str:
    """Store labels (z, y, x) that came with a scan as a revision: accepted, but unseen where the mask `ignored` is."""
    status = np.full(labels.shape, ACCEPTED, np.uint8)
    if ignored is not None:
        status[ignored] = UNSEEN
    study.split.assign(study.cases.info(case_id).subject)
    return study.revisions.save(case_id, labels, status, Provenance(author, origin="import")).name


def _telling(path: Path, others: tuple[Path, ...]) -> str:
    """The shortest end of a path that no other path holds."""
    for count in range(1, len(path.parts) + 1):
        end = "/".join(path.parts[-count:])
        if sum(end in other.as_posix() for other in others) == 1:
            return end
    return path.as_posix()
