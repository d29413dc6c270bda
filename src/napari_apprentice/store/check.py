"""Reads a study from end to end and says in plain sentences what is wrong with it."""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.store.arrays import digest, read_array
from napari_apprentice.store.models import file_digest
from napari_apprentice.store.names import folders_in
from napari_apprentice.store.study import Study

# What to look at, for a person, and how; it returns sentences or raises.
_Step = tuple[str, str | None, Callable[[], list[str]]]


def check(path: Path) -> Generator[Progress, None, tuple[str, ...]]:
    """Read everything in a study and compare every digest.

    Leftovers of interrupted writes and runs that failed or were killed are no fault.

    Returns
    -------
    What is wrong, one sentence each; empty when the study is sound.
    """
    try:
        study = Study.open(path)
        steps = list(_steps(study))
    except ApprenticeError as error:
        return (str(error),)
    faults: list[str] = []
    for done, (text, case_id, step) in enumerate(steps):
        yield Progress(done, len(steps), text, case_id=case_id)
        try:
            faults += step()
        except ApprenticeError as error:
            faults.append(str(error))
    yield Progress(len(steps), len(steps), "Checked")
    return tuple(dict.fromkeys(faults))


def _steps(study: Study) -> Iterator[_Step]:
    for case_id in study.cases.ids():
        yield f"Case {case_id}", case_id, partial(_case, study, case_id)
        yield f"Revisions of {case_id}", case_id, partial(_revisions, study, case_id)
        yield f"Predictions of {case_id}", case_id, partial(_predictions, study, case_id)
    for case_id in folders_in(study.journal.root):
        yield f"Journal of {case_id}", case_id, partial(_journal, study, case_id)
    for name in study.models.names():
        yield f"Model version {name}", None, partial(_model, study, name)
    yield "Active model version", None, partial(_activations, study)
    yield "Split", None, partial(_split, study)
    for run_id in study.runs.ids():
        yield f"Run {run_id}", None, partial(_run, study, run_id)


def _case(study: Study, case_id: str) -> list[str]:
    info = study.cases.info(case_id)
    digests = study.cases.record(case_id).get("digests", {})
    if "0" not in digests:
        return [f"Case {case_id} is damaged: the digest of its voxels is missing."]
    faults = []
    for name, expected in digests.items():
        voxels = read_array(study.cases.folder(case_id) / "image" / str(int(name)))
        if name == "0" and voxels.shape != (len(info.channels), *info.shape):
            faults.append(f"Case {case_id} is damaged: its voxels do not fit its grid.")
        if digest(voxels) != expected:
            faults.append(f"Case {case_id} is damaged: level {name} is not what was stored.")
    return faults


def _revisions(study: Study, case_id: str) -> list[str]:
    shape = study.cases.info(case_id).shape
    faults = []
    for name in study.revisions.names(case_id):
        try:
            labels, _ = study.revisions.read(case_id, name)
        except ApprenticeError as error:
            faults.append(str(error))
            continue
        if labels.shape != shape:
            faults.append(f"Revision {case_id}/{name} does not fit the case's grid.")
    return faults


def _predictions(study: Study, case_id: str) -> list[str]:
    faults = []
    for model in study.predictions.models(case_id):
        try:
            study.predictions.read(case_id, model)
        except ApprenticeError as error:
            faults.append(str(error))
    return faults


def _journal(study: Study, case_id: str) -> list[str]:
    content = study.journal.read(case_id)
    if content is None:
        return []
    if case_id not in study.cases.ids():
        return [f"There is a journal of case {case_id}, but no such case."]
    faults = []
    if content.damaged:
        faults.append(
            f"The journal of case {case_id} is damaged: only its first {len(content.strokes)} strokes can be "
            "read. Open the case and save it as a revision."
        )
    shape = study.cases.info(case_id).shape
    if any(s.stop > n for stroke in content.strokes for s, n in zip(stroke.box, shape, strict=True)):
        faults.append(f"The journal of case {case_id} holds a stroke outside the case's grid.")
    return faults


def _model(study: Study, name: str) -> list[str]:
    version = study.models.info(name)
    if file_digest(study.models.weights(name)) != version.weights_digest:
        return [f"Model version {name} is damaged: its weights are not what was registered."]
    return []


def _activations(study: Study) -> list[str]:
    known = study.models.names()
    gone = dict.fromkeys(a.name for a in study.models.activations() if a.name not in known)
    return [f"Model version {name} was activated once and is missing now." for name in gone]


def _split(study: Study) -> list[str]:
    study.split.sides()
    return []


def _run(study: Study, run_id: str) -> list[str]:
    study.runs.open(run_id).events(0)
    return []
