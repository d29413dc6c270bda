"""imagesTr and labelsTr: the Medical Segmentation Decathlon, and nnU-Net's raw layout (v1 and v2)."""

import re
from collections.abc import Sequence
from pathlib import Path

from napari_apprentice.errors import InputError
from napari_apprentice.scans.datasets.dataset_json import NAME, DatasetJson, read_dataset_json
from napari_apprentice.scans.datasets.folders import folders_in, name_of, scans_in, stem_of
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase

PARTS = ("Tr", "Ts")
_NUMBERED = re.compile(r"(.+)_(\d{4})")


def has_images_tr(folder: Path) -> bool:
    """Whether a folder holds imagesTr or imagesTs with scans in them."""
    return any(scans_in(folder / f"images{part}") for part in PARTS)


def data_sets_in(folder: Path) -> tuple[Path, ...]:
    """Folders of this layout directly in a folder, as in nnUNet_raw."""
    return tuple(p for p in folders_in(folder) if has_images_tr(p))


def part_of(folder: Path) -> str | None:
    """Of a folder named imagesTr or imagesTs in a data set, the part it is; None of any other."""
    part = name_of(folder).removeprefix("images")
    return part if name_of(folder) == f"images{part}" and part in PARTS and scans_in(folder) else None


def find_images_tr(folder: Path, kind: str = "", parts: Sequence[str] = PARTS) -> Found:
    """The cases of a Decathlon or nnU-Net data set; without `kind` the files decide which of the two.

    Training scans get their label maps, test scans come without; a broken dataset.json only costs names.
    """
    notes: list[str] = []
    facts = _facts(folder / NAME, notes)
    kind = kind or ("nnunet" if _is_nnunet(folder, facts) else "msd")
    make = _nnunet_cases if kind == "nnunet" else _msd_cases
    cases = tuple(case for part in parts for case in make(folder, part, facts))
    return Found(
        kind,
        cases,
        _missing(facts, scans_in(folder / "imagesTr")) if facts and kind == "msd" and "Tr" in parts else (),
        tuple(notes),
        facts.schema if facts else None,
        (facts.title if facts else "") or name_of(folder),
        facts.ignore if facts else None,
    )


def _facts(path: Path, notes: list[str]) -> DatasetJson | None:
    try:
        return read_dataset_json(path)
    except InputError as error:
        why = str(error) if path.exists() else f"There is no {NAME} beside imagesTr."
        notes.append(f"{why} Label and channel names are not known.")
        return None


def _is_nnunet(folder: Path, facts: DatasetJson | None) -> bool:
    if facts and facts.nnunet:
        return True
    images = [stem_of(p) for part in PARTS for p in scans_in(folder / f"images{part}")]
    labels = {stem_of(p) for part in PARTS for p in scans_in(folder / f"labels{part}")}
    return all(_NUMBERED.fullmatch(stem) and stem not in labels for stem in images)


def _msd_cases(folder: Path, part: str, facts: DatasetJson | None) -> list[FoundCase]:
    labels = {stem_of(p): p for p in scans_in(folder / f"labels{part}")}
    names = facts.channels if facts else ()
    return [
        FoundCase(
            stem_of(path),
            stem_of(path),
            (ChannelFile(names[0] if len(names) == 1 else "", path, names if len(names) > 1 else ()),),
            labels.get(stem_of(path)),
        )
        for path in scans_in(folder / f"images{part}")
    ]


def _nnunet_cases(folder: Path, part: str, facts: DatasetJson | None) -> list[FoundCase]:
    ending = facts.ending if facts else ""
    labels = {stem_of(p, ending): p for p in scans_in(folder / f"labels{part}")}
    files: dict[str, dict[int, Path]] = {}
    for path in scans_in(folder / f"images{part}"):
        match = _NUMBERED.fullmatch(stem_of(path, ending))
        case, number = (match.group(1), int(match.group(2))) if match else (stem_of(path, ending), 0)
        files.setdefault(case, {})[number] = path
    count = max([1 + n for numbers in files.values() for n in numbers], default=0)
    names = _channel_names(facts, count)
    return [
        FoundCase(
            case,
            case,
            tuple(ChannelFile(name, numbers.get(n)) for n, name in enumerate(names)),
            labels.get(case),
        )
        for case, numbers in files.items()
    ]


def _channel_names(facts: DatasetJson | None, count: int) -> tuple[str, ...]:
    """A name for each channel number; those of dataset.json first, then c1, c2 ..."""
    named = facts.channels if facts else ()
    if not named and count == 1:
        return ("",)
    return (*named, *(f"c{n}" for n in range(len(named), count)))


def _missing(facts: DatasetJson, there: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    names = {p.name for p in there}
    return tuple((n, f"{NAME} lists it, but imagesTr does not hold it.") for n in facts.listed if n not in names)
