"""What names of files say: this one is a label map, of that scan; these are contrasts of one person."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

_WORDS = (
    "seg|segm|segs|segmentation|segmentations|dseg|mask|masks|label|labels|labelmap|lesion|lesions|tumou?r|tumou?rs|"
    "gtv|roi|contour|annotation|annotations|gt|groundtruth|ground_truth|organs?"
)
_NAMES = re.compile("lesions?|tumou?rs?|gtv|organs?", re.IGNORECASE)  # of those, words that say what is labelled
_AFTER = re.compile(rf"(?:(?P<scan>.+)[-_ .])?(?P<word>{_WORDS})", re.IGNORECASE)
_BEFORE = re.compile(rf"(?P<word>{_WORDS})(?:[-_ .](?P<scan>.+)|(?P<number>\d+))", re.IGNORECASE)
_FOLDER = re.compile(r"(labels?|masks?|segs?|segmentations?|annotations?|contours?)[-_ .].+", re.IGNORECASE)
_SCAN = "img|image|im|scan|vol|volume|orig|data|raw"
_SCAN_BEFORE = re.compile(rf"(?:{_SCAN}|ct|mr)(?:[-_ .]|(?=\d))", re.IGNORECASE)
_SCAN_AFTER = re.compile(rf"[-_ .](?:{_SCAN}|ct|mr|0000)", re.IGNORECASE)
_PLAIN = re.compile(_SCAN, re.IGNORECASE)
# Modalities, sequences and phases; names are one or several of them: MR_T1, t2w, T1POST, CT_venous.
_CONTRAST = re.compile(
    r"t[12]([a-z]{0,6}|star)|b\d{1,4}|(ct|pet|mr|spect)(ct|mr|a|i)?|cbct|pt|us|suv|fdg|flair|pdw?|dwi|adc|swi|dti|fa|md|dce|bold|"
    r"asl|cbf|cbv|tof|hbv|tse|space|mprage|vibe|dixon|stir|water|fat|(in|opp|out)(phase)?|pre|post|gd|ce|nc|contrast|"
    r"native|art(erial)?|portal|ven(ous)?|delayed|ax(ial)?|tra|cor(onal)?|sag(ittal)?|fs|reg(istered)?|\d{1,2}",
    re.IGNORECASE,
)


def label_word(stem: str) -> tuple[str, str] | None:
    """Of a file named like a label map, the scan it belongs to ("" for the whole case) and what it shows.

    CT_tumour is (CT, tumour); seg and labels_117 belong to the whole case.
    """
    match = _AFTER.fullmatch(stem) or re.fullmatch(rf"(?P<scan>)(?P<word>{_WORDS})[-_ .]?\d+", stem, re.IGNORECASE)
    return (match["scan"] or "", match["word"].lower()) if match else None


def is_map_folder(name: str) -> bool:
    """Whether a folder beside a scan is called as one of its label maps: segmentations, labels_draft."""
    return label_word(name) is not None or bool(_FOLDER.fullmatch(name))


class ScanNames:
    """Finds the scan that a label map is named after.

    Parameters
    ----------
    scans
        Names of scans without their endings.
    """

    def __init__(self, scans: Iterable[str]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._bare: dict[str, list[str]] = {}
        for scan in scans:
            self._exact.setdefault(scan.lower(), []).append(scan)
            self._bare.setdefault(_bare(scan), []).append(scan)

    def scan_of(self, stem: str) -> str | None:
        """Scan of a label map beside it; None where no scan, or more than one, is called so.

        Liver_seg goes with Liver, segmentation-0 with volume-0, label0001 with img0001, c1_mask with c1_image.
        """
        after, before = label_word(stem), _BEFORE.fullmatch(stem)
        keys = [after[0]] if after and after[0] else []
        keys += [before["scan"] or before["number"]] if before else []
        return next((scan for key in keys if (scan := self._called(key))), None)

    def partner(self, stem: str) -> str | None:
        """Scan of a file in a folder of label maps, where it may have the scan's own name."""
        return self._called(stem) or self.scan_of(stem)

    def _called(self, key: str) -> str | None:
        found = self._exact.get(key.lower()) or self._bare.get(key.lower(), [])
        return found[0] if len(found) == 1 else None


def is_contrast(stem: str) -> bool:
    """Whether a name is nothing but a modality, sequence or phase."""
    words = re.split(r"[-_ .+]", stem)
    return not words[0].isdecimal() and all(map(_CONTRAST.fullmatch, words))


def is_plain(stem: str) -> bool:
    """Whether a name says no more than that it is a scan: image, volume."""
    return bool(_PLAIN.fullmatch(stem))


def what_is_labelled(stems: Sequence[str]) -> str | None:
    """The one thing that all label maps of these names show; None where they do not say, or not the same."""
    words = {(label_word(stem) or ("", ""))[1] for stem in stems}
    return next(iter(words)) if len(words) == 1 and all(map(_NAMES.fullmatch, words)) else None


def common_start(stems: Sequence[str], folder: str) -> str:
    """What files of one person begin with, up to and with a separator: the folder's name, or all they share.

    p01_ of p01_T1 and p01_FLAIR; "" where what is left would be no contrast or label.
    """
    if not stems:
        return ""
    for start in (f"{folder}_", f"{folder}-"):
        if all(stem.startswith(start) and stem != start for stem in stems):
            return start
    # Of sorted names the first and the last differ the most.
    shared = "".join(
        a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(stems), max(stems), strict=False))
    )
    match = re.fullmatch(r"(.*[-_ .]).*", shared)
    rest = [stem[len(match[1]) :] for stem in stems] if match and len(stems) > 1 else []
    return match[1] if match and rest and all(is_contrast(r) or label_word(r) for r in rest) else ""


def _bare(stem: str) -> str:
    """A scan's name in lower case without words that say no more than that it is one."""
    before = _SCAN_BEFORE.match(stem)
    start = stem[before.end() :] if before else stem
    after = re.search(rf"{_SCAN_AFTER.pattern}$", start, re.IGNORECASE)
    return (start[: after.start()] if after else start).lower()
