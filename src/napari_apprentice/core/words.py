"""Numbers and names in sentences."""

from collections.abc import Iterable
from difflib import get_close_matches


def counted(number: int, noun: str) -> str:
    """1 scan, 2 scans, 0 scans."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def meant(name: str, names: Iterable[str]) -> str:
    """The few names that a mistyped one is most like, as a question to follow a sentence; "" without any."""
    lower = {known.lower(): known for known in names}
    close = [lower[found] for found in get_close_matches(name.lower(), lower)]
    return f" Did you mean {' or '.join(close)}?" if close else ""
