"""BraTS folders: t1, t1ce, t2, flair and seg of one case, in the namings before and since 2023."""

import re
from pathlib import Path

from napari_apprentice.core.labels import PALETTE, Label, LabelSchema
from napari_apprentice.scans.datasets.folders import name_of, scans_in, stem_of, tree
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase

CHANNELS = ("T1", "T1CE", "T2", "FLAIR")
_TOKENS = {
    "t1": "T1", "t1n": "T1", "t1ce": "T1CE", "t1c": "T1CE", "t1gd": "T1CE",
    "t2": "T2", "t2w": "T2", "flair": "FLAIR", "t2f": "FLAIR", "seg": "seg",
}  # fmt: skip
_SINCE_2023 = ("t1n", "t1c", "t2w", "t2f")
# Before 2023 the enhancing tumour was 4 and 3 was unused (Baid et al. 2021, arXiv:2107.02314).
_OLD = ((1, "necrotic core"), (2, "oedema"), (4, "enhancing tumour"))
_NEW = ((1, "necrotic core"), (2, "oedema"), (3, "enhancing tumour"))
_TIMED = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d{3}")


def looks_like_brats(folder: Path) -> bool:
    """Whether files here or in the folders below are named as in BraTS.

    T1, T2, FLAIR and even seg are in many brain collections; BraTS has a contrast-enhanced T1 called t1ce,
    t1c or t1gd too.
    """
    return any({"T1CE", "FLAIR"} <= {_TOKENS[token] for token in files} for files in _cases(folder).values())


def find_brats(folder: Path) -> Found:
    """The cases of BraTS folders; a contrast that others have and one lacks is a missing channel."""
    cases = _cases(folder)
    present = {_TOKENS[token] for files in cases.values() for token in files}
    names = tuple(c for c in CHANNELS if c in present)
    new = any(token in _SINCE_2023 for files in cases.values() for token in files)
    pairs = _NEW if new else _OLD
    schema = LabelSchema(tuple(Label(i, name, PALETTE[i - 1]) for i, name in pairs))
    notes = (
        f"Labels were named after the naming of BraTS {'since' if new else 'before'} 2023: "
        f"{', '.join(f'{i} {name}' for i, name in pairs)}.",
    )
    made = tuple(_case(key, files, names) for key, files in cases.items() if {_TOKENS[t] for t in files} & set(names))
    return Found("brats", made, (), notes, schema, name_of(folder))


def _case(key: tuple[Path, str], files: dict[str, Path], names: tuple[str, ...]) -> FoundCase:
    place, prefix = key
    by_kind = {_TOKENS[token]: path for token, path in files.items()}
    case_id = prefix or place.resolve().name
    match = _TIMED.fullmatch(case_id)
    return FoundCase(
        case_id,
        match.group(1) if match else case_id,
        tuple(ChannelFile(name, by_kind.get(name)) for name in names),
        by_kind.get("seg"),
        session=case_id[len(match.group(1)) + 1 :] if match else "",
    )


def _cases(folder: Path) -> dict[tuple[Path, str], dict[str, Path]]:
    """Files by their token, by folder and what their names begin with."""
    found: dict[tuple[Path, str], dict[str, Path]] = {}
    for place in tree(folder):
        for path in scans_in(place):
            prefix, _, token = re.sub(r"[-_ ]([^-_ ]+)$", r"\0\1", stem_of(path)).rpartition("\0")
            if token.lower() in _TOKENS:
                found.setdefault((place, prefix), {}).setdefault(token.lower(), path)
    return found
