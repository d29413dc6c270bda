"""Scans into a study, one bad file never stopping the rest."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Provenance
from napari_apprentice.core.volume import LabelMap, Volume
from napari_apprentice.errors import ApprenticeError, GeometryError, InputError, StorageError
from napari_apprentice.loop.correcting import check_fits
from napari_apprentice.loop.naming import Names
from napari_apprentice.scans.reader import expand, read_label_map, read_volume
from napari_apprentice.store.study import Study


@dataclass(frozen=True)
class Question:
    """Something a person must decide before a scan can be added.

    Parameters
    ----------
    path
        The file or folder to add again once it is decided; None where the case has several.
    case
        Name of the scan or case, to show.
    text
        What is to be decided and why.
    setting
        Field of `ReadSettings` or `AddSettings` that decides it.
    choices
        Values the field can take here, each with a sentence; empty where any value of its form will do.
    """

    path: Path | None
    case: str
    text: str
    setting: str
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class AddReport:
    """What came of adding files: cases added, files refused with the reason, oddities, and what must be decided."""

    added: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    labelled: tuple[str, ...] = ()


def add_scans(
    study: Study,
    paths: Sequence[Path],
    *,
    subject: str | None = None,
    corrected: Path | None = None,
    author: str = "",
    channels: tuple[str, ...] = (),
) -> Generator[Progress, None, AddReport]:
    """Read scans and keep each as a case; folders stand for the scans in them.

    Parameters
    ----------
    subject
        The person all of these scans are of; by default every scan is a subject of its own.
    corrected
        A label map that comes in as an accepted revision; only with a single scan.
    channels
        Channel names; by default "CT" where Hounsfield units are recognised, else the reader's.

    Raises
    ------
    InputError
        No file is given, or `corrected` with several scans.
    StorageError
        The disk is full or gone: going on would refuse every further file for the same reason.
    """
    files = expand(paths)
    if not files:
        raise InputError(f"No scan found in {', '.join(str(p) for p in paths) or 'nothing'}.")
    if corrected is not None and len(files) != 1:
        raise InputError(f"--corrected goes with one scan, not with {len(files)}.")
    work = _Adding(study, Names(study, files), subject, corrected, author, channels)
    added: list[str] = []
    refused: list[tuple[str, str]] = []
    warnings: list[str] = []
    for done, path in enumerate(files):
        yield Progress(done, len(files), f"Adding {path.name}")
        try:
            case_id, oddities = work.one(path)
        except StorageError:
            raise
        except ApprenticeError as error:
            refused.append((path.name, str(error)))
            continue
        added.append(case_id)
        warnings += oddities
    yield Progress(len(files), len(files), f"Added {len(added)} of {len(files)}")
    return AddReport(tuple(added), tuple(refused), tuple(warnings))


@dataclass(frozen=True, eq=False)
class _Adding:
    """What is the same for all files of one adding; the fields are those of `add_scans`."""

    study: Study
    names: Names
    subject: str | None
    corrected: Path | None
    author: str
    channels: tuple[str, ...]

    def one(self, path: Path) -> tuple[str, tuple[str, ...]]:
        """Add a file; its case id, and what was odd about it."""
        volume = read_volume(path)
        case_id = self.names.choose(path, volume)
        labels = _fitting(self.study, volume, self.corrected) if self.corrected else None
        case_id = add_volume(self.study, volume, case_id, subject=self.subject, channels=self.channels)
        self.names.take(case_id, volume)
        if labels is not None:
            self._accept(case_id, labels)
        return case_id, volume.warnings

    def _accept(self, case_id: str, labels: LabelMap) -> None:
        try:
            keep_accepted(self.study, case_id, labels, self.author)
        except StorageError as error:
            text = f"{error} Scan {case_id} itself was added; give it its label map with the correct command."
            raise StorageError(text) from error


def add_volume(
    study: Study, volume: Volume, case_id: str, *, subject: str | None = None, channels: tuple[str, ...] = ()
) -> str:
    """Keep a volume as a new case and return its id; the subject defaults to the id."""
    names = channels or _channel_names(volume)
    named = Volume(volume.voxels, volume.geometry, names, volume.source_name, volume.source_digest, volume.warnings)
    return study.cases.add(case_id, subject or case_id, named).case_id


def keep_accepted(study: Study, case_id: str, labels: LabelMap, author: str) -> str:
    """Store a label map that came with its scan as a revision in which every voxel is accepted."""
    status = np.ones(labels.voxels.shape, np.uint8)
    revision = study.revisions.save(case_id, labels.voxels, status, Provenance(author, origin="import"))
    study.split.assign(study.cases.info(case_id).subject)
    return revision.name


def _fitting(study: Study, volume: Volume, path: Path) -> LabelMap:
    labels = read_label_map(path)
    difference = volume.geometry.difference(labels.geometry)
    if difference:
        raise GeometryError(f"{path.name} does not fit {volume.source_name}: {difference}.")
    check_fits(study.schema, labels, path.name)
    return labels


def _channel_names(volume: Volume) -> tuple[str, ...]:
    if len(volume.channels) == 1 and looks_like_ct(volume.voxels[0]):
        return ("CT",)
    return volume.channels


def looks_like_ct(voxels: NDArray[Any]) -> bool:
    """Whether voxels are Hounsfield units: whole numbers of a signed type with air far below water.

    Only CT has a fixed negative value for air (-1000 HU); MR and PET start at zero.
    """
    if voxels.dtype.kind not in "if":
        return False
    sample = voxels[:: max(1, voxels.shape[0] // 16), ::4, ::4]
    low, high = float(np.nanmin(sample)), float(np.nanmax(sample))
    return -3100 <= low <= -700 and high > 50
