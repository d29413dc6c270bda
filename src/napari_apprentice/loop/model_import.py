"""Models from elsewhere: nnU-Net, MONAI bundles, other studies, and what `export-model` wrote.

Descriptions are read here; weights of other programs only in a child process, since that takes torch.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import ModelVersion, now
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.loop import model_export
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.foreign_folders import Found, find_bundle, find_nnunet, is_bundle, is_nnunet
from napari_apprentice.loop.launch import follow, start_training
from napari_apprentice.loop.leakage import scans_learned
from napari_apprentice.loop.relabelling import change_labels, with_names
from napari_apprentice.store.models import WEIGHTS, file_digest
from napari_apprentice.store.study import DOCUMENT as STUDY_DOCUMENT
from napari_apprentice.store.study import Study

FIRST = "imported, and the first model version"


@dataclass(frozen=True)
class ImportReport:
    """A model version that came from elsewhere.

    Parameters
    ----------
    model, active
        Its name here, and whether it is active now: only where there was no other.
    library, name
        Where it is from, and what it was called there.
    labels
        Name there to name here.
    notes
        Sentences about what is not quite as it was there.
    folds
        Model versions of all folds that were imported at once, `model` among them; empty for a single one.
    """

    model: str
    active: bool
    library: str
    name: str
    labels: Mapping[str, str]
    notes: tuple[str, ...]
    folds: tuple[str, ...] = ()


def import_model(study: Study, source: Path, settings: ImportSettings) -> Generator[Progress, None, ImportReport]:
    """Take a model over as a new model version, which can be predicted with and fine-tuned.

    Parameters
    ----------
    source
        A study, a folder that `export-model` wrote, a model folder of nnU-Net v2, or a MONAI bundle (folder or .zip).

    Raises
    ------
    InputError
        It is none of these, or something has to be said: labels that the study does not have, an orientation.
    ModelError
        It is damaged, could run code, or has something in it that is not known here.
    """
    yield Progress(0, 3, f"Looking at {source.name}")
    if (source / STUDY_DOCUMENT).is_file():
        return (yield from _from_study(study, source, settings))
    if model_export.is_exported(source):
        return (yield from _from_export(study, source, settings))
    if source.is_dir() and is_nnunet(source):
        return (yield from _from_folds(study, find_nnunet(source, settings), settings))
    if source.exists() and is_bundle(source):
        return (yield from _from_program(study, find_bundle(source, settings), settings))
    what = "is no model that can be imported" if source.exists() else "is not there"
    raise InputError(
        f"{source.name} {what}. Give a study, a folder made by export-model, a model folder of nnU-Net v2 (with "
        "plans.json) or a MONAI bundle (with configs and models)."
    )


def _from_folds(
    study: Study, found: Sequence[Found], settings: ImportSettings
) -> Generator[Progress, None, ImportReport]:
    """One model version per fold; the report of the first."""
    reports: list[ImportReport] = []
    for fold in found:
        named = f"{settings.name}-{fold.facts['fold']}" if settings.name and len(found) > 1 else settings.name
        try:
            reports.append((yield from _from_program(study, fold, replace(settings, name=named))))
        except ModelError as error:
            kept = ", ".join(report.model for report in reports)
            raise ModelError(f"{error} Imported before that: {kept}." if kept else str(error)) from error
    return replace(reports[0], folds=tuple(r.model for r in reports) if len(reports) > 1 else ())


def _from_program(study: Study, found: Found, settings: ImportSettings) -> Generator[Progress, None, ImportReport]:
    model = found.model
    ids = yield from _ids(study, model.labels, settings)
    origin = {
        "library": model.library, **found.facts, "labels": list(model.labels), "channels": list(model.channels),
        "notes": list(model.notes),
    }  # fmt: skip
    run = study.runs.create(
        "import",
        {
            "format": found.kind, "checkpoint": str(found.checkpoint.resolve()), "member": found.member,
            "configuration": found.facts.get("configuration", ""), "doubt": found.doubt, "name": settings.name,
            "plan": replace(model.plan, labels=ids).to_json(), "origin": origin,
        },
    )  # fmt: skip
    finished = False
    try:
        result: dict[str, Any] = yield from follow(run, start_training(run))
        finished = True
    finally:
        if not finished:
            run.cancel()
    return ImportReport(
        result["model"], result["active"], model.library, found.facts["name"], _told(study, model.labels, ids),
        model.notes,
    )  # fmt: skip


def _from_study(study: Study, path: Path, settings: ImportSettings) -> Generator[Progress, None, ImportReport]:
    other = Study.open(path)
    version = other.models.info(settings.version or active_model(other))
    origin = {
        "library": "Apprentice study", "name": version.name, "study": other.title,
        "lineage": model_export.lineage(other, version.name), "scans": list(scans_learned(other, version.name)),
    }  # fmt: skip
    return (yield from _taken_over(study, version, other.models.weights(version.name), origin, settings))


def _from_export(study: Study, path: Path, settings: ImportSettings) -> Generator[Progress, None, ImportReport]:
    version, told = model_export.read_export(path)
    origin = {"library": "Apprentice export", "name": version.name, **told}
    return (yield from _taken_over(study, version, path / WEIGHTS, origin, settings))


def _taken_over(
    study: Study, version: ModelVersion, weights: Path, origin: Mapping[str, Any], settings: ImportSettings
) -> Generator[Progress, None, ImportReport]:
    """Weights of this program are copied as they are: predictions are the same to the bit."""
    if not weights.is_file() or file_digest(weights) != version.weights_digest:
        raise ModelError(f"The weights of {version.name} are missing or not what was registered; they may be damaged.")
    names = [version.schema.name(i) for i in version.plan.labels]
    ids = yield from _ids(study, names, settings)
    yield Progress(2, 3, "Copying the weights")
    made = replace(
        version,
        name=settings.name or study.models.next_name(),
        parent=None,
        created=now(),
        plan=replace(version.plan, labels=ids),
        schema=study.schema,
        revisions=(),  # of the other study; a case of this one may have the same name
        held_out=(),
        gate=None,
        pictures={},  # of cases of the other study
        run="",  # of the other study
        note=f"imported from {origin['library']}: {origin['name']}",
        origin={**origin, "digest": version.weights_digest, "labels": names},
    )
    register = study.models.register if settings.name else study.models.register_as_next
    registered = register(made, weights)
    first = study.models.activate_in_place_of(None, registered.name, FIRST)
    return ImportReport(
        registered.name, first, str(origin["library"]), version.name, _told(study, names, ids), ()
    )  # fmt: skip


def _ids(study: Study, names: Sequence[str], settings: ImportSettings) -> Generator[Progress, None, tuple[int, ...]]:
    """The study's label id of every name; labels are added to it where that was asked for."""
    study.refresh()  # labels that another window has added meanwhile are no missing ones
    renamed = settings.renamed
    strange = sorted(set(renamed) - set(names))
    if strange:
        raise InputError(f"The model has no label {strange[0]!r}; it has {', '.join(names)}.")
    ours = [renamed.get(n, n) for n in names]
    missing = list(dict.fromkeys(n for n in ours if study.schema.id_of(n) is None))
    if missing and not settings.add_labels:
        known = ", ".join(x.name for x in study.schema.labels)
        raise InputError(
            f"The model knows {', '.join(missing)}, which this study does not have (it has {known}). Say what they are "
            "called here with labels (THEIRS=OURS), or add them with add-labels."
        )
    if missing:
        yield from change_labels(study, with_names(study, study.schema, missing))
    ids = tuple(i for i in map(study.schema.id_of, ours) if i is not None)
    if len(set(ids)) < len(names):
        double = next(n for n, i in zip(names, ids, strict=True) if ids.count(i) > 1)
        raise InputError(f"Two labels of the model are the same here: {double} and another. Give each its own.")
    return ids


def _told(study: Study, names: Sequence[str], ids: Sequence[int]) -> dict[str, str]:
    return {n: study.schema.name(i) for n, i in zip(names, ids, strict=True)}
