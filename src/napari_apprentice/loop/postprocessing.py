"""Which post-processing pays: tried on the corrected cases that models learn from, proved on those held out."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from scipy import ndimage

from napari_apprentice.core.metrics import dice
from napari_apprentice.core.postprocess import PostRecipe, PostStep
from napari_apprentice.core.postprocess_steps import postprocess
from napari_apprentice.core.postprocess_trial import PostRow, Trial, choose, judge_steps, try_steps
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.loop.leakage import subjects_learned
from napari_apprentice.loop.shown import is_by
from napari_apprentice.store.split import VALIDATION
from napari_apprentice.store.study import Study
from napari_apprentice.store.unprocessed import process_again, read_unprocessed

LISTED = 5  # damaged predictions that a person is told of by name


@dataclass(frozen=True)
class PostReport:
    """What pays in a study, label by label.

    Parameters
    ----------
    model
        Whose predictions were compared with the newest revisions.
    rows
        By label id.
    learning, held_out
        How many corrected cases of either side could be compared.
    unpredicted
        Corrected cases that this model version has not predicted.
    damaged
        What is wrong with corrected cases that were left out for it, as sentences.
    """

    model: str
    rows: tuple[PostRow, ...]
    learning: int
    held_out: int
    unpredicted: tuple[str, ...]
    damaged: tuple[str, ...] = ()

    @property
    def recipe(self) -> PostRecipe:
        """The accepted steps."""
        return PostRecipe({r.label: r.steps for r in self.rows if r.accepted})

    def taken_with(self, recipe: PostRecipe) -> dict[int, tuple[PostStep, ...]]:
        """The accepted steps by label id; thresholds, which are never tried, stay as they are in `recipe`."""
        whole = self.recipe.with_thresholds_of(recipe)
        return {label: whole.steps[label] for label in self.recipe.steps}


def suggest(study: Study, model: str) -> Generator[Progress, None, PostReport]:
    """Look for steps that raise Dice on held-out subjects; see `core.postprocess_trial.choose`.

    Predictions are compared as the network made them, before any post-processing, and voxels of status 1
    and 2 count. Cases that are damaged are left out. What is accepted label by label is measured once more all
    together, because what one label gives up another one's step may fill.

    Raises
    ------
    InputError
        No corrected case was predicted by this model version.
    StudyError
        All that could be compared is damaged.
    """
    cases, unpredicted, damaged = _comparable(study, model)
    learned = subjects_learned(study, model) if cases else frozenset()
    trials: dict[int, list[Trial]] = {i: [] for i in study.schema.ids}
    sides: dict[str, bool] = {}
    for done, case_id in enumerate(cases):
        try:
            held_out = _is_held_out(study, case_id, learned)
            yield from _try_case(study, case_id, model, trials, (done, len(cases)), held_out=held_out)
            sides[case_id] = held_out
        except StudyError as error:
            damaged.append(str(error))
    if not sides:
        raise StudyError(damaged[0])
    rows = tuple(choose(label, found) for label, found in trials.items())
    held = [case_id for case_id, held_out in sides.items() if held_out]
    rows = yield from _together(study, model, rows, held)
    return PostReport(model, rows, len(sides) - len(held), len(held), unpredicted, tuple(damaged))


def _comparable(study: Study, model: str) -> tuple[list[str], tuple[str, ...], list[str]]:
    """Corrected cases that a model version predicted, those that it did not, and what is damaged."""
    predicted: list[str] = []
    unpredicted: list[str] = []
    damaged: list[str] = []
    for case_id in study.cases.ids():
        try:
            if study.revisions.names(case_id):
                (predicted if is_by(study, case_id, model) else unpredicted).append(case_id)
        except StudyError as error:
            damaged.append(str(error))
    if not predicted and not damaged:
        raise InputError(
            f"No corrected case was predicted by {model}, so there is nothing to learn from: "
            "predict the corrected cases first."
        )
    return predicted, tuple(unpredicted), damaged


def _is_held_out(study: Study, case_id: str, learned: frozenset[str]) -> bool:
    # A subject without a side gets it here once and for good, as in training. One that was moved to the validation
    # side after this model version had learned from it proves nothing about it.
    subject = study.cases.info(case_id).subject
    return study.split.assign(subject) == VALIDATION and subject not in learned


def _try_case(
    study: Study, case_id: str, model: str, trials: dict[int, list[Trial]], place: tuple[int, int], *, held_out: bool
) -> Generator[Progress, None, None]:
    info = study.cases.info(case_id)
    predicted, reference, status = _pair(study, case_id, model)
    boxes = dict(_boxes(predicted, reference, tuple(trials)))
    done, total = place
    for n, (label, box) in enumerate(boxes.items()):
        text = f"Trying steps for {study.schema.name(label)} in {case_id}"
        yield Progress(round(100 * (done + n / len(boxes))), 100 * total, text, case_id=case_id)
        found = try_steps(predicted, reference, status > 0, label, info.spacing, box)
        if found is not None:
            trials[label].append(Trial(case_id, info.subject, held_out, found))


def _pair(study: Study, case_id: str, model: str) -> tuple[LabelArray, LabelArray, LabelArray]:
    newest = study.revisions.newest(case_id)
    assert newest is not None  # only corrected cases come here; for the type checker
    reference, status = study.revisions.read(case_id, newest.name)
    return read_unprocessed(study, case_id, model), reference, status


def _boxes(a: LabelArray, b: LabelArray, labels: Sequence[int]) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Bounds of each label in both maps together; labels that are in neither are left out."""
    found_a, found_b = (ndimage.find_objects(m, max(labels)) for m in (a, b))
    for label in labels:
        both = [f for f in (found_a[label - 1], found_b[label - 1]) if f is not None]
        if both:
            axes = zip(*both, strict=True)
            yield label, tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in axes)


def _together(
    study: Study, model: str, rows: tuple[PostRow, ...], held: Sequence[str]
) -> Generator[Progress, None, tuple[PostRow, ...]]:
    recipe = PostRecipe({r.label: r.steps for r in rows if r.accepted})
    if len(recipe.steps) < 2:  # one label alone was measured already
        return rows
    trials: dict[int, list[Trial]] = {i: [] for i in recipe.steps}
    for done, case_id in enumerate(held):
        yield Progress(done, len(held), f"Trying all steps together on {case_id}", case_id=case_id)
        info = study.cases.info(case_id)
        predicted, reference, status = _pair(study, case_id, model)
        after = postprocess(predicted, info.spacing, recipe)
        for label, steps in recipe.steps.items():
            pair = [dice(m, reference, label, status > 0) for m in (predicted, after)]
            if pair[0] is not None:
                old, new = (1.0 if d is None else d for d in pair)
                trials[label].append(Trial(case_id, info.subject, True, {(): old, steps: new}))
    return tuple(judge_steps(r.label, r.steps, r.learned, trials[r.label]) if r.accepted else r for r in rows)


def apply_recipe(
    study: Study, model: str, case_ids: Sequence[str], recipe: PostRecipe
) -> Generator[Progress, None, tuple[str, ...]]:
    """Put stored predictions through a recipe, from what the network said; nothing is predicted again.

    Cases without a prediction by this model version are passed over.

    Returns
    -------
    The cases whose prediction was put through it now.

    Raises
    ------
    ModelError
        There is no such model version.
    StudyError
        Some are damaged; all others were put through it.
    """
    changed, damaged = [], []
    cases = [c for c in case_ids if study.predictions.has(c, model)]
    if not cases and model not in study.models.names():
        study.models.record(model)  # says which there are
    for done, case_id in enumerate(cases):
        yield Progress(done, len(cases), f"Post-processing {case_id}", case_id=case_id)
        try:
            if is_by(study, case_id, model) and process_again(study, case_id, model, recipe):
                changed.append(case_id)
        except StudyError as error:
            damaged.append(str(error))
    if damaged:
        told = "\n".join([*damaged[:LISTED], *(["..."] if len(damaged) > LISTED else [])])
        raise StudyError(
            f"{len(damaged)} of {len(cases)} stored predictions stay as they were; the others are done.\n{told}"
        )
    return tuple(changed)
