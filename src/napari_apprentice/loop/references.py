"""Which file of a folder of reference label maps is whose."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_apprentice.errors import StudyError
from napari_apprentice.scans.datasets.dicom_tree import label_objects
from napari_apprentice.scans.datasets.folders import volumes_in
from napari_apprentice.scans.reader import case_id_from, expand
from napari_apprentice.scans.segments.belonging import by_series
from napari_apprentice.scans.suffixes import DICOM, suffix_of
from napari_apprentice.store.study import Study

ByCase = dict[str, list[Path]]


def references_of(study: Study, references: Path, cases: Sequence[str]) -> tuple[ByCase, tuple[str, ...]]:
    """The files by the cases that they are called like, or whose series they refer to where none is called so.

    Names in the folder itself count before those of DICOM objects in folders below. Nothing below is looked at where
    every case has a file in the folder itself.

    Parameters
    ----------
    cases
        For which references are wanted.

    Returns
    -------
    Also sentences on DICOM objects that are passed over: damaged, or which case's is not clear.
    """
    files = _by_name(_directly_in(references))
    if files.keys() >= {*cases}:
        return files, ()
    objects, ids = label_objects(references), study.cases.ids()
    files = _by_name(objects) | files
    acquisitions = {}
    for case_id in ids:
        with suppress(StudyError):  # a damaged case is told where it is compared
            if case_id not in files:
                acquisitions[case_id] = study.cases.record(case_id).get("acquisition", {})
    found, doubts = _by_series(references, [p for p in objects if case_id_from(p) not in ids], acquisitions, cases)
    return files | found, doubts


def several(paths: Sequence[Path], references: Path, case_id: str) -> str:
    """A sentence on a case that has more than one reference."""
    names = " and ".join(_inside(p, references) for p in paths)
    return f"{names} in {references} may all be the reference of case {case_id}: leave one of them."


def _directly_in(references: Path) -> Iterable[Path]:
    named = expand([references])
    if named == (references,) and references.is_dir():  # of a folder that holds DICOM the rest
        named = tuple(p for p in volumes_in(references) if suffix_of(p) not in DICOM) or named
    return dict.fromkeys((*named, *label_objects(references, below=False)))


def _by_name(paths: Iterable[Path]) -> ByCase:
    files: ByCase = {}
    for path in paths:
        files.setdefault(case_id_from(path), []).append(path)
    return files


def _by_series(
    references: Path, objects: Sequence[Path], acquisitions: Mapping[str, Mapping[str, Any]], cases: Sequence[str]
) -> tuple[ByCase, tuple[str, ...]]:
    found, damaged = by_series(objects, acquisitions)
    files: ByCase = {}
    doubts = [*damaged.values()]
    for case_id in filter(found.get, cases):
        paths, owners = found[case_id], [c for c, theirs in found.items() if {*theirs} & {*found[case_id]}]
        if len(paths) > 1:
            doubts.append(several(paths, references, case_id))
        elif len(owners) > 1:
            doubts.append(
                f"{_inside(paths[0], references)} refers to the series of the cases {' and '.join(owners)}: call it "
                "like the one whose reference it is."
            )
        else:
            files[case_id] = [*paths]
    return files, tuple(dict.fromkeys(doubts))


def _inside(path: Path, references: Path) -> str:
    return path.name if path == references else path.relative_to(references).as_posix()
