"""The cases of a study: scans as OME-Zarr images, each with its geometry and where it came from."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import Step
from napari_apprentice.core.records import CaseInfo, now
from napari_apprentice.core.volume import Volume
from napari_apprentice.core.words import meant
from napari_apprentice.errors import ApprenticeError, InputError, StudyError
from napari_apprentice.store.arrays import (
    create_group,
    open_array,
    read_array,
    read_attributes,
    set_attributes,
    write_array,
)
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import aside_of, commit_folder, remove_quietly, storage_errors
from napari_apprentice.store.names import check_name, folders_in, is_name, is_number_name
from napari_apprentice.store.ome import image_attributes, label_list_attributes, pyramid
from napari_apprentice.store.trust import refuse_links
from napari_apprentice.store.vault import PLAIN, Vault
from napari_apprentice.store.voxel_source import MOMENTS, StoredVoxels, moments_of

AXES = ("c", "z", "y", "x")


class Cases:
    """Reads and adds cases; what is added never changes.

    Parameters
    ----------
    root
        The study's cases.zarr.
    vault
        The study's; in an encrypted one every case is named by number.
    """

    def __init__(self, root: Path, vault: Vault = PLAIN) -> None:
        self.root = root
        self.vault = vault

    def ids(self) -> tuple[str, ...]:
        """Case ids, sorted."""
        with storage_errors("the list of cases"):
            self.root.stat()  # every study has this folder, so a study without it is out of reach, not empty
            return folders_in(self.root)

    def folder(self, case_id: str) -> Path:
        """Folder of a case that exists.

        Raises
        ------
        InputError
            No such case.
        StudyError
            It is a link to somewhere else.
        StorageError
            The study's folder cannot be reached.
        """
        folder = self.root / case_id
        with storage_errors(f"case {case_id[:120]}"):
            there = is_name(case_id) and folder.is_dir()
            if not there:
                self.root.stat()  # a share that is gone is no case that does not exist
        if not there:
            raise InputError(
                f"There is no case {case_id[:120]!r} in this study; the case table (apprentice cases STUDY) names them."
                f"{meant(case_id[:120], self.ids())}"
            )
        for inner in ("image/labels", "predictions"):
            refuse_links(self.root, folder / inner)
        return folder

    def part(self, case_id: str, name: str) -> Path:
        """A folder of a case, such as image/labels.

        Raises
        ------
        InputError, StorageError
            As for `folder`.
        StudyError
            As for `folder`; or it is missing, as after a copy that was broken off.
        """
        part = self.folder(case_id) / name
        with storage_errors(f"case {case_id}"):
            if not part.is_dir():
                self.root.stat()  # a share that is gone is no damage
                raise StudyError(f"Case {case_id} is damaged: its folder {name} is missing.")
        return part

    def grid_voxels(self, case_id: str) -> int | None:
        """Voxels of a case's grid; None when there is no such case, or it is damaged."""
        with suppress(ApprenticeError):
            return math.prod(self.info(case_id).shape)
        return None

    def info(self, case_id: str) -> CaseInfo:
        """What is known of a case without reading a voxel.

        Raises
        ------
        InputError
            No such case.
        StudyError
            Its attributes are damaged.
        """
        record = self.record(case_id)
        try:
            return CaseInfo(
                case_id=case_id,
                subject=str(record["subject"]),
                geometry=Geometry.from_json(record["geometry"]),
                channels=tuple(str(c) for c in record["channels"]),
                dtype=str(record["dtype"]),
                source_name=str(record["source_name"]),
                source_digest=str(record["source_digest"]),
                added=str(record["added"]),
                steps=tuple(Step.from_json(step) for step in record.get("steps", ())),
                modality=str(record.get("modality", "")),
                acquisition=dict(record.get("acquisition", {})),
            )
        except MALFORMED as error:
            raise StudyError(f"Case {case_id} is damaged: its attributes cannot be understood.") from error

    def record(self, case_id: str) -> Mapping[str, Any]:
        """The case's own attributes, as stored; "digests" maps array names to SHA-256."""
        record = read_attributes(self.part(case_id, "image")).get("apprentice")
        if not isinstance(record, dict):
            raise StudyError(f"Case {case_id} is damaged: it has no attributes of this program.")
        return self.vault.at(case_id, "image").open_record(record, f"Case {case_id}")

    def scan_digests(self, case_id: str) -> tuple[str, ...]:
        """SHA-256 of all by which a scan is known again in another study: its voxels, its file, files of channels."""
        record = self.record(case_id)
        try:
            steps = [Step.from_json(step) for step in record.get("steps", ())]
            channels = [s.detail.get("digest") for s in steps if s.kind == "channel"]
            digests = (record.get("digests", {}).get("0"), record["source_digest"], *channels)
        except MALFORMED as error:
            raise StudyError(f"Case {case_id} is damaged: its attributes cannot be understood.") from error
        return tuple(str(digest) for digest in digests if digest)

    def add(self, case_id: str, subject: str, volume: Volume) -> CaseInfo:
        """Store a scan as a case, whole or not at all.

        Raises
        ------
        InputError
            The id is taken (upper and lower case count as the same) or cannot be a folder's name, or the study
            is encrypted and it is no number: it could be somebody's name.
        StorageError
            The disk is full, gone or read-only; nothing was added.
        """
        check_name("case id", case_id)
        self.refuse_telling(case_id)
        self._refuse_double(case_id)
        aside = aside_of(self.root / case_id)
        with storage_errors(f"case {case_id}"):
            try:
                self._write(aside, case_id, subject, volume)
                if not commit_folder(aside, self.root / case_id):
                    self._refuse_double(case_id)
            finally:
                remove_quietly(aside)
        return self.info(case_id)

    def voxels(self, case_id: str) -> NDArray[Any]:
        """All voxels of a case, (c, z, y, x), in the scan's own number type."""
        return read_array(self.folder(case_id) / "image" / "0", self.vault.at(case_id, "image", "0"))

    def source(self, case_id: str) -> StoredVoxels:
        """All voxels of a case, read when they are needed."""
        path, vault = self.folder(case_id) / "image" / "0", self.vault.at(case_id, "image", "0")
        return StoredVoxels(path, self.info(case_id).spacing, self.record(case_id), vault)

    def levels(self, case_id: str) -> "tuple[zarr.Array[Any], ...]":
        """Pyramid of a case, (c, z, y, x), full resolution first; nothing is read yet."""
        image = self.folder(case_id) / "image"
        names = sorted((n for n in folders_in(image) if n.isdecimal()), key=int)
        if not names:
            raise StudyError(f"Case {case_id} is damaged: its image holds no arrays.")
        return tuple(open_array(image / n, self.vault.at(case_id, "image", n)) for n in names)

    def refuse_telling(self, case_id: str) -> None:
        """Make sure that a case id is nobody's name where everything else is encrypted.

        Raises
        ------
        InputError
            The study is encrypted, and the id is no number.
        """
        if self.vault.encrypted and not is_number_name(case_id):
            raise InputError(
                f"This study is encrypted, and the names of its folders can be read by everybody: a case is called "
                f"case-0001 and so on, not {case_id!r}."
            )

    def _refuse_double(self, case_id: str) -> None:
        # A folder of macOS or Windows cannot hold two names that differ by case only.
        doubles = [c for c in self.ids() if c.lower() == case_id.lower()]
        if doubles:
            raise InputError(f"Case {doubles[0]} is in this study already; give this scan another case id.")

    def _write(self, aside: Path, case_id: str, subject: str, volume: Volume) -> None:
        image = aside / "image"
        create_group(aside, {})
        create_group(aside / "predictions", {})
        levels, scales = pyramid(volume.voxels, volume.geometry.spacing)
        # Attributes come last: they name the digests of arrays that must be there by then.
        create_group(image, {})
        vault = self.vault.at(case_id, "image")
        digests = {
            str(n): write_array(image, str(n), v, AXES, sharded=True, vault=vault.at(str(n)))
            for n, v in enumerate(levels)
        }
        record = {
            "subject": subject,
            "geometry": volume.geometry.to_json(),
            "channels": list(volume.channels),
            "dtype": np.dtype(volume.voxels.dtype).name,
            "source_name": volume.source_name,
            "source_digest": volume.source_digest,
            "warnings": list(volume.warnings),
            "steps": [step.to_json() for step in volume.steps],
            "modality": volume.modality,
            "acquisition": dict(volume.acquisition),
            "added": now(),
            "digests": digests,
            MOMENTS: moments_of(volume.voxels),
        }
        ome = image_attributes(case_id, AXES, scales)
        set_attributes(image, {"ome": ome, "apprentice": vault.close_record(record)})
        create_group(image / "labels", label_list_attributes(()))
