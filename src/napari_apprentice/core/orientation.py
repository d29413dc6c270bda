"""The order and direction of a network's axes, in anatomical letters."""

from napari_apprentice.errors import InputError

OURS = "SPL"  # axes (z, y, x) of every case grow towards superior, posterior and left
_OPPOSITE = {"S": "I", "I": "S", "P": "A", "A": "P", "L": "R", "R": "L"}


def checked(orientation: str) -> str:
    """Three letters, one per axis, where the axis grows to: R or L, A or P, S or I; upper case.

    Raises
    ------
    InputError
        They are no orientation.
    """
    letters = orientation.strip().upper()
    if len(letters) != 3 or {_axis(x) for x in letters} != {0, 1, 2}:
        raise InputError(
            f"{orientation!r} is no orientation: three letters such as RAS, LPS or LAS say where axes grow."
        )
    return letters


def view(orientation: str) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """How an array in our orientation is brought into another.

    Returns
    -------
    axes
        For each axis of the result, the axis (0 z, 1 y, 2 x) of ours that it is.
    flips
        Axes of ours that are reversed before.
    """
    first, second, third = (_axis(x) for x in checked(orientation))
    flips = tuple(sorted(_axis(x) for x in orientation if x not in OURS))
    return (first, second, third), flips


def from_file_order(orientation: str) -> str:
    """Letters of (i, j, k) as files count them, for an array that is indexed (k, j, i)."""
    return checked(orientation)[::-1]


def _axis(letter: str) -> int:
    return next((i for i, ours in enumerate(OURS) if letter in (ours, _OPPOSITE[ours])), -1)
