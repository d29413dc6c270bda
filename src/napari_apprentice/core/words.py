"""Numbers in sentences, and many sentences that say the same."""

import re
from collections.abc import Iterable

# What many sentences about one case or file differ in: revisions, lines, levels, leftovers of interrupted writes.
_PART = re.compile(r"(?<![\w-])r\d{4,}\b|(?<=\bline )\d+|(?<=\blevel )\d+|(?<=/)\.[^\s/]+\.aside\b")
_FEW = 3


def counted(number: int, noun: str) -> str:
    """1 scan, 2 scans, 0 scans."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def in_short(sentences: Iterable[str]) -> list[str]:
    """Of more than a few sentences that say the same of parts of one thing, the first, and how many parts there are."""
    alike: dict[str, list[str]] = {}
    for sentence in sentences:
        alike.setdefault(_PART.sub("", sentence), []).append(sentence)
    return [line for same in alike.values() for line in (same if len(same) <= _FEW else [_of_many(same)])]


def _of_many(same: list[str]) -> str:
    parts = (found[0] for sentence in same[:_FEW] if (found := _PART.search(sentence)))
    return f"{same[0]} ({len(same)} such: {', '.join(parts)} ...)"
