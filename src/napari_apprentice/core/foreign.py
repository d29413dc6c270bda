"""A model of another program, understood from its description alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import ModelError

# What json, int(), float() and [...] raise over a description that is not what it should be.
_MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, ArithmeticError)


@dataclass(frozen=True)
class ForeignModel:
    """Everything but the weights.

    Parameters
    ----------
    library
        Where it is from, for a person: "nnU-Net v2".
    plan
        How it sees scans; its labels are the numbers of its output rows.
    labels
        Name of output row 1, 2 ...
    channels
        Name of each channel, in order; empty where it does not name them.
    notes
        Sentences about what is not quite as in the other program.
    """

    library: str
    plan: Plan
    labels: tuple[str, ...]
    channels: tuple[str, ...]
    notes: tuple[str, ...] = ()


@contextmanager
def describing(name: str) -> Iterator[None]:
    """Say in a sentence that a description lacks something, or holds something else than it should."""
    try:
        yield
    except KeyError as error:
        raise ModelError(f"{name} lacks {error}, so the model cannot be understood.") from error
    except _MALFORMED as error:
        raise ModelError(f"{name} is damaged or of a form that is not known here ({error}).") from error
