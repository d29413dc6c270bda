"""Technical facts of an acquisition: numbers, and words of closed lists; no free text, nobody's name."""

import re
from typing import Any

from pydicom.dataset import Dataset

from napari_apprentice.scans.dicom.file import numbers_of, text_of

NUMBERS = (
    "KVP",
    "XRayTubeCurrent",
    "ExposureTime",
    "Exposure",
    "SpiralPitchFactor",
    "ReconstructionDiameter",
    "DataCollectionDiameter",
    "GantryDetectorTilt",
    "SliceThickness",
    "SpacingBetweenSlices",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "FlipAngle",
    "EchoTrainLength",
    "NumberOfAverages",
    "MagneticFieldStrength",
    "PixelBandwidth",
    "DiffusionBValue",
    "ActualFrameDuration",
    "PixelPaddingValue",
    "WindowCenter",
    "WindowWidth",
)
WORDS = {
    "PatientPosition": "HFS HFP HFDR HFDL FFS FFP FFDR FFDL",
    "ScanningSequence": "SE IR GR EP RM",
    "SequenceVariant": "SK MTC SS TRSS SP MP OSP NONE",
    "MRAcquisitionType": "2D 3D",
    "Units": "BQML GML CNTS NONE PCNT CPS",
    "DecayCorrection": "NONE START ADMIN",
    "RotationDirection": "CW CC",
    "LossyImageCompression": "00 01",
    "ImageType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER MPR M P R I ADC DIFFUSION",
    "BodyPartExamined": "ABDOMEN ABDOMENPELVIS ANKLE ARM BRAIN BREAST CHEST CHESTABDOMEN CSPINE ELBOW EXTREMITY FOOT "
    "HAND HEAD HEADNECK HEART HIP KNEE LEG LIVER LSPINE LUNG NECK PELVIS PROSTATE SHOULDER SKULL SPINE TSPINE "
    "WHOLEBODY WRIST",
}
MAKERS = ("Siemens", "GE", "Philips", "Toshiba", "Canon", "Hitachi", "Fujifilm", "United Imaging", "Neusoft", "Bruker")
MODALITIES = "CT MR PT NM CR DX MG US XA RF OT SC IO PX RTIMAGE OPT OP ES GM XC"
FACT_KEYWORDS = (*NUMBERS, *WORDS, "Manufacturer", "ConvolutionKernel", "ContrastBolusAgent")

# Siemens and GE names of kernels; anything else could be free text.
_KERNEL = re.compile(r"[A-Z][a-z]?\d{2,3}[a-z]?|STANDARD|STD\+?|BONE|BONEPLUS|LUNG|SOFT|DETAIL|EDGE|FC\d\d|[A-F]")
_CONTRASTS = (
    ("FLAIR", r"flair|dark.?fluid"),
    ("ADC", r"(?<![a-z])adc(?![a-z])"),
    ("DWI", r"dwi|diffusion|(?<![a-z])dti(?![a-z])"),
    ("SWI", r"(?<![a-z])swi(?![a-z])"),
    ("T2*", r"t2\*|t2star"),
    ("T1", r"(?<![a-z0-9])t1|mprage|mp2rage|bravo"),
    ("T2", r"(?<![a-z0-9])t2"),
    ("PD", r"(?<![a-z0-9])pdw?(?![a-z])|proton"),
)


def modality_of(header: Dataset) -> str:
    """DICOM's word for the kind of scanner; "" when it is none of the known ones."""
    word = text_of(header, "Modality")
    return word if word in MODALITIES.split() else ""


def channel_of(header: Dataset) -> str:
    """A name for the channel: the contrast of an MR where its description has a known word, else the modality."""
    modality = modality_of(header)
    if modality == "MR":
        text = f"{text_of(header, 'SeriesDescription')} {text_of(header, 'ProtocolName')}".lower()
        return next((name for name, pattern in _CONTRASTS if re.search(pattern, text)), "MR")
    return modality or "c0"


def facts_of(header: Dataset) -> dict[str, Any]:
    """What is known of the acquisition, by DICOM keyword; JSON values.

    Only numbers and words of closed lists are taken, so that a name typed into a field for something else
    does not get through.
    """
    facts: dict[str, Any] = {}
    places = (header, *_shared(header))
    for keyword in NUMBERS:
        numbers = next((n for n in (numbers_of(place, keyword) for place in places) if n), ())
        if numbers:
            facts[keyword] = numbers[0]
    for keyword, allowed in WORDS.items():
        words = [w for w in text_of(header, keyword).split("\\") if w in allowed.split()]
        if words:
            facts[keyword] = words if keyword in ("ImageType", "ScanningSequence", "SequenceVariant") else words[0]
    kernel = text_of(header, "ConvolutionKernel").split("\\")[0]
    if _KERNEL.fullmatch(kernel):
        facts["ConvolutionKernel"] = kernel
    maker = _maker(text_of(header, "Manufacturer"))
    if maker:
        facts["Manufacturer"] = maker
    if text_of(header, "ContrastBolusAgent"):
        facts["ContrastBolusAgent"] = True
    return facts


def _shared(header: Dataset) -> list[Dataset]:
    """Where a multi-frame file says what holds for all of its frames."""
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    groups = [element.value for item in shared for element in item if element.VR == "SQ"]
    return [group[0] for group in groups if group]


def _maker(text: str) -> str:
    words = text.lower()
    return next((m for m in MAKERS if re.search(rf"(?<![a-z]){m.lower()}(?![a-z])", words)), "")
