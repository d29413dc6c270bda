"""Which channel of a case a model version takes for which of its own: names tell."""

from collections import Counter
from collections.abc import Sequence

Names = Sequence[str]


def same_channels(names: Names, wanted: Names) -> bool:
    """Whether these are the same channels, in whatever order; upper and lower case count as the same.

    One channel is the same as one other: CT, CT venous, image and 0000 may all be what one network reads.
    """
    return len(names) == len(wanted) and _kind(names) == _kind(wanted)


def alike(names: Names, wanted: Names) -> bool:
    """Whether these are the same channels in the same order."""
    return same_channels(names, wanted) and in_order(names, wanted) == tuple(names)


def reading_order(names: Names, wanted: Names) -> tuple[int, ...]:
    """Where a case's channels lie in the order in which they are read.

    A channel goes to the one of its name, the others in their order to what is left. As they are stored where
    a name comes twice, or `wanted` are not as many.
    """
    mine, theirs = _folded(names), _folded(wanted)
    if len(theirs) != len(mine) or len(set(mine)) < len(mine) or len(set(theirs)) < len(theirs):
        return tuple(range(len(mine)))
    nameless = iter([i for i, name in enumerate(mine) if name not in theirs])
    return tuple(mine.index(name) if name in mine else next(nameless) for name in theirs)


def in_order(names: Names, wanted: Names) -> tuple[str, ...]:
    """The names of a case's channels in the order in which they are read."""
    return tuple(names[i] for i in reading_order(names, wanted))


def taken_for(names: Names, wanted: Names) -> str:
    """Which of several channels are read as which others, as in "CT for T1 and PET for FLAIR"; "" where none are."""
    if len(names) != len(wanted) or same_channels(names, wanted):
        return ""
    pairs = zip(in_order(names, wanted), wanted, strict=True)
    return " and ".join(f"{mine} for {theirs}" for mine, theirs in pairs if _folded([mine]) != _folded([theirs]))


def prevailing(every: Sequence[Names]) -> tuple[str, ...]:
    """The channels that most of some cases have, in the order in which most of those have them."""
    kinds = Counter(_kind(names) for names in every)
    most, _ = kinds.most_common(1)[0]
    orders = Counter(tuple(names) for names in every if _kind(names) == most)
    return orders.most_common(1)[0][0]


def _folded(names: Names) -> list[str]:
    return [name.strip().casefold() for name in names]


def _kind(names: Names) -> tuple[str, ...]:
    return tuple(sorted(_folded(names))) if len(names) > 1 else ("",)
