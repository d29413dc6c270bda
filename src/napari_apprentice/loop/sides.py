"""Which subjects are learned from and which are measured on, and what a person moved."""

from contextlib import suppress
from dataclasses import dataclass

from napari_apprentice.errors import StudyError
from napari_apprentice.loop.leakage import learned_by
from napari_apprentice.store.split import Move
from napari_apprentice.store.study import Study


@dataclass(frozen=True)
class SubjectSide:
    """One subject: its side, its cases, and the model versions that learned from it.

    A subject on the validation side does not judge the model versions in `learned`, nor what is tuned from them. One
    that was on the train side before is in doubt where a case that they learned from is damaged, and counts as learned.
    """

    subject: str
    side: str
    cases: tuple[str, ...]
    learned: tuple[str, ...]
    moves: tuple[Move, ...]


def subject_sides(study: Study) -> tuple[SubjectSide, ...]:
    """Every subject that has a side, in the order in which they got one."""
    cases: dict[str, list[str]] = {}
    for case_id in study.cases.ids():
        with suppress(StudyError):  # whose a damaged case is cannot be read
            cases.setdefault(study.cases.info(case_id).subject, []).append(case_id)
    learned = learned_by(study, study.models.names(), skip_damaged=True)
    moves = study.split.moves()
    return tuple(
        SubjectSide(
            subject, side, tuple(cases.get(subject, ())), tuple(n for n, known in learned.items() if subject in known),
            tuple(m for m in moves if m.subject == subject),
        )
        for subject, side in study.split.sides().items()
    )  # fmt: skip
