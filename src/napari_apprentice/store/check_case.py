"""What is wrong with one case: its image, its revisions, its predictions, its journal."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_apprentice.core.correction import unfounded
from napari_apprentice.core.records import CaseInfo
from napari_apprentice.errors import ApprenticeError, StudyError
from napari_apprentice.store.arrays import digest, read_array, read_attributes
from napari_apprentice.store.cases import AXES
from napari_apprentice.store.check_layout import group_faults
from napari_apprentice.store.documents import read_document
from napari_apprentice.store.finding import Finding
from napari_apprentice.store.journal import FILE, JournalContent
from napari_apprentice.store.names import revision_name, revision_number
from napari_apprentice.store.ome import VERSION, image_attributes, label_attributes, pyramid
from napari_apprentice.store.prediction_writer import UNPROCESSED_DIGEST
from napari_apprentice.store.seal import is_broken
from napari_apprentice.store.study import Study
from napari_apprentice.store.tail import tail_of
from napari_apprentice.store.unprocessed import read_unprocessed


def groups(study: Study, case_id: str) -> list[Finding]:
    """Faults of the groups that only hold others; other OME-Zarr tools walk through them."""
    folder = study.cases.folder(case_id)
    there = [folder / name for name in ("", "predictions", "image/labels") if (folder / name).is_dir()]
    return [fault for group in there for fault in group_faults(group, f"case {case_id}")]


def case(study: Study, case_id: str) -> list[Finding]:
    """Faults of a case's scan."""
    info, record = study.cases.info(case_id), study.cases.record(case_id)
    digests = record.get("digests", {})
    if not isinstance(digests, dict) or "0" not in digests or not all(n.isdecimal() for n in digests):
        return [Finding(f"Case {case_id} is damaged: the digest of its voxels is missing.")]
    faults = [Finding(f"Case {case_id} is damaged: its record is not what was stored.")] if is_broken(record) else []
    faults += ome_faults(study, info, len(digests))
    for name, expected in digests.items():
        path = study.cases.folder(case_id) / "image" / name
        voxels = read_array(path, study.vault.at(case_id, "image", name))
        if name == "0" and voxels.shape != (len(info.channels), *info.shape):
            faults.append(Finding(f"Case {case_id} is damaged: its voxels do not fit its grid."))
        if digest(voxels) != expected or voxels.dtype.name != info.dtype:
            text = f"Case {case_id} is damaged: level {name} is not what was stored."
            faults.append(Finding(text, case_id, f"level {name}"))
        faults += map(Finding, _axes(path, AXES, f"Case {case_id}"))
    return faults


def ome_faults(study: Study, info: CaseInfo, levels: int) -> list[Finding]:
    """What other OME-Zarr tools would misread in a case's image."""
    found = read_attributes(study.cases.folder(info.case_id) / "image").get("ome")
    name = _ome_name(found)
    if name is not None and name != info.case_id:
        return [Finding(f"The folder of case {name[:100]} is called {info.case_id}; give it its name back.")]
    if isinstance(found, dict) and found.get("version", VERSION) != VERSION:
        return []  # a later OME-Zarr version, not ours to judge
    if found != image_attributes(info.case_id, AXES, level_scales(info)[:levels]):
        return [Finding(f"Case {info.case_id}: its OME-Zarr attributes are not what its grid says.")]
    return []


def level_scales(info: CaseInfo) -> list[tuple[float, float, float]]:
    """Spacing of every level of a case, full resolution first."""
    nothing = np.broadcast_to(np.zeros((), np.uint8), (len(info.channels), *info.shape))
    return pyramid(nothing, info.spacing)[1]


def _ome_name(found: Any) -> str | None:
    try:
        return str(found["multiscales"][0]["name"])
    except (KeyError, IndexError, TypeError):
        return None


def _axes(path: Path, axes: Sequence[str], what: str) -> list[str]:
    found = read_document(path / "zarr.json").get("dimension_names")
    return [] if found == list(axes) else [f"{what}: the axes of {path.name} are damaged."]


def listed(study: Study, case_id: str) -> tuple[str, ...]:
    """Revisions that a case has or has had, as far as anything in it says so."""
    there = study.revisions.names(case_id)
    names = {*there, *stated_labels(study, case_id)}
    # Numbers are given without a gap.
    names |= {revision_name(n) for n in range(1, max(map(revision_number, there), default=0))}
    return tuple(sorted(names, key=revision_number))


def stated_labels(study: Study, case_id: str) -> tuple[str, ...]:
    """Revisions in the list that other OME-Zarr tools go by."""
    with suppress(ApprenticeError):
        ome = read_attributes(study.cases.folder(case_id) / "image" / "labels").get("ome")
        names = ome.get("labels") if isinstance(ome, dict) else None
        return tuple(n for n in names if isinstance(n, str) and _is_number(n)) if isinstance(names, list) else ()
    return ()


def _is_number(name: str) -> bool:
    with suppress(ApprenticeError):
        return revision_name(revision_number(name)) == name
    return False


def revisions(study: Study, case_id: str) -> list[Finding]:
    """Faults of a case's revisions."""
    there = study.revisions.names(case_id)
    gone = [n for n in listed(study, case_id) if n not in there]
    faults = [Finding(f"Revision {case_id}/{n} is missing.", case_id, n) for n in gone]
    # The newest one joins the list after it is stored; a kill in between is no fault.
    if set(there[:-1]) - set(stated_labels(study, case_id)):
        text = f"Case {case_id}: the list of its label maps is not complete; apprentice repair rebuilds it."
        faults.append(Finding(text))
    for name in there:
        try:
            faults += [Finding(text, case_id, name) for text in _revision(study, case_id, name)]
        except ApprenticeError as error:
            faults.append(Finding(str(error), case_id, name))
    return faults


def _revision(study: Study, case_id: str, name: str) -> list[str]:
    info, key, faults = study.cases.info(case_id), f"{case_id}/{name}", []
    labels, _ = study.revisions.read(case_id, name)
    if labels.shape != info.shape:
        faults.append(f"Revision {key} does not fit the case's grid.")
    folder = study.cases.folder(case_id) / "image" / "labels" / name
    attributes = read_attributes(folder)
    if is_broken(study.revisions.record(case_id, name)):
        faults.append(f"Revision {key} is damaged: what it says about its author and parent is not what was saved.")
    if attributes.get("ome") != label_attributes(case_id, info.spacing):
        faults.append(f"Revision {key}: its OME-Zarr attributes are not what the case's grid says.")
    for array in ("0", "status"):
        faults += _axes(folder / array, AXES[1:], f"Revision {key}")
    return faults


def predictions(study: Study, case_id: str) -> list[Finding]:
    """Faults of a case's predictions."""
    told = (prediction_fault(study, case_id, model) for model in study.predictions.models(case_id))
    return [Finding(text) for text in told if text]


def prediction_fault(study: Study, case_id: str, model: str) -> str:
    """What is wrong with one prediction; "" when it is sound."""
    try:
        found = study.predictions.read(case_id, model)
        record = study.predictions.record(case_id, model)
        broken = is_broken(record)
        if UNPROCESSED_DIGEST in record:
            read_unprocessed(study, case_id, model)
    except ApprenticeError as error:
        return str(error)
    shape = study.cases.info(case_id).shape
    folder = study.cases.folder(case_id) / "predictions" / model
    axes = [f for array in ("label_map", "uncertainty") for f in _axes(folder / array, AXES[1:], "x")]
    if broken or axes or found.labels.shape != shape or found.uncertainty.shape != shape:
        return f"The prediction of {case_id} by {model} is damaged; predict it again."
    return ""


def archives(study: Study, case_id: str) -> list[Finding]:
    """Faults of the journals that led to a case's revisions; undo needs them and nothing else does."""
    there = study.revisions.names(case_id) if case_id in study.cases.ids() else ()
    gone = [name for name in study.journal.archives(case_id) if name not in there]
    return [
        *(
            Finding(f"There are strokes that led to revision {case_id}/{n}, which is missing.", case_id, n)
            for n in gone
        ),
        *(
            Finding(
                f"The strokes that led to revision {case_id}/{n} are damaged, so that undo does not reach behind it; "
                "apprentice repair moves them away.",
                case_id,
                n,
            )
            for n in damaged_archives(study, case_id)
        ),
    ]


def damaged_archives(study: Study, case_id: str) -> list[str]:
    """Revisions whose strokes are not there from the first to the last."""
    names = study.revisions.names(case_id) if case_id in study.cases.ids() else ()
    return [n for n in study.journal.archives(case_id) if n in names and not _led_to(study, case_id, n)]


def _led_to(study: Study, case_id: str, name: str) -> bool:
    content = study.journal.archived(case_id, name)
    made = study.revisions.info(case_id, name).provenance
    return content is not None and (content.parent, len(content.strokes)) == (made.parent, made.strokes)


def journal(study: Study, case_id: str) -> list[Finding]:
    """Faults of a case's journals."""
    content, faults = study.journal.read(case_id), archives(study, case_id)
    return faults if content is None else [*faults, *map(Finding, _of_journal(study, case_id, content))]


def _of_journal(study: Study, case_id: str, content: JournalContent) -> list[str]:
    if case_id not in study.cases.ids():
        return [f"There is a journal of case {case_id}, but no such case."]
    faults = []
    readable = f"only its first {len(content.strokes)} strokes can be read. Open the case and save it as a revision."
    if content.damaged:
        faults.append(f"The journal of case {case_id} is damaged: {readable}")
    elif tail_of(
        (study.journal.root / case_id / FILE).read_bytes(),
        study.vault.at(case_id, "journal"),
        study.journal.most(case_id),
    ).damaged:
        faults.append(f"The journal of case {case_id} ends in a damaged stroke: {readable}")
    if content.strokes and content.parent is not None and content.parent not in study.revisions.names(case_id):
        faults.append(f"The journal of case {case_id} was drawn on {content.parent}, which is missing.")
    faults += _base_faults(study, case_id, content)
    shape = study.cases.info(case_id).shape
    if any(s.stop > n for stroke in content.strokes for s, n in zip(stroke.box, shape, strict=True)):
        faults.append(f"The journal of case {case_id} holds a stroke outside the case's grid.")
    return faults


def _base_faults(study: Study, case_id: str, content: JournalContent) -> list[str]:
    """Whether what was accepted as a prediction had it is known still."""
    try:
        if content.model is None or study.predictions.read_base(case_id, content.model, content.base):
            return []
    except StudyError:  # the present one is damaged: it is told of among the predictions
        return []
    status = np.zeros(study.cases.info(case_id).shape, np.uint8)
    if content.parent in study.revisions.names(case_id):
        status = study.revisions.read(case_id, content.parent)[1]
    count = np.count_nonzero(unfounded(status, content.strokes))
    if not count:
        return []
    return [
        f"The prediction by {content.model} that strokes of case {case_id} were drawn on is gone: {count} voxels that "
        "were accepted as it had them are unseen again when the case is opened, to be accepted once more."
    ]
