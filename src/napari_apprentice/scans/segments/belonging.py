"""Whether a DICOM SEG or RT Structure Set says that it is of another person or scan than a case.

Scanners put many persons on one grid, so that a label map fits is no sign that it belongs.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ApprenticeError, ChoiceError, StorageError
from napari_apprentice.scans.dicom.deidentify import IDENTIFIED, Person, first_of, plain_subject
from napari_apprentice.scans.dicom.deidentify_key import private_key
from napari_apprentice.scans.dicom.file import naming, quiet_pydicom, read_header, text_of
from napari_apprentice.scans.dicom.kinds import is_rtstruct, is_seg

_WORDS = {"SeriesInstanceUID": "series", "FrameOfReferenceUID": "frame of reference", "StudyInstanceUID": "study"}
_PATIENT = ("PatientID", "PatientName")
_REFERENCES = ("ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence")
_CHOICES = (("take", "it is the right one, as where only one of the two was de-identified"),)


def refuse_foreign(path: Path, acquisition: Mapping[str, Any], settings: ReadSettings, *, strict: bool = False) -> str:
    """Stop before a label map is read that says of itself that it belongs to somebody else, or to another scan.

    Nothing is refused where one of the two does not say what it is of: scans that are no DICOM, pseudonyms that
    another user's key made, cases that an earlier version of the program added.

    Parameters
    ----------
    acquisition
        What is known of the case's scan; see `core.volume.Volume`.
    strict
        Whether to stop where there is only a doubt.

    Returns
    -------
    A doubt to be told, else "": the patient is the same and all else is not, as of an earlier scan, or after a
    program that gives new UIDs to all that it exports.

    Raises
    ------
    ChoiceError
        The patients differ, or neither study, frame of reference nor series is the same; the text says which.
    ScanError
        The file is damaged.
    """
    if settings.foreign == "take" or not (is_seg(path) or is_rtstruct(path)):
        return ""
    with quiet_pydicom(), naming(path):
        header = read_header(path, (*_PATIENT, *_WORDS, *_REFERENCES))
        channels = acquisition.get("channels", {}).values()
        told = [_differences(header, facts) for facts in (acquisition, *channels) if IDENTIFIED in facts]
    if not told or not all(text for text, _ in told):
        return ""
    doubts = [text for text, doubtful in told if doubtful]
    if doubts and not strict:
        return f"{path.name}: it is of the same patient, but {doubts[0]}. See that it was made of this scan."
    text = f"{path.name} does not belong to this scan: {told[0][0]}. Take the label map that was made of this scan."
    raise ChoiceError(text, "foreign", _CHOICES)


def by_series(
    objects: Iterable[Path], acquisitions: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, tuple[Path, ...]], dict[Path, str]]:
    """DICOM SEG and RT Structure Sets by the cases whose series, or one of whose channels, they say they were drawn on.

    One that lists the series of a scan and is of another frame of reference is not of that scan.

    Parameters
    ----------
    acquisitions
        By case what is known of its scan; see `core.volume.Volume`. Nothing is found for one with pseudonyms that
        another user's key made.

    Returns
    -------
    The files by case, and why damaged ones cannot be read.
    """
    drawn_on: dict[Path, dict[str, set[str]]] = {}
    damaged: dict[Path, str] = {}
    for path in objects:
        try:
            drawn_on[path] = _drawn_on(path)
        except (ApprenticeError, OSError) as error:
            damaged[path] = str(error)
    found = {}
    for case_id, acquisition in acquisitions.items():
        facts = (acquisition, *acquisition.get("channels", {}).values())
        keys = [(f, key) for f in facts if IDENTIFIED in f and (key := _key_of(f)) is not None]
        found[case_id] = tuple(p for p, uids in drawn_on.items() if any(_is_on(f, key, uids) for f, key in keys))
    return found, damaged


def _drawn_on(path: Path) -> dict[str, set[str]]:
    with quiet_pydicom(), naming(path):
        return dict(_uids(read_header(path, (*_WORDS, *_REFERENCES))))


def _is_on(facts: Mapping[str, Any], key: bytes, uids: Mapping[str, set[str]]) -> bool:
    series, frame = "SeriesInstanceUID", "FrameOfReferenceUID"
    elsewhere = facts.get(frame) and uids[frame] and not _same(facts, key, frame, uids[frame])
    return bool(facts.get(series)) and not elsewhere and _same(facts, key, series, uids[series])


def _differences(header: Dataset, facts: Mapping[str, Any]) -> tuple[str, bool]:
    """What of a label map and a scan differs, in words, and whether that is but a doubt; "" where nothing does."""
    key = _key_of(facts)
    if key is None:
        return "", False
    theirs = dict(_uids(header))
    alike = {k: _same(facts, key, k, uids) for k, uids in theirs.items() if uids and facts.get(k)}
    patient = _same_patient(header, facts, key)
    if patient is False:
        return f"its patient is {_patient(header, facts, key)}, the scan's is {facts['subject']}", False
    weak = patient and alike.keys() == {"StudyInstanceUID"}  # programs make up a study for what they write
    if not alike or any(alike.values()) or weak:
        return "", False
    words = [_WORDS[k] for k in alike]
    text = f"its {' and '.join(words)} {'is' if len(words) == 1 else 'are'} not the scan's"
    return text, bool(patient) and alike.keys() == _WORDS.keys()


def _key_of(facts: Mapping[str, Any]) -> bytes | None:
    """The key of a scan's pseudonyms, b"" where it has none; None where the key is not this user's."""
    mark = facts[IDENTIFIED]["key"]
    if not mark:
        return b""
    with suppress(StorageError):
        key = private_key()
        return key if Person(key, "").mark == mark else None
    return None


def _same(facts: Mapping[str, Any], key: bytes, keyword: str, uids: set[str]) -> bool:
    return facts[keyword] in {Person(key, "").uid(uid) if key else uid for uid in uids}


def _same_patient(header: Dataset, facts: Mapping[str, Any], key: bytes) -> bool | None:
    """None where one of the two does not say who it is of, or they say it by different attributes."""
    by = facts[IDENTIFIED]["by"]
    said = first_of(header, (by,)) if by in _PATIENT else ""
    if not said:
        return None
    if not key:
        return bool(facts["subject"].casefold() == plain_subject(header).casefold())
    # A pseudonym tells nothing of the case in which the id was written; programs write all of it in one.
    value = said.partition("=")[2]
    return facts["subject"] in {Person(key, f"{by}={v}").subject for v in (value, value.upper(), value.lower())}


def _patient(header: Dataset, facts: Mapping[str, Any], key: bytes) -> str:
    """Who a label map is of: by a pseudonym where the scan has one, since messages are kept and passed on."""
    by = facts[IDENTIFIED]["by"]
    return Person(key, first_of(header, (by,))).subject if key else text_of(header, by)


def _uids(header: Dataset) -> Iterator[tuple[str, set[str]]]:
    """By keyword the UIDs of all that a SEG or RT Structure Set says that it was drawn on."""
    frames = list(header.get("ReferencedFrameOfReferenceSequence") or ())
    studies = [item for frame in frames for item in frame.get("RTReferencedStudySequence") or ()]
    series = [item for study in studies for item in study.get("RTReferencedSeriesSequence") or ()]
    series += list(header.get("ReferencedSeriesSequence") or ())
    yield "SeriesInstanceUID", _values(series, "SeriesInstanceUID")
    yield "FrameOfReferenceUID", _values((header, *frames), "FrameOfReferenceUID")
    yield "StudyInstanceUID", _values((header,), "StudyInstanceUID") | _values(studies, "ReferencedSOPInstanceUID")


def _values(items: Iterable[Dataset], keyword: str) -> set[str]:
    return {text_of(item, keyword) for item in items} - {""}
