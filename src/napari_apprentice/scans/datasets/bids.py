"""BIDS: anatomical scans of sub-*/[ses-*]/anat, label maps of derivatives."""

import csv
import json
import re
from pathlib import Path

from napari_apprentice.core.labels import LabelSchema, coloured
from napari_apprentice.errors import InputError
from napari_apprentice.scans.datasets.folders import folders_in, name_of, scans_in, stem_of, tree
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase, with_missing

_LABELS = ("dseg", "mask")
_NO_SCAN = (*_LABELS, "defacemask", "probseg")
_TEMPLATES = ("MNI", "ICBM", "fs", "Talairach", "OASIS", "NKI", "UNCInfant")  # names BIDS keeps for templates
_SUBJECT = re.compile(r"sub-[A-Za-z0-9+]+")
Entities = dict[str, str]


def looks_like_bids(folder: Path) -> bool:
    """Whether a folder holds subjects of BIDS with an anat folder, or is one of them, or a session or anat of one."""
    return any(_anat(subject) for subject in _subjects(_root(folder))) and bool(_parts(folder))


def find_bids(folder: Path, labels_from: str = "") -> Found:
    """The sessions of a BIDS data set, the contrasts of each as channels of one case.

    A contrast that was taken several times in a session is a case of its own from the second on.
    Label maps in a template's space are passed over. Where a case has several, `labels_from`, a part of
    the path, chooses. Of a subject's, session's or anat folder only what is in it is taken, with its label maps
    of the whole data set's derivatives.
    """
    root, parts = _root(folder), _parts(folder)
    maps = _label_maps(root)
    notes: list[str] = []
    made = [_cases(anat, notes) for anat in parts]
    usual = iter(with_missing([case for case, _ in made if case]))
    whole = [c for first, again in made for c in ([next(usual)] if first else []) + again]
    cases = tuple(_with_labels(case, maps, labels_from, root) for case in whole)
    return Found("bids", cases, (), tuple(notes), _schema(root, cases), _title(root))


def entities(path: Path) -> tuple[Entities, str]:
    """Key-value pairs of a BIDS file name, and its suffix: sub-01_ses-a_T1w is {sub: 01, ses: a}, T1w."""
    *pairs, suffix = stem_of(path).split("_")
    return dict(pair.split("-", 1) for pair in pairs if "-" in pair), suffix


def _root(folder: Path) -> Path:
    """The data set that a folder is, or is a subject, session or anat of."""
    here = folder.absolute()
    subject = next((p for p in (here, *here.parents[:2]) if _SUBJECT.fullmatch(p.name)), None)
    return subject.parent if subject else folder


def _parts(folder: Path) -> list[Path]:
    """The anat folders in a data set, subject or session."""
    root, here = _root(folder), folder.absolute()
    found = [anat for subject in _subjects(root) for anat in _anat(subject)]
    return found if root == folder else [anat for anat in found if here in (anat, *anat.parents)]


def _subjects(folder: Path) -> tuple[Path, ...]:
    return tuple(p for p in folders_in(folder) if _SUBJECT.fullmatch(p.name))


def _anat(subject: Path) -> tuple[Path, ...]:
    sessions = tuple(p for p in folders_in(subject) if p.name.startswith("ses-"))
    return tuple(p / "anat" for p in (subject, *sessions) if scans_in(p / "anat"))


def _cases(anat: Path, notes: list[str]) -> tuple[FoundCase | None, list[FoundCase]]:
    """The case of an anat folder, and a case each for contrasts that come again."""
    first: dict[str, Path] = {}
    again: list[Path] = []
    for path in scans_in(anat):
        known, suffix = entities(path)
        if suffix in _NO_SCAN:
            continue
        name = f"{suffix}-{known['ce']}" if "ce" in known else suffix
        if name in first:
            again.append(path)
        else:
            first[name] = path
    subject = next(p for p in anat.parts[::-1] if p.startswith("sub-"))
    session = anat.parent.name if anat.parent.name.startswith("ses-") else ""
    case_id = f"{subject}_{session}" if session else subject
    if again:
        notes.append(f"{case_id} holds a contrast several times; {', '.join(stem_of(p) for p in again)} on its own.")
    files = tuple(ChannelFile(name, path) for name, path in first.items())
    more = [FoundCase(stem_of(p), subject, (ChannelFile(entities(p)[1], p),), session=session) for p in again]
    return (FoundCase(case_id, subject, files, session=session) if files else None), more


def _label_maps(folder: Path) -> list[Path]:
    places = [p for p in tree(folder) if p.name == "anat"]
    paths = [p for place in places for p in scans_in(place) if entities(p)[1] in _LABELS]
    return [p for p in paths if not entities(p)[0].get("space", "").startswith(_TEMPLATES)]


def _with_labels(case: FoundCase, maps: list[Path], wanted: str, folder: Path) -> FoundCase:
    """A case with the label map of its subject and session; of those in some channel's space, that channel's."""
    known = entities(next(c.path for c in case.channels if c.path is not None))[0]
    run = known.get("run") if len(case.channels) == 1 else None
    fitting = [
        p
        for p in maps
        if (f"sub-{entities(p)[0].get('sub')}", entities(p)[0].get("ses", ""))
        == (case.subject, case.session.removeprefix("ses-"))
        and (run is None or entities(p)[0].get("run", run) == run)
        and wanted in p.relative_to(folder).as_posix()
    ]
    if len(fitting) > 1:
        return FoundCase(case.case_id, case.subject, case.channels, session=case.session, choices=tuple(fitting))
    labels = fitting[0] if fitting else None
    return FoundCase(case.case_id, case.subject, case.channels, labels, session=case.session)


def _schema(folder: Path, cases: tuple[FoundCase, ...]) -> LabelSchema | None:
    maps = [c.labels for c in cases if c.labels]
    if not maps:
        return None
    for table in _tables(folder, maps[0]):
        schema = _from_table(table)
        if schema:
            return schema
    known, suffix = entities(maps[0])
    return LabelSchema.from_names([known.get("label") or known.get("desc") or "mask"]) if suffix == "mask" else None


def _tables(folder: Path, label_map: Path) -> list[Path]:
    """Tables that may name a label map's values: beside it, then in the folders above it."""
    near = [label_map.with_name(f"{stem_of(label_map)}.tsv")]
    above = [p for p in label_map.parents if p == folder or folder in p.parents]
    return near + [t for place in above for t in sorted(place.glob("*dseg.tsv"))]


def _from_table(path: Path) -> LabelSchema | None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(int(r["index"]), r["name"], r.get("color") or "") for r in csv.DictReader(file, delimiter="\t")]
        return LabelSchema(coloured((i, n, _colour(c)) for i, n, c in rows if i != 0))
    except (OSError, ValueError, KeyError, TypeError, csv.Error, InputError):
        return None  # a table of another kind; names are a convenience


def _colour(text: str) -> str:
    return text if re.fullmatch(r"#[0-9a-fA-F]{6}", text) else ""


def _title(folder: Path) -> str:
    try:
        name = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8-sig"))["Name"]
    except (OSError, ValueError, KeyError, TypeError):
        return name_of(folder)
    return str(name)
