"""Corrected label maps: stored once, never changed, never lost."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_apprentice.core.correction import ACCEPTED, EDITED, StatusArray
from napari_apprentice.core.records import Provenance, Revision, now
from napari_apprentice.core.volume import LabelArray, as_labels
from napari_apprentice.errors import GeometryError, InputError, StorageError, StudyError
from napari_apprentice.store.arrays import (
    create_array,
    create_group,
    digest,
    little_endian,
    read_array,
    read_attributes,
    set_attributes,
)
from napari_apprentice.store.cases import Cases
from napari_apprentice.store.documents import MALFORMED, write_document
from napari_apprentice.store.files import aside_of, commit_folder, is_aside, remove_quietly, storage_errors
from napari_apprentice.store.names import is_revision, revision_name, revision_number
from napari_apprentice.store.ome import label_attributes, label_list_attributes
from napari_apprentice.store.trust import refuse_links
from napari_apprentice.store.vault import Vault

AXES = ("z", "y", "x")


class Revisions:
    """Reads and appends revisions; the folder's listing is the truth about which there are.

    Parameters
    ----------
    cases
        The study's cases.
    schema
        Ids of the study's labels now; each revision keeps those of its day.
    """

    def __init__(self, cases: Cases, schema: Callable[[], tuple[int, ...]] | None = None) -> None:
        self.cases = cases
        self._schema = schema

    def names(self, case_id: str) -> tuple[str, ...]:
        """Revisions of a case, oldest first.

        Raises
        ------
        InputError
            No such case.
        StudyError
            The folder of its label maps is missing.
        """
        labels = self._labels(case_id)
        with storage_errors(f"the revisions of case {case_id}"):
            found = [p.name for p in labels.iterdir() if not is_aside(p) and is_revision(p.name)]
        return tuple(sorted(found, key=revision_number))

    def info(self, case_id: str, name: str) -> Revision:
        """What is known of a revision without reading a voxel.

        Raises
        ------
        InputError
            No such case or revision.
        StudyError
            Its attributes are damaged.
        """
        try:
            return _revision(case_id, name, self.record(case_id, name))
        except MALFORMED as error:
            raise StudyError(f"Revision {case_id}/{name} is damaged: its attributes are.") from error

    def record(self, case_id: str, name: str) -> dict[str, Any]:
        """A revision's own attributes, as they were stored."""
        record = read_attributes(self._folder(case_id, name)).get("apprentice")
        if not isinstance(record, dict):
            raise StudyError(f"Revision {case_id}/{name} is damaged: its attributes are.")
        return self._vault(case_id).open_record(record, f"Revision {case_id}/{name}")

    def newest(self, case_id: str) -> Revision | None:
        """The revision that counts; None when the case was never corrected."""
        names = self.names(case_id)
        return self.info(case_id, names[-1]) if names else None

    def read(self, case_id: str, name: str) -> tuple[LabelArray, StatusArray]:
        """Label map (z, y, x) uint8 or uint16 and status (z, y, x) uint8 of a revision.

        Raises
        ------
        InputError
            No such case or revision.
        StudyError
            What is stored is not what was saved.
        """
        folder = self._folder(case_id, name)
        vault = self._vault(case_id)
        labels, status = (read_array(folder / part, vault.at(part)) for part in ("0", "status"))
        if digest(labels, status) != self.info(case_id, name).digest:
            raise StudyError(
                f"Revision {case_id}/{name} is damaged: it is not what was saved. `apprentice restore` brings an "
                "earlier one back."
            )
        return labels, status

    def save(
        self, case_id: str, labels: LabelArray, status: StatusArray, provenance: Provenance,
        schema: tuple[int, ...] | None = None,
    ) -> Revision:  # fmt: skip
        """Store a corrected label map as the case's next revision, whole or not at all.

        A number that another writer took in the meantime is left to them; this revision gets the next.

        Parameters
        ----------
        labels
            (z, y, x), whole numbers from 0 to 65535.
        status
            (z, y, x) uint8, 0 unseen, 1 accepted as it was, 2 edited.
        schema
            Ids of the labels that there were when the first of it was looked at; by default those of now.

        Raises
        ------
        GeometryError
            The label map or status has another shape than the case.
        StorageError
            The disk is full, gone or read-only; nothing was added.
        """
        labels, status = self._checked(case_id, labels, status)
        aside = aside_of(self._labels(case_id) / "revision")
        with storage_errors(f"the revision of case {case_id}"):
            try:
                self._write(aside, case_id, labels, status, provenance, schema)
                name = self._commit(aside, case_id)
            finally:
                remove_quietly(aside)
        self._list(case_id)
        return self.info(case_id, name)

    def _vault(self, case_id: str) -> Vault:
        # Not the revision's: it gets its number when it is moved into place.
        return self.cases.vault.at(case_id, "labels")

    def _labels(self, case_id: str) -> Path:
        return self.cases.part(case_id, "image/labels")

    def _folder(self, case_id: str, name: str) -> Path:
        revision_number(name)
        folder = self._labels(case_id) / name
        if not folder.is_dir():
            raise InputError(f"Case {case_id} has no revision {name}.")
        refuse_links(self.cases.root, folder)
        return folder

    def _checked(self, case_id: str, labels: LabelArray, status: StatusArray) -> tuple[LabelArray, StatusArray]:
        shape = self.cases.info(case_id).shape
        if labels.shape != shape or status.shape != shape:
            raise GeometryError(
                f"Case {case_id}: a label map of shape {labels.shape} with status {status.shape} does not "
                f"fit the case's grid {shape} (z, y, x)."
            )
        if status.size and int(status.max()) > EDITED:
            raise InputError(f"Case {case_id}: a status is 0, 1 or 2, not {int(status.max())}.")
        if labels.dtype.kind != "u" or labels.dtype.itemsize > 2:
            labels = as_labels(labels, f"The label map of case {case_id}")
        return labels, status.astype(np.uint8, copy=False)

    def _write(
        self,
        aside: Path,
        case_id: str,
        labels: LabelArray,
        status: StatusArray,
        provenance: Provenance,
        schema: tuple[int, ...] | None,
    ) -> None:
        record = {
            **asdict(provenance),
            "voxels_changed": dict(provenance.voxels_changed),
            "merged": list(provenance.merged),
            "created": now(),
            "voxels_accepted": _count(status, ACCEPTED),
            "voxels_edited": _count(status, EDITED),
        }
        if schema is None and self._schema is not None:
            schema = self._schema()
        if schema is not None:
            record["schema"] = list(schema)
        vault = self._vault(case_id)
        create_group(aside, {"ome": label_attributes(case_id, self.cases.info(case_id).spacing)})
        with ThreadPoolExecutor(1) as beside:
            summed = beside.submit(digest, labels, status)
            for name, voxels in (("0", labels), ("status", status)):
                array = create_array(aside, name, voxels.shape, voxels.dtype, AXES, vault=vault.at(name))
                array[...] = little_endian(voxels)
            record["digest"] = summed.result()
        set_attributes(aside, {"apprentice": vault.close_record(record)})

    def _commit(self, aside: Path, case_id: str) -> str:
        number = max((revision_number(n) for n in self.names(case_id)), default=0) + 1
        while not commit_folder(aside, self._labels(case_id) / revision_name(number)):
            number += 1
        return revision_name(number)

    def _list(self, case_id: str) -> None:
        # Only for other OME-Zarr tools. The revision is stored by now, so a failure is no failure to save.
        attributes = label_list_attributes(self.names(case_id))
        document = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
        with suppress(StorageError):
            write_document(self._labels(case_id) / "zarr.json", document)


def _count(status: StatusArray, value: int) -> int:
    # Plane by plane: a comparison of the whole scan would be another array of its size.
    return sum(int(np.count_nonzero(plane == value)) for plane in status)


def _revision(case_id: str, name: str, record: Any) -> Revision:
    changed: Mapping[str, int] = {str(k): int(v) for k, v in record["voxels_changed"].items()}
    provenance = Provenance(
        author=str(record["author"]),
        parent=None if record["parent"] is None else str(record["parent"]),
        model=None if record["model"] is None else str(record["model"]),
        seconds=float(record["seconds"]),
        strokes=int(record["strokes"]),
        voxels_changed=changed,
        origin=str(record["origin"]),
        merged=tuple(str(name) for name in record.get("merged", ())),  # not in records from before merging
    )
    return Revision(
        case_id=case_id,
        name=name,
        created=str(record["created"]),
        provenance=provenance,
        voxels_accepted=int(record["voxels_accepted"]),
        voxels_edited=int(record["voxels_edited"]),
        digest=str(record["digest"]),
        schema=tuple(int(i) for i in record["schema"]) if "schema" in record else None,
    )
