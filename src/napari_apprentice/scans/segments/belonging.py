"""Whether a DICOM SEG or RT Structure Set says that it is of another person or scan than a case.

Scanners put many persons on one grid, so that a label map fits is no sign that it belongs.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError, StorageError
from napari_apprentice.scans.dicom.deidentify import IDENTIFIED, Person, first_of, plain_subject
from napari_apprentice.scans.dicom.deidentify_key import private_key
from napari_apprentice.scans.dicom.file import naming, quiet_pydicom, read_header, text_of
from napari_apprentice.scans.dicom.kinds import is_rtstruct, is_seg

_WORDS = {"SeriesInstanceUID": "series", "FrameOfReferenceUID": "frame of reference", "StudyInstanceUID": "study"}
_PATIENT = ("PatientID", "PatientName")
_REFERENCES = ("ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence")
_CHOICES = (("take", "it is the right one, as where only one of the two was de-identified"),)


def refuse_foreign(path: Path, acquisition: Mapping[str, Any], settings: ReadSettings) -> None:
    """Stop before a label map is read that says of itself that it belongs to somebody else, or to another scan.

    Nothing is refused where one of the two does not say what it is of: scans that are no DICOM, pseudonyms that
    another user's key made, cases that an earlier version of the program added.

    Parameters
    ----------
    acquisition
        What is known of the case's scan; see `core.volume.Volume`.

    Raises
    ------
    ChoiceError
        The patients differ, or neither study, frame of reference nor series is the same; the text says which.
    ScanError
        The file is damaged.
    """
    if settings.foreign == "take" or not (is_seg(path) or is_rtstruct(path)):
        return
    with quiet_pydicom(), naming(path):
        header = read_header(path, (*_PATIENT, *_WORDS, *_REFERENCES))
        channels = acquisition.get("channels", {}).values()
        told = [_differences(header, facts) for facts in (acquisition, *channels) if IDENTIFIED in facts]
    if told and all(told):
        text = f"{path.name} does not belong to this scan: {told[0]}. Take the label map that was made of this scan."
        raise ChoiceError(text, "foreign", _CHOICES)


def _differences(header: Dataset, facts: Mapping[str, Any]) -> str:
    """What of a label map and a scan differs, in words; "" where they belong together or nothing is known."""
    key = _key_of(facts)
    if key is None:
        return ""
    theirs = dict(_uids(header))
    alike = {k: _same(facts, key, k, uids) for k, uids in theirs.items() if uids and facts.get(k)}
    patient = _same_patient(header, facts, key)
    if patient is False:
        return f"its patient is {_patient(header, facts, key)}, the scan's is {facts['subject']}"
    weak = patient and alike.keys() == {"StudyInstanceUID"}  # programs make up a study for what they write
    if not alike or any(alike.values()) or weak:
        return ""
    words = [_WORDS[k] for k in alike]
    return f"its {' and '.join(words)} {'is' if len(words) == 1 else 'are'} not the scan's"


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
    return bool(facts["subject"] == (Person(key, said).subject if key else plain_subject(header)))


def _patient(header: Dataset, facts: Mapping[str, Any], key: bytes) -> str:
    by = facts[IDENTIFIED]["by"]
    said = text_of(header, by)
    return f"{said} (here {Person(key, first_of(header, (by,))).subject})" if key else said


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
