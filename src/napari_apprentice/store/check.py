"""Reads a study from end to end and says in plain sentences what is wrong with it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ApprenticeError, StudyError
from napari_apprentice.store import check_case
from napari_apprentice.store.check_layout import group_faults, layout_faults
from napari_apprentice.store.documents import read_document
from napari_apprentice.store.finding import Finding
from napari_apprentice.store.ledger import Ledger
from napari_apprentice.store.models import DOCUMENT as MODEL_DOCUMENT
from napari_apprentice.store.models import file_digest
from napari_apprentice.store.names import folders_in, is_name
from napari_apprentice.store.postprocess import recipe_faults
from napari_apprentice.store.runs import DOCUMENT as RUN_DOCUMENT
from napari_apprentice.store.seal import is_broken
from napari_apprentice.store.study import DOCUMENT, Study

# What to look at, for a person, and how; it returns what is wrong or raises.
_Step = tuple[str, str | None, Callable[[], list[Finding]]]


def check(path: Path) -> Generator[Progress, None, tuple[Finding, ...]]:
    """Read everything in a study and compare every digest.

    Leftovers of interrupted writes and runs that failed or were killed are no fault.

    Returns
    -------
    What is wrong; empty when the study is sound.
    """
    try:
        study = Study.open(path)
        if study.refusal:
            return (Finding(study.refusal),)
        steps = list(_steps(study))
    except ApprenticeError as error:
        return (Finding(str(error)),)
    faults: list[Finding] = []
    for done, (text, case_id, step) in enumerate(steps):
        yield Progress(done, len(steps), text, case_id=case_id)
        try:
            faults += step()
        except ApprenticeError as error:
            faults.append(Finding(str(error)))
    yield Progress(len(steps), len(steps), "Checked")
    return tuple(dict.fromkeys(faults))


def _steps(study: Study) -> Iterator[_Step]:
    yield "Layout", None, partial(layout_faults, study.path)
    yield "Title and labels", None, partial(_document, study)
    for case_id in study.cases.ids():
        yield f"Groups of {case_id}", case_id, partial(check_case.groups, study, case_id)
        yield f"Case {case_id}", case_id, partial(check_case.case, study, case_id)
        yield f"Revisions of {case_id}", case_id, partial(check_case.revisions, study, case_id)
        yield f"Predictions of {case_id}", case_id, partial(check_case.predictions, study, case_id)
    for case_id in folders_in(study.journal.root):
        yield f"Journal of {case_id}", case_id, partial(check_case.journal, study, case_id)
    for name in study.models.names():
        yield f"Model version {name}", None, partial(_model, study, name)
    yield "Active model version", None, partial(_activations, study)
    yield "Post-processing", None, partial(_recipe, study)
    yield "Split", None, partial(_split, study)
    for run_id in folders_in(study.runs.root):
        yield f"Run {run_id}", None, partial(_run, study, run_id)


def _document(study: Study) -> list[Finding]:
    faults = group_faults(study.cases.root, "the study's cases.zarr")
    if is_broken(read_document(study.path / DOCUMENT)):
        text = f"{DOCUMENT} is not what was written; look at its title and labels and save the labels again."
        faults.append(Finding(text))
    return faults


def _model(study: Study, name: str) -> list[Finding]:
    return [*map(Finding, _of_model(study, name))]


def _of_model(study: Study, name: str) -> Iterator[str]:
    version = study.models.info(name)
    if is_broken(study.models.record(name)):
        yield f"Model version {name}: its {MODEL_DOCUMENT} is not what was written."
    if version.name != name:
        yield f"The folder of model version {version.name} is called {name}; give it its name back."
    if file_digest(study.models.weights(name)) != version.weights_digest:
        yield f"Model version {name} is damaged: its weights are not what was registered."
    for picture, told in version.pictures.items():
        path = study.models.root / name / picture
        if not is_name(picture) or not path.is_file() or file_digest(path) != told.get("digest"):
            yield f"Model version {name}: its picture {picture} is not what was stored."


def _activations(study: Study) -> list[Finding]:
    known = study.models.names()
    gone = dict.fromkeys(a.name for a in study.models.activations() if a.name not in known)
    faults = [Finding(f"Model version {name} was activated once and is missing now.") for name in gone]
    predicted = any(study.predictions.models(c) for c in study.cases.ids())
    # A candidate can be predicted with, too; a version without a verdict was the first one, and active.
    once_active = any(v.gate is None or v.gate.passed for v in study.models.readable())
    if once_active and predicted and not study.models.activations():
        faults.append(Finding("No model version is active although there are predictions; activate one again."))
    return faults + _lines(study.models.ledger) + _lines(study.models.note_ledger)


def _recipe(study: Study) -> list[Finding]:
    return [*map(Finding, recipe_faults(study))]


def _split(study: Study) -> list[Finding]:
    return [*map(Finding, _of_split(study)), *_lines(study.split.ledger)]


def _of_split(study: Study) -> list[str]:
    sides, ids = study.split.sides(), study.cases.ids()
    subjects = _subjects(study)
    whole = len(subjects) == len(ids)
    used = {key.partition("/")[0] for v in study.models.readable() for key in (*v.revisions, *v.held_out)}
    # A subject gets its side before its first revision is stored, and neither a case nor a line ever goes.
    lost = [c for c, s in subjects.items() if s not in sides and (c in used or study.revisions.names(c))]
    by_now = study.split.sides() if lost else sides  # somebody may have corrected one since the first look
    lost = [c for c in lost if subjects[c] not in by_now]
    return [
        *(
            f"split.jsonl gives the subject of case {c} no side, although it was corrected or learned from: its end is "
            "missing. Move the subject to the side that it had, or save the case again."
            for c in lost
        ),
        *(
            f"Subject {s} has a side, but no case is of it: a case is missing."
            for s in sides
            if whole and s not in subjects.values()  # else it may be of one that is damaged
        ),
        *(f"Case {c} is missing, although a model version learned from it." for c in sorted(used - {*ids})),
    ]


def _subjects(study: Study) -> dict[str, str]:
    """Case id to subject, without damaged cases, which have a step of their own."""
    subjects = {}
    for case_id in study.cases.ids():
        with suppress(StudyError):
            subjects[case_id] = study.cases.info(case_id).subject
    return subjects


def _lines(ledger: Ledger) -> list[Finding]:
    name, broken = ledger.path.name, [n for n, record in enumerate(ledger.read(), 1) if is_broken(record)]
    return [Finding(f"{name} is damaged in line {n}: it is not what was written.", name, f"line {n}") for n in broken]


def _run(study: Study, run_id: str) -> list[Finding]:
    run = study.runs.open(run_id)
    run.events(0)
    if is_broken(run.record()):
        return [Finding(f"{run_id}/{RUN_DOCUMENT} is not what was written.")]
    return []
