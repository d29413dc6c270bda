"""What a training run goes by from its first start on, however often it is resumed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import ApprenticeError, StudyError
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.split import SIDES
from napari_apprentice.store.study import Study

_MOST_NAMED = 5


@dataclass(frozen=True)
class Begun:
    """What a run wrote down when it first started; revisions never change, so this is all of it.

    Parameters
    ----------
    plan
        Network and preprocessing.
    sides
        Every revision (case_id/rNNNN) in it, in order, to "train" or "validation".
    left_out
        Every revision that could not be used to the reason, as a clause.
    labels, retired
        Ids of the labels that the study had then, and of those that had left it.
    torch
        Version that it was computed with.
    channels
        Names of channels in the order in which they are read; empty in runs of earlier versions.
    notes
        Sentences on how channels are read; empty in runs of earlier versions.
    """

    plan: Plan
    sides: Mapping[str, str]
    left_out: Mapping[str, str]
    labels: tuple[int, ...]
    retired: tuple[int, ...]
    torch: str
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: RunFolder) -> "Begun | None":
        """What stands in a run's document; None before its first start, and where that cannot be understood."""
        made: Any = run.record().get("made")
        try:
            return cls(
                Plan.from_json(made["plan"]),
                {str(r["revision"]): SIDES[SIDES.index(r["side"])] for r in made["revisions"]},
                {str(key): str(why) for key, why in made["left_out"].items()},
                LabelSchema.from_json(made["schema"]).ids,
                tuple(int(i) for i in made["retired"]),
                str(made["libraries"]["torch"]),
                tuple(str(name) for name in made.get("channels", ())),
                tuple(str(note) for note in made.get("notes", ())),
            )
        except (*MALFORMED, ApprenticeError):
            return None

    def missed(self, study: Study) -> str:
        """A sentence about corrections that were saved after the run began; "" without any."""
        since = [key for key in newest_revisions(study) if key not in self.sides and key not in self.left_out]
        if not since:
            return ""
        if len(since) == 1:
            return f"The correction {since[0]} was saved after this run began and is not in it; the next run takes it."
        return (
            f"{len(since)} corrections ({named(since)}) were saved after this run began and are not in it; the next "
            "run takes them."
        )

    def moved(self, libraries: Mapping[str, str]) -> str:
        """A sentence about another version of torch than it began with; "" where it is the same."""
        if libraries["torch"] == self.torch:
            return ""
        return (
            f"This run began with torch {self.torch} and goes on with {libraries['torch']}: its weights may differ in "
            "their last digits from those of a run that was not interrupted."
        )


def newest_revisions(study: Study) -> Iterator[str]:
    """case_id/rNNNN of every case that was corrected; one that was copied in part keeps nobody from the others."""
    for case_id in study.cases.ids():
        with suppress(StudyError):
            for name in study.revisions.names(case_id)[-1:]:
                yield f"{case_id}/{name}"


def nothing_to_learn(*, first: bool) -> str:
    """The beginning of a sentence on why a run, of a first model or of a fine-tune, has nothing to learn from."""
    return f"There is no correction to learn from {'yet' if first else 'since the active model version was made'}"


def without_revisions(study: Study) -> Iterator[tuple[str, StudyError]]:
    """Cases whose revisions cannot be listed, and why."""
    for case_id in study.cases.ids():
        try:
            study.revisions.names(case_id)
        except StudyError as error:
            yield case_id, error


def named(keys: Iterable[str]) -> str:
    """The first few of a list, for a sentence."""
    keys = list(keys)
    more = len(keys) - _MOST_NAMED
    return ", ".join(keys[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
