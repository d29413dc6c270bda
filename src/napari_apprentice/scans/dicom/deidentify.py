"""DICOM without the person: what of a header a study may keep, after the basic profile of PS3.15, annex E.

Nothing is taken over but technical numbers, words of closed lists (`dicom_facts`), and what is replaced
here: the subject by a pseudonym, UIDs by others, dates by shifted ones (the profile's option "retain
longitudinal temporal information with modified dates"). All three come from HMAC-SHA256 with the user's
own key: they are the same for every series of a person, and nobody without the key can try names.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import SecondaryCaptureImageStorage

from napari_apprentice.core.reading import Step
from napari_apprentice.scans.dicom.facts import FACT_KEYWORDS, facts_of
from napari_apprentice.scans.dicom.file import text_of

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
DATES = ("StudyDate", "AcquisitionDate")
# Where facts say by which attribute the subject is known, and by which key its pseudonym was made ("": it is none).
IDENTIFIED = "identified"
LONGEST_SHIFT = 3650  # days
# What writers put where a person's id belongs when there is none.
NOBODY = frozenset(("", "anon", "anonymous", "anonymized", "anonymised", "removed", "unknown", "none", "patient", "0"))
# Ultrasound, endoscopy, photographs, paper and film: their machines write the name into the picture.
_WRITTEN_ON = ("US", "IVUS", "BDUS", "ES", "XC", "HC", "FD", "DOC")
# Value representations that can hold a name, a place, a date or an identifier.
_TELLING = "AE AS DA DT LO LT PN SH ST TM UC UI UN UR UT OB OW SQ"
# Neither of a person nor kept: the voxels themselves, what describes them, and the kind of object.
_NEUTRAL_GROUPS = (0x0028, 0x7FE0, 0xFFFC)
_NEUTRAL = frozenset(
    ("SOPClassUID", "SpecificCharacterSet", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
)


@dataclass(frozen=True)
class Person:
    """Who a series is of, and the secret that hides it.

    Parameters
    ----------
    key
        The user's 32 bytes.
    identity
        What the files say of the person: never stored, only hashed.
    """

    key: bytes
    identity: str

    @property
    def subject(self) -> str:
        """The pseudonym, such as "sub-3f6k2a7q"; 40 bits."""
        return "sub-" + base64.b32encode(self._bytes("subject", self.identity)[:5]).decode().lower()

    @property
    def days(self) -> int:
        """By how many days this person's dates are moved back; from 1 to `LONGEST_SHIFT`."""
        return 1 + int.from_bytes(self._bytes("date", self.identity)[:8], "big") % LONGEST_SHIFT

    @property
    def mark(self) -> str:
        """By which pseudonyms of the same key are known; it tells nothing of the key or of the person."""
        return self._bytes("mark", "")[:8].hex()

    def date(self, text: str) -> str:
        """A DICOM date moved back, as YYYY-MM-DD; "" when it is none."""
        try:
            return f"{datetime.strptime(text[:8], '%Y%m%d') - timedelta(days=self.days):%Y-%m-%d}"
        except (ValueError, OverflowError):
            return ""

    def uid(self, text: str) -> str:
        """Another UID for a UID, always the same one (PS3.5 B.2: below 2.25)."""
        return f"2.25.{int.from_bytes(self._bytes('uid', text)[:16], 'big')}"

    def _bytes(self, purpose: str, text: str) -> bytes:
        return hmac.new(self.key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()


def person_of(header: Dataset, key: bytes, digest: str) -> Person:
    """Who a series is of: by PatientID, else by name, by the study or series it belongs to, by the files' digest."""
    return Person(key, identity_of(header) or digest)


def patient_of(header: Dataset) -> str:
    """What the header says of the person alone; "" when it says nothing. Never to be stored."""
    return first_of(header, ("PatientID", "PatientName"))


def identity_of(header: Dataset) -> str:
    """What tells this person's series from others; may be a name, so it is never to be stored."""
    return first_of(header, ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID"))


def first_of(header: Dataset, keywords: Iterable[str]) -> str:
    """The first of some attributes that says who a series is of, as KEYWORD=VALUE; "" when none does."""
    for keyword in keywords:
        text = text_of(header, keyword)
        if keyword == "PatientName":  # written in many ways
            text = text.rstrip("^ =").casefold()
        if text.lower() not in NOBODY:
            return f"{keyword}={text}"
    return ""


def deidentified(header: Dataset, tags: Iterable[int], person: Person) -> tuple[dict[str, Any], Step]:
    """What a study keeps of a header, and the step that records what it does not.

    Parameters
    ----------
    header
        Attributes of one slice.
    tags
        Every attribute that some slice has.

    Returns
    -------
    Facts as JSON values, with the pseudonym as "subject"; the record names attributes, never a value.
    """
    facts = facts_of(header)
    replaced, shifted = ["PatientID"], []
    for keyword in UIDS:
        if text_of(header, keyword):
            facts[keyword] = person.uid(text_of(header, keyword))
            replaced.append(keyword)
    for keyword in DATES:
        date = person.date(text_of(header, keyword))
        if date:
            facts[keyword] = date
            shifted.append(keyword)
    facts["subject"] = person.subject
    facts[IDENTIFIED] = {"by": person.identity.partition("=")[0] if "=" in person.identity else "", "key": person.mark}
    removed, private = _removed(tags, {*replaced, *shifted})
    detail = {"removed": removed, "private": private, "replaced": replaced, "shifted": shifted}
    count = len(removed) + private
    return facts, Step(
        "deidentify",
        f"{count} attributes that may point to a person were removed ({private} of them private), {len(replaced)} "
        f"replaced by pseudonyms, {len(shifted)} dates shifted.",
        detail,
    )


def plain(header: Dataset) -> dict[str, Any]:
    """What a study keeps of a header when asked to keep the person: facts, dates, UIDs and the subject's id."""
    facts = facts_of(header)
    for keyword in (*UIDS, *DATES, "SeriesDescription"):
        if text_of(header, keyword):
            facts[keyword] = text_of(header, keyword)
    subject = plain_subject(header)
    if subject:
        facts["subject"] = subject
    facts[IDENTIFIED] = {"by": "PatientID" if subject else "", "key": ""}
    return facts


def plain_subject(header: Dataset) -> str:
    """The person's own id as the name of a subject; "" when there is none."""
    subject = "".join(c if c.isalnum() or c in "-_." else "_" for c in text_of(header, "PatientID")).strip("._-")
    return "" if subject.lower() in NOBODY else subject[:64]


def picture_warnings(header: Dataset, name: str) -> tuple[str, ...]:
    """Whether a name may be written into the voxels themselves, where no program finds it."""
    said = text_of(header, "BurnedInAnnotation").upper()
    if said == "YES":
        return (f"{name} says that text is burned into its picture; it may hold a name. Look before you share it.",)
    words = text_of(header, "ImageType").upper().split("\\")
    screen = any("SCREEN" in word for word in words) or text_of(header, "Modality") == "SC"
    if screen or text_of(header, "SOPClassUID") == SecondaryCaptureImageStorage:
        return (f"{name} is a picture of a screen; a name may be burned into it. Look before you share it.",)
    if text_of(header, "Modality") in _WRITTEN_ON and said != "NO":
        return (f"{name} is of a kind that often has a name written into its picture. Look before you share it.",)
    return ()


def _removed(tags: Iterable[int], kept: set[str]) -> tuple[list[str], int]:
    """Names of public attributes that may point to a person and go, and how many private ones go."""
    names: list[str] = []
    private = 0
    for number in sorted(set(tags)):
        tag = Tag(number)
        if tag.is_private:
            private += 1
        elif _telling(number) and _name(number) not in kept | _NEUTRAL | {*FACT_KEYWORDS}:
            names.append(_name(number))
    return names, private


def _telling(tag: int) -> bool:
    group = tag >> 16
    if group in _NEUTRAL_GROUPS or tag & 0xFFFF == 0:
        return False
    return group == 0x0010 or not dictionary_has_tag(tag) or dictionary_VR(tag)[:2] in _TELLING.split()


def _name(tag: int) -> str:
    return keyword_for_tag(tag) or f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
