"""How files become cases: what a folder is taken for, which channels and label maps belong together."""

from dataclasses import dataclass

from napari_apprentice.core.config import Settings, setting

LAYOUTS = ("auto", "files", "folders", "pairs", "msd", "nnunet", "brats", "luna16", "bids", "dicom")
SEPARATE = "separate"


@dataclass(frozen=True)
class AddSettings(Settings):
    """Answers to what a collection of files leaves open; the defaults resample nothing and make nothing up."""

    layout: str = setting("auto", "What a folder is taken for; auto looks at what is in it.", choices=LAYOUTS)
    reference: str = setting(
        "",
        "Channel whose grid the other channels of a case are resampled onto, which is recorded; "
        f"{SEPARATE} makes each channel a case of its own.",
    )
    missing: str = setting(
        "ask",
        "A channel that a case lacks: ask, a channel of zeros, which is recorded, or go without.",
        choices=("ask", "zero", "without"),
    )
    per: str = setting(
        "series", "Each DICOM series is a case, or a channel of its study's case.", choices=("series", "study")
    )
    labels: bool = setting(True, "Take the label maps that come with scans as accepted revisions.")
    labels_from: str = setting("", "Which label maps where a scan has several: a part of their path.")
    resample: bool = setting(False, "Bring label maps from another grid onto the case's (nearest label).")
    case: str = setting("", "Case id, where all files make one case.")
