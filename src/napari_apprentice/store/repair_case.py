"""Mends what is derived in a case: groups, lists, coarse levels, predictions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_apprentice.errors import ApprenticeError
from napari_apprentice.store.arrays import create_group, digest, read_array, write_array
from napari_apprentice.store.cases import AXES
from napari_apprentice.store.check_case import level_scales, ome_faults, prediction_fault, stated_labels
from napari_apprentice.store.check_layout import group_faults
from napari_apprentice.store.documents import read_document, write_document
from napari_apprentice.store.files import aside_of, remove_quietly, storage_errors
from napari_apprentice.store.finding import Finding
from napari_apprentice.store.ome import image_attributes, label_list_attributes, pyramid
from napari_apprentice.store.repaired import Repaired
from napari_apprentice.store.seal import is_broken
from napari_apprentice.store.study import Study
from napari_apprentice.store.vault import Vault


def mend_groups(study: Study, case_id: str) -> Iterator[Finding]:
    """Write lost documents of groups that only hold others."""
    folder = study.cases.folder(case_id)
    for group in (study.cases.root, folder, folder / "predictions"):
        if not group.is_dir() or group_faults(group, ""):
            with storage_errors(f"case {case_id}"):
                group.mkdir(exist_ok=True)
            write_document(group / "zarr.json", _group({}))
            yield Finding(f"Wrote {group.relative_to(study.path)}/zarr.json anew.")


def mend_label_list(study: Study, case_id: str) -> Iterator[Finding]:
    """Write the list of label maps that other OME-Zarr tools go by."""
    labels = study.cases.folder(case_id) / "image" / "labels"
    there, stated = study.revisions.names(case_id), stated_labels(study, case_id)
    if there == stated and not group_faults(labels, ""):
        return
    write_document(labels / "zarr.json", _group(label_list_attributes(there)))
    gone = f" It named {', '.join(n for n in stated if n not in there)} too." if set(stated) - set(there) else ""
    yield Finding(f"Wrote the list of label maps of case {case_id} anew: {', '.join(there) or 'none'}.{gone}")


def mend_image(study: Study, case_id: str) -> Iterator[Finding]:
    """Write the OME-Zarr attributes of a case anew from its record, where that is sound."""
    info, record = study.cases.info(case_id), study.cases.record(case_id)
    if is_broken(record) or not any("OME-Zarr" in f.text for f in ome_faults(study, info, len(record["digests"]))):
        return
    path = study.cases.folder(case_id) / "image" / "zarr.json"
    document = read_document(path)
    scales = level_scales(info)[: len(record["digests"])]
    document["attributes"]["ome"] = image_attributes(case_id, AXES, scales)
    write_document(path, document)
    yield Finding(f"Wrote the OME-Zarr attributes of case {case_id} anew.")


def mend_levels(study: Study, away: Repaired, case_id: str) -> Iterator[Finding]:
    """Make damaged coarse levels of a scan anew from its full resolution."""
    image, digests = study.cases.folder(case_id) / "image", study.cases.record(case_id)["digests"]
    vault = study.vault.at(case_id, "image")
    damaged = [n for n in digests if n != "0" and _read_digest(image / n, vault.at(n)) != digests[n]]
    if not damaged or _read_digest(image / "0", vault.at("0")) != digests["0"]:
        return
    levels, _ = pyramid(study.cases.voxels(case_id), study.cases.info(case_id).spacing)
    for name in damaged:
        if digest(levels[int(name)]) == digests[name]:
            place = _exchange(image, name, levels[int(name)], away, vault.at(name))
            yield Finding(
                f"Made level {name} of case {case_id} anew from its full resolution; the damaged one is in {place}."
            )


def _exchange(image: Path, name: str, voxels: Any, away: Repaired, vault: Vault) -> str:
    aside = aside_of(image / name)
    try:
        with storage_errors(f"level {name} of a case"):
            create_group(aside, {})
            write_array(aside, name, voxels, AXES, sharded=True, vault=vault)
            place = away.keep(image / name) if (image / name).exists() else "no place: it was gone"
            (aside / name).rename(image / name)
    finally:
        remove_quietly(aside)
    return place


def mend_predictions(study: Study, away: Repaired, case_id: str) -> Iterator[Finding]:
    """Take damaged predictions away, so that the case opens; they can be made again."""
    for model in study.predictions.models(case_id):
        if prediction_fault(study, case_id, model):
            place = away.keep(study.cases.folder(case_id) / "predictions" / model)
            yield Finding(f"Moved the damaged prediction of case {case_id} by {model} to {place}; predict it again.")


def _read_digest(path: Path, vault: Vault) -> str:
    try:
        return digest(read_array(path, vault))
    except ApprenticeError:
        return "damaged"


def _group(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
