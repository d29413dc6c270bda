"""What `check` and `repair` tell: a sentence, and what of it is a part of one thing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What is wrong somewhere in a study, or was done there.

    Parameters
    ----------
    text
        The whole sentence, for a person.
    thing
        What it is about where that has parts: a case, a file.
    part
        Which part of it, as it stands in the sentence: a revision, a line, a level; "" for all of it.
    """

    text: str
    thing: str = ""
    part: str = ""
