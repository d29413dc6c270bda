"""What keeping a person's work costs on a scan of 512x512x600: strokes, revisions, opening again, undo's memory.

Everything goes through the program as it does from the window. `Session.record` applies a stroke and returns, a
thread writes it and fsyncs: "held" is the time of the call, "durable" the time until `Session.flush` returns.
Beside it, in the same run on the same disk: rewriting the label map as a .nii.gz, as a plain zarr array, and
writing only the box of one stroke into such an array, each synced to the disk.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import zarr
from common import Result, options
from numpy.typing import NDArray
from zarr.storage import LocalStore

from napari_apprentice.core.correction import Box
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.session import Session
from napari_apprentice.store.shelf import MEMORY_BYTES

Verb = Callable[[], object]
Labels = NDArray[np.uint8]
FULL, QUICK = (600, 512, 512), (100, 256, 256)  # (z, y, x)
BRUSHES = {"brush in a slice": (1, 60, 90), "3D brush": (12, 40, 40), "fill of a slice": (1, 220, 200)}
NOISE = (4, 96, 96)  # a stroke that hardly packs
ORGANS = (  # centre and radii, as shares of the scan
    ((0.60, 0.50, 0.30), (0.20, 0.17, 0.15)), ((0.50, 0.60, 0.65), (0.10, 0.07, 0.06)),
    ((0.50, 0.60, 0.35), (0.10, 0.07, 0.06)), ((0.55, 0.45, 0.70), (0.08, 0.07, 0.09)),
    ((0.40, 0.50, 0.50), (0.35, 0.03, 0.03)),
)  # fmt: skip


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=200, help="strokes of each kind")
    parser.add_argument("--folder", type=Path, help="where the study is made; by default the temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="store-", dir=given.folder) as folder:
        os.environ["APPRENTICE_HOME"] = str(Path(folder) / "home")
        shape, share = (QUICK, 5) if given.quick else (FULL, 1)
        bench = Bench(Path(folder), shape, given.repeats // share, given.seed)
        bench.strokes()
        bench.revision()
        bench.others()
        bench.opening(2000 // share)
        bench.memory(5000 // share)
        bench.result.show(given.json)
        bench.session.close()


class Bench:
    """One study, one case of a shape (z, y, x), and a table."""

    def __init__(self, folder: Path, shape: tuple[int, int, int], repeats: int, seed: int) -> None:
        self.folder, self.shape, self.repeats = folder, shape, repeats
        self.rng = np.random.default_rng(seed)
        self.result = Result(("what", "times", "durable p50 ms", "p99", "max", "held p50 ms", "p99", "max"))
        self.organs = organs(shape)
        self.session = Session("benchmark")
        self.session.create_study(folder / "store.study", LabelSchema.from_names("abcde"))
        z, y, x = shape
        geometry = Geometry.from_source((x, y, z), np.diag([0.8, 0.8, 1.0, 1.0]))
        voxels = np.zeros((1, *geometry.shape), np.int16)
        self.session.add_volume(Volume(voxels, geometry, ("CT",), "made.nii.gz", "0" * 64), "made")
        self.before = memory()
        self.open()

    @property
    def case(self) -> OpenCase:
        """The case that is open."""
        return self.session.case or sys.exit("no case is open")

    def open(self) -> float:
        """Open the case anew; seconds that it took."""
        self.session.flush()
        began = time.perf_counter()
        case = self.session.load_case("made")
        seconds = time.perf_counter() - began
        self.session.show_case(case)
        return seconds

    def claim(self, name: str, figure: float, limit: float) -> None:
        """A figure that must not be above a limit."""
        self.result.claims[f"{name} (at most {limit:g})"] = figure
        if figure > limit:
            self.result.claims[f"MISSED: {name}"] = f"{figure:.4g} is above {limit:g}"

    # ------------------------------------------------------------- strokes

    def strokes(self) -> None:
        """Measure strokes of every kind; rows and claims."""
        every = []
        self.painted((1, 5, 5))()
        self.session.flush()  # the first makes the journal's folder
        for name, size in BRUSHES.items():
            every += self.measured(name, [self.painted(size) for _ in range(self.repeats)])
        every += self.measured("undo", [self.session.undo] * (self.repeats // 2))
        every += self.measured("redo", [self.session.redo] * (self.repeats // 2))
        every += self.accepted(0)
        ((durable_scan, held_scan),) = self.measured("accept the scan", [self.session.accept_scan])
        self.claim("accepting the scan, durable ms", durable_scan * 1000, 150)
        self.claim("accepting the scan, window held ms", held_scan * 1000, 100)
        self.measured("undo and redo of that", [self.session.undo, self.session.redo])
        self.session.undo()
        every += self.accepted(1) + self.accepted(2)
        self.measured("accept the scan with slices across all axes accepted", [self.session.accept_scan])
        self.session.undo()
        durable, held = (np.array(times) * 1000 for times in zip(*every, strict=True))
        self.claim("durable stroke, median ms", float(np.median(durable)), 20)
        self.claim("durable stroke, 99th percentile ms", float(np.percentile(durable, 99)), 50)
        self.claim("window held by a stroke, 99th percentile ms", float(np.percentile(held, 99)), 5)
        self.fast([self.painted(BRUSHES["brush in a slice"]) for _ in range(self.repeats)])
        for size in ("a kidney", "the liver"):
            label = 2 if size == "a kidney" else 1
            self.measured(f"3D fill of {size}", [self.filled(label), self.session.undo, self.session.redo])

    def accepted(self, axis: int) -> list[tuple[float, float]]:
        """Accept slices by chance across an axis."""
        slices = self.rng.choice(self.shape[axis], self.repeats // 4, replace=False)
        verbs = [partial(self.session.accept_slice, axis, int(index)) for index in slices]
        return self.measured(f"accept a slice across {'zyx'[axis]}", verbs)

    def painted(self, size: tuple[int, int, int]) -> Verb:
        """One stroke with a ragged edge at a place by chance, ready to be drawn."""
        box, labels = self.somewhere(size), self.case.canvas.labels
        across = np.hypot(*np.meshgrid(np.linspace(-1, 1, size[1]), np.linspace(-1, 1, size[2]), indexing="ij"))
        ragged, label = across + self.rng.normal(0, 0.02, across.shape) < 1, np.uint8(self.rng.integers(1, 6))

        def draw() -> None:
            before = labels[box].copy()
            np.copyto(labels[box], label, where=ragged)  # as a paint tool does
            self.session.record(box, before, labels[box].copy())

        return draw

    def filled(self, label: int) -> Verb:
        """One fill in 3D with the form of an organ."""
        found = self.organs == label
        box = box_of(found)
        labels, form = self.case.canvas.labels, found[box]

        def draw() -> None:
            before = labels[box].copy()
            np.copyto(labels[box], np.uint8(label), where=form)
            self.session.record(box, before, labels[box].copy(), "fill")

        return draw

    def somewhere(self, size: tuple[int, int, int]) -> Box:
        """A box of this size at a place by chance."""
        start = [int(self.rng.integers(0, n - s)) for n, s in zip(self.shape, size, strict=True)]
        z, y, x = (slice(b, b + s) for b, s in zip(start, size, strict=True))
        return z, y, x

    def measured(self, name: str, verbs: Sequence[Verb]) -> list[tuple[float, float]]:
        """Seconds until durable and seconds held, for each verb; a row of the table."""
        found = []
        for verb in verbs:
            began = time.perf_counter()
            verb()
            held = time.perf_counter() - began
            self.session.flush()
            found.append((time.perf_counter() - began, held))
        self.row(name, found)
        return found

    def fast(self, verbs: Sequence[Verb]) -> None:
        """Strokes one after the other without a pause; durable is the time until the last one is, per stroke."""
        held = []
        began = time.perf_counter()
        for verb in verbs:
            before = time.perf_counter()
            verb()
            held.append(time.perf_counter() - before)
        self.session.flush()
        each = (time.perf_counter() - began) / len(verbs)
        self.row("brush, without a pause", [(each, h) for h in held])

    def row(self, name: str, found: Sequence[tuple[float, float]]) -> None:
        """Add times durable and held to the table."""
        durable, held = (np.array(times) * 1000 for times in zip(*found, strict=True))
        figures = [f(t) for t in (durable, held) for f in (np.median, lambda a: np.percentile(a, 99), np.max)]
        self.result.rows.append((name, len(found), *(round(float(figure), 2) for figure in figures)))

    # ----------------------------------------------------------- revisions

    def revision(self) -> None:
        """Store organs, the slices in the middle accepted, as a revision; then two more with a stroke in each."""
        labels = self.case.canvas.labels
        before, box = labels.copy(), (slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2]))
        labels[:] = self.organs
        self.session.record(box, before, self.organs, "fill")
        del before
        for index in range(self.shape[0] // 4, self.shape[0] * 3 // 4):
            self.session.accept_slice(0, index)
        self.session.flush()
        opened, found = memory() - self.before, []
        with peak() as most:
            for _ in range(3):
                began = time.perf_counter()
                name = self.session.save().name
                found.append((time.perf_counter() - began,) * 2)
                self.painted(BRUSHES["3D brush"])()
        self.row("save a revision", found)
        folder = self.session.study.cases.folder("made") / "image" / "labels" / name
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        self.claim("revision, longest s", max(seconds for seconds, _ in found), 2)
        self.claim("revision, MB", size, 3)
        self.result.claims["label map and status in memory, MB"] = 2 * float(np.prod(self.shape)) / 1e6
        self.result.claims["memory with the case open and corrected, MB"] = opened / 1e6
        self.result.claims["memory while saving, at most, MB"] = (most[0] - self.before) / 1e6

    def others(self) -> None:
        """The same label map rewritten and synced in the usual ways."""
        labels, path = self.organs, self.folder / "labels.zarr"
        store = partial(zarr.create_array, LocalStore(path), data=labels, chunks=(64, 64, 64), overwrite=True)
        nifti = partial(nib.save, nib.Nifti1Image(labels.T, np.eye(4)), self.folder / "labels.nii.gz")
        self.row("rewrite a .nii.gz", [timed(nifti) for _ in range(3)])
        self.row("rewrite a zarr array", [timed(store) for _ in range(3)])
        array = zarr.open_array(path, mode="r+")
        boxes = [self.somewhere(BRUSHES["3D brush"]) for _ in range(self.repeats // 4)]
        self.row("write a 3D brush's box into a zarr array", [timed(partial(write, array, labels, b)) for b in boxes])

    # --------------------------------------------------- opening and memory

    def opening(self, strokes: int) -> None:
        """Open the case with strokes in its journal, a quarter of them 3D, a quarter fills of a slice."""
        self.session.save()
        kinds = ["brush in a slice", "brush in a slice", "3D brush", "fill of a slice"]
        while self.case.unsaved < strokes:  # one that changes nothing is none
            self.painted(BRUSHES[kinds[self.case.unsaved % 4]])()
        self.session.flush()
        seconds, expected = self.open(), self.case.unsaved
        if expected != strokes:
            sys.exit(f"{expected} strokes came back, not {strokes}")
        self.claim(f"opening with {strokes} strokes, s", seconds, 2)
        self.measured(f"undo after opening with {strokes} strokes", [self.session.undo] * (self.repeats // 2))
        self.session.save()
        self.result.claims["opening after saving, s"] = self.open()
        self.measured("undo of strokes behind a save", [self.session.undo] * (self.repeats // 2))
        self.session.save()

    def memory(self, strokes: int) -> None:
        """Many strokes that hardly pack; then as many undone."""
        labels, before = self.case.canvas.labels, memory()
        held = []
        for _ in range(strokes):
            box = self.somewhere(NOISE)
            old = labels[box].copy()
            labels[box] = self.rng.integers(0, 6, NOISE)
            began = time.perf_counter()
            self.session.record(box, old, labels[box].copy())
            held.append(time.perf_counter() - began)
            if len(held) % 50 == 0:
                self.session.flush()
        self.session.flush()
        grown = memory() - before
        each = 4 * float(np.prod(NOISE))
        # A copy of the touched slices of the label map counts what a save says has changed.
        bound = (MEMORY_BYTES + float(np.prod(self.shape))) / 1e6 + 100
        self.result.claims[f"{strokes} strokes unpacked, MB"] = strokes * each / 1e6
        self.claim(f"memory grown by {strokes} strokes, MB", grown / 1e6, bound)
        self.measured("undo of a noisy stroke", [self.session.undo] * (self.repeats // 2))
        for _ in range(strokes - self.repeats):
            self.session.undo()
        self.measured("undo of one of the oldest", [self.session.undo] * (self.repeats // 2))


def organs(shape: tuple[int, int, int]) -> Labels:
    """Five smooth bodies with bumps, the last one long and thin."""
    labels = np.zeros(shape, np.uint8)
    z, y, x = np.ogrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j, 0 : 1 : shape[2] * 1j]
    for label, (centre, radii) in enumerate(ORGANS, 1):
        far = sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, radii, strict=True))
        far = far + 0.1 * np.sin(20 * z + 5 * label) * np.cos(17 * y) * np.sin(14 * x + label)
        labels[far < 1] = label
    return labels


def box_of(mask: NDArray[np.bool_]) -> Box:
    """The smallest box around a mask."""
    hits = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    z, y, x = (slice(int(hit[0]), int(hit[-1]) + 1) for hit in hits)
    return z, y, x


def timed(way: Verb) -> tuple[float, float]:
    """Seconds until it is on the disk, twice."""
    began = time.perf_counter()
    way()
    os.sync()
    return (time.perf_counter() - began,) * 2


def write(array: "zarr.Array", labels: Labels, box: Box) -> None:  # type: ignore[type-arg]
    array[box] = labels[box]


def memory() -> int:
    """Bytes of this process in memory."""
    return int(psutil.Process().memory_info().rss)


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most memory meanwhile, looked at every 5 ms; the first of the list."""
    most, ends = [memory()], threading.Event()

    def watch() -> None:
        while not ends.wait(0.005):
            most[0] = max(most[0], memory())

    thread = threading.Thread(target=watch)
    thread.start()
    yield most
    ends.set()
    thread.join()


if __name__ == "__main__":
    main()
