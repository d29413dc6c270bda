"""How far a long piece of work has come."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report of a long piece of work; what it ends with is the generator's return value.

    Parameters
    ----------
    done, total
        Steps, files or slabs; `total` 0 means not known yet.
    text
        What is happening, for a person.
    loss
        Mean training loss since the last report, where there is one.
    dice
        Mean validation Dice, where it was just measured.
    seconds_left
        Estimate, or None.
    case_id
        The case this report is about, where it is about one.
    slab
        First slice and the one behind the last of a part of the case's prediction that can be looked at now.
    """

    done: int
    total: int
    text: str
    loss: float | None = None
    dice: float | None = None
    seconds_left: float | None = None
    case_id: str | None = None
    slab: tuple[int, int] | None = None
