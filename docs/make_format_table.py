"""Read every odd and real scan there is, and write down what became of it: the table in docs/formats.md.

Each file is read in a process of its own, so that its memory can be measured, and so that a file that
would crash or hang the program ends as a line of the table. The data folder is an argument, or
$APPRENTICE_DATA, or `shared/data` beside the checkout. Exits with 1 when a file was read otherwise than
its manifest expects, crashed, took longer than 10 seconds, or more than 3 times its voxels' memory.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from napari_apprentice.core.volume import LabelMap, Volume
from napari_apprentice.errors import ApprenticeError, ChoiceError
from napari_apprentice.scans.dicom.kinds import is_rtstruct, is_seg
from napari_apprentice.scans.reader import read_label_map, read_volume

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "formats.md"
MARK = "<!-- What follows is written by docs/make_format_table.py. -->"
SECONDS = 10.0
TIMES = 3.0
# Small files are read in what Python and its libraries take anyway.
FREE_BYTES = 32 << 20
# Where what the manifest expects cannot be seen from the file alone.
EXCEPTIONS = {
    "made/pair.img": "refused",  # its header is not in the set
    "made/label/transposed_xy.nii.gz": "loaded",  # whether it fits is for whoever holds its scan to say
}


@dataclass(frozen=True)
class Entry:
    """One file or folder, and what is expected of it."""

    name: str
    path: Path
    expected: str
    why: str = ""
    labels: bool = False
    scan: Path | None = None


@dataclass(frozen=True)
class Seen:
    """What became of it: loaded, asked, refused, or crashed; in words; seconds; bytes of voxels and of memory."""

    outcome: str
    text: str
    seconds: float
    voxels: int
    memory: int


def entries(data: Path) -> Iterator[tuple[str, list[Entry]]]:
    """Chapters of the table."""
    odd = data / "odd"
    manifest = json.loads((odd / "manifest.json").read_text())
    yield "Odd and broken files, made", [_odd(odd, e) for e in manifest if e["kind"] == "made"]
    yield "Odd and broken files, real", [_odd(odd, e) for e in manifest if e["kind"] == "real"]
    patients = sorted((data / "sarcoma").glob("*/*.nii.gz"))
    yield "Sarcoma patients: CT, MR and PET on three grids", [_plain(data, p) for p in patients]
    pairs = sorted((data / "nrrd").glob("*.nrrd"))
    yield "NRRD pairs", [_plain(data, p) for p in pairs]
    dicom = data / "dicom"
    tilted = [p for p in sorted((dicom / "ct_gantry_tilt_ge").rglob("*")) if p.is_dir() and _slices(p)]
    whole = [dicom / "ct_gantry_tilt_ge"] if _slices(dicom / "ct_gantry_tilt_ge") else tilted
    yield (
        "DICOM series with a tilted gantry",
        [Entry(p.relative_to(data).as_posix(), p, "ask", "18.5 degrees, uneven gaps") for p in whole],
    )
    nuclei = [next(iter(sorted((data / "nuclei").glob(f"{folder}/*"))), None) for folder in ("images", "labels")]
    yield (
        "Microscopy pictures",
        [
            Entry(p.relative_to(data).as_posix(), p, "ask", "voxel size unknown", labels=p.parent.name == "labels")
            for p in nuclei
            if p is not None
        ],
    )
    files = [p for p in sorted(dicom.rglob("*.dcm")) if is_seg(p) or is_rtstruct(p)]
    yield "DICOM SEG and RT Structure Sets", [_label_object(data, p) for p in files]


def warm(data: Path) -> None:
    """Let the DICOM libraries load their code tables once, which is no memory of the files that follow."""
    for path in sorted((data / "dicom").rglob("seg_image_ct_binary.dcm")):
        read_label_map(path)


def _slices(folder: Path) -> bool:
    return sum(p.is_file() for p in folder.iterdir()) > 3


def _odd(odd: Path, entry: dict[str, str]) -> Entry:
    path = odd / entry["file"]
    return Entry(entry["file"], path, entry["expect"], entry["why"], path.parent.name == "label")


def _plain(data: Path, path: Path) -> Entry:
    labels = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".nrrd").endswith(("_tumour", "_label"))
    return Entry(path.relative_to(data).as_posix(), path, "load exactly", labels=labels)


def _label_object(data: Path, path: Path) -> Entry:
    contours = is_rtstruct(path)
    scan = path.parent if contours and len(list(path.parent.glob("*.dcm"))) > 1 else None
    return Entry(path.relative_to(data).as_posix(), path, "load, or a plain message", labels=True, scan=scan)


def watched(entry: Entry) -> Seen:
    """Read a file in a process of its own, which is ended when it hangs."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    began = time.monotonic()
    child = context.Process(target=_read, args=(entry, there))
    child.start()
    there.close()
    seen = Seen("hung", f"It did not end within {SECONDS:g} seconds.", SECONDS, 0, 0)
    if here.poll(SECONDS):
        try:
            seen = here.recv()
        except EOFError:
            seen = Seen("crashed", "The process died.", time.monotonic() - began, 0, 0)
    child.kill()
    child.join()
    return seen


def _read(entry: Entry, answer: Connection) -> None:
    before, began = _peak(), time.monotonic()
    outcome, text, voxels = _outcome(entry)
    answer.send(Seen(outcome, text, time.monotonic() - began, voxels, _peak() - before))


def _outcome(entry: Entry) -> tuple[str, str, int]:
    try:
        found = _found(entry)
    except ChoiceError as error:
        return "asked", f"asked for `{error.setting}`: {error}", 0
    except ApprenticeError as error:
        return "refused", f"refused: {error}", 0
    words = [f"{' x '.join(map(str, found.voxels.shape))} {found.voxels.dtype.name}"]
    words.append(" x ".join(f"{s:.4g}" for s in found.geometry.spacing) + " mm")
    if isinstance(found, LabelMap) and found.names:
        words.append("labels " + ", ".join(f"{i} {n}" for i, n in sorted(found.names.items())))
    steps = [step.what for step in found.steps] if isinstance(found, Volume) else []
    return (
        "loaded",
        "; ".join(words) + "".join(f". {s.rstrip('.')}" for s in (*found.warnings, *steps)),
        (found.voxels.nbytes),
    )


def _found(entry: Entry) -> Volume | LabelMap:
    if not entry.labels:
        return read_volume(entry.path)
    grid = read_volume(entry.scan).geometry if entry.scan else None
    return read_label_map(entry.path, geometry=grid)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _as_expected(entry: Entry, seen: Seen) -> bool:
    if seen.outcome in ("hung", "crashed") or seen.memory > TIMES * seen.voxels + FREE_BYTES:
        return False
    if entry.name in EXCEPTIONS:
        return seen.outcome == EXCEPTIONS[entry.name]
    if entry.expected.startswith(("reject,", "reject with")):
        return seen.outcome == "refused"
    if entry.expected == "load" or entry.expected.startswith(("load correctly", "load exactly", "accept")):
        return seen.outcome == "loaded"
    return entry.expected != "ask" or seen.outcome == "asked"


def table(data: Path, tell: Callable[[str], None]) -> tuple[str, int]:
    """The chapters in Markdown, and how many files were read otherwise than expected."""
    parts, wrong, all_seen = [], 0, []
    for title, rows in entries(data):
        parts += [f"\n### {title}\n", "| file | expected | seen | seconds |", "|---|---|---|---|"]
        for entry in rows:
            seen = watched(entry)
            all_seen.append(seen)
            good = _as_expected(entry, seen)
            wrong += not good
            tell(f"{'' if good else 'WRONG '}{entry.name}: {seen.text}")
            expected = f"{entry.why}: {entry.expected}" if entry.why else entry.expected
            cells = (f"`{entry.name}`", expected, seen.text, f"{seen.seconds:.2f}")
            parts.append("| " + " | ".join(_cell(c) for c in cells) + " |")
    counts = {o: sum(s.outcome == o for s in all_seen) for o in ("loaded", "asked", "refused", "hung", "crashed")}
    slowest = max(s.seconds for s in all_seen)
    large = [s.memory / s.voxels for s in all_seen if s.voxels > FREE_BYTES]
    summary = (
        f"{len(all_seen)} files: {counts['loaded']} loaded, {counts['asked']} asked about, {counts['refused']} refused "
        f"in a sentence, {counts['hung'] + counts['crashed']} crashed or hung, {wrong} otherwise than expected. The "
        f"slowest took {slowest:.1f} seconds."
    )
    if large:
        summary += (
            f" Of those above {FREE_BYTES >> 20} MB, none took more than {max(large):.1f} times its voxels' memory."
        )
    return summary + "\n" + "\n".join(parts) + "\n", wrong


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def main() -> int:
    """Entry point."""
    beside = os.environ.get("APPRENTICE_DATA", ROOT.parent / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(beside))
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    if not (arguments.data / "odd" / "manifest.json").is_file():
        parser.error("the data folder holds no odd/manifest.json")
    warm(arguments.data)
    text, wrong = table(arguments.data, lambda line: sys.stderr.write(line + "\n"))
    head = arguments.out.read_text(encoding="utf-8").split(MARK)[0] if arguments.out.is_file() else ""
    arguments.out.write_text(f"{head}{MARK}\n\n{text}", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
