"""Numbers in sentences, and many sentences that say the same."""

import re
from collections.abc import Iterable

# What many sentences about one case or file differ in: revisions, lines, levels, leftovers of interrupted writes.
# A case may be called as revisions are: it stands elsewhere, or directly in the folder of cases or journals.
_INSIDE = r"(?<=/)(?<!cases\.zarr/)(?<!journal/)"
_PART = re.compile(
    rf"{_INSIDE}r\d{{4,}}\b|(?<=\brevision )r\d{{4,}}\b(?!/)|(?<=is damaged: )r\d{{4,}}(?=/)"
    rf"|(?<=\bline )\d+|(?<=\blevel )\d+|{_INSIDE}\.[^\s/]+\.aside\b"
)
_FEW = 3


def counted(number: int, noun: str) -> str:
    """1 scan, 2 scans, 0 scans."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def in_short(sentences: Iterable[str]) -> list[str]:
    """Of more than a few sentences that say the same of parts of one thing, the first, and how many parts there are."""
    alike: dict[str, list[str]] = {}
    for sentence in sentences:
        alike.setdefault(_PART.sub("\n", sentence), []).append(sentence)
    return [line for same in alike.values() for line in (same if len(same) <= _FEW else [_of_many(same)])]


def _of_many(same: list[str]) -> str:
    parts = [_PART.findall(sentence) for sentence in same]
    places = [n for n, column in enumerate(zip(*parts, strict=True)) if len({*column}) > 1]
    names = [*dict.fromkeys(" ".join(dict.fromkeys(found[n] for n in places)) for found in parts)]
    examples = f": {', '.join(names[:_FEW])} ..." if places else ""
    return f"{same[0]} ({len(same)} such{examples})"
