"""How long until a stroke is safe on disk, and how long it holds up the person, on a scan of 512x512x300.

Every stroke goes through the program as it does from the window: `Session.record` applies it and returns,
a thread writes it and fsyncs. "durable" is the time from the call until `Session.flush` returns, "held" the
time of the call itself. One more row measures strokes that come faster than the disk takes them. Beside
them, in the same run on the same disk: what storing a stroke costs where the whole label map is rewritten.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import zarr
from common import Result, options
from zarr.storage import LocalStore

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.session import Session

Verb = Callable[[], None]
FULL, QUICK = (300, 512, 512), (100, 256, 256)  # (z, y, x)
BRUSHES = {"brush in a slice": (1, 60, 90), "3D brush": (12, 40, 40), "fill of a slice": (1, 220, 260)}


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the study is made; by default the temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strokes-", dir=given.folder) as folder:
        os.environ["APPRENTICE_HOME"] = str(Path(folder) / "home")
        run(Path(folder), QUICK if given.quick else FULL, given.repeats, given.seed).show(given.json)


def run(folder: Path, shape: tuple[int, int, int], repeats: int, seed: int) -> Result:
    """Measure strokes on a case of this shape."""
    rng, session = np.random.default_rng(seed), opened(folder, shape)
    result = Result(("what", "times", "durable p50 ms", "p99", "max", "held p50 ms", "p99", "max"))
    every: list[tuple[float, float]] = []
    painted(session, rng, (1, 5, 5))()
    session.flush()  # the first makes the journal's folder
    for name, size in BRUSHES.items():
        every += measured(result, name, session, [painted(session, rng, size) for _ in range(repeats)])
    every += measured(result, "undo", session, [session.undo] * (repeats // 2))
    every += measured(result, "redo", session, [session.redo] * (repeats // 2))
    slices = range(min(repeats // 2, shape[0]))
    every += measured(result, "accept a slice", session, [partial(session.accept_slice, 0, index) for index in slices])
    durable, held = (np.array(times) * 1000 for times in zip(*every, strict=True))
    fast(result, session, [painted(session, rng, BRUSHES["brush in a slice"]) for _ in range(repeats)])
    measured(result, "accept the scan", session, [session.accept_scan])
    session.close()
    rewriting(folder, shape, result)
    result.claims["durable stroke, median ms"] = float(np.median(durable))
    result.claims["durable stroke, 99th percentile ms"] = float(np.percentile(durable, 99))
    result.claims["durable stroke, longest ms"] = float(durable.max())
    result.claims["caller held, median ms"] = float(np.median(held))
    result.claims["caller held, 99th percentile ms"] = float(np.percentile(held, 99))
    return result


def opened(folder: Path, shape: tuple[int, int, int]) -> Session:
    """A session with one empty case of this shape open."""
    z, y, x = shape
    session = Session("benchmark")
    session.create_study(folder / "strokes.study", LabelSchema.from_names(["liver", "lesion"]))
    geometry = Geometry.from_source((x, y, z), np.diag([0.8, 0.8, 1.5, 1.0]))
    voxels = np.zeros((1, *geometry.shape), np.int16)
    session.add_volume(Volume(voxels, geometry, ("CT",), "made.nii.gz", "0" * 64), "made")
    session.show_case(session.load_case("made"))
    return session


def painted(session: Session, rng: np.random.Generator, size: tuple[int, int, int]) -> Callable[[], None]:
    """One stroke with a ragged edge at a place by chance, ready to be drawn."""
    case = session.case
    if case is None:
        sys.exit("no case is open")
    start = [int(rng.integers(0, n - s)) for n, s in zip(case.info.shape, size, strict=True)]
    z, y, x = (slice(b, b + s) for b, s in zip(start, size, strict=True))
    across = np.hypot(*np.meshgrid(np.linspace(-1, 1, size[1]), np.linspace(-1, 1, size[2]), indexing="ij"))
    ragged, label, labels = across + rng.normal(0, 0.02, across.shape) < 1, rng.integers(1, 3), case.canvas.labels

    def draw() -> None:
        before = labels[z, y, x].copy()
        np.copyto(labels[z, y, x], np.uint8(label), where=ragged)  # as a paint tool does
        session.record((z, y, x), before, labels[z, y, x].copy())

    return draw


def measured(result: Result, name: str, session: Session, verbs: Sequence[Verb]) -> list[tuple[float, float]]:
    """Seconds until durable and seconds held, for each verb; a row of the table."""
    found = []
    for verb in verbs:
        began = time.perf_counter()
        verb()
        held = time.perf_counter() - began
        session.flush()
        found.append((time.perf_counter() - began, held))
    row(result, name, found)
    return found


def fast(result: Result, session: Session, verbs: Sequence[Verb]) -> None:
    """Strokes one after the other without a pause; durable is the time until the last one is, per stroke."""
    held = []
    began = time.perf_counter()
    for verb in verbs:
        before = time.perf_counter()
        verb()
        held.append(time.perf_counter() - before)
    session.flush()
    each = (time.perf_counter() - began) / len(verbs)
    row(result, "brush, without a pause", [(each, h) for h in held])


def row(result: Result, name: str, found: list[tuple[float, float]]) -> None:
    durable, held = (np.array(times) * 1000 for times in zip(*found, strict=True))
    figures = [f(t) for t in (durable, held) for f in (np.median, lambda a: np.percentile(a, 99), np.max)]
    result.rows.append((name, len(found), *(round(float(figure), 2) for figure in figures)))


def rewriting(folder: Path, shape: tuple[int, int, int], result: Result) -> None:
    """The whole label map rewritten and synced: as .nii.gz, as a plain zarr array."""
    labels = np.zeros(shape, np.uint8)
    labels[shape[0] // 4 : shape[0] // 2, 100:-50, 50:-100] = 1
    ways: dict[str, Callable[[], object]] = {
        "rewrite a .nii.gz": lambda: nib.save(nib.Nifti1Image(labels.T, np.eye(4)), folder / "labels.nii.gz"),
        "rewrite a zarr array": lambda: zarr.create_array(
            LocalStore(folder / "labels.zarr"), data=labels, chunks=(64, 64, 64), overwrite=True
        ),
    }
    for name, way in ways.items():
        found = []
        for _ in range(3):
            began = time.perf_counter()
            way()
            os.sync()
            found.append((time.perf_counter() - began,) * 2)
        row(result, name, found)


if __name__ == "__main__":
    main()
