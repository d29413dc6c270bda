"""What encryption costs: the same steps on a plain and on an encrypted study, in turn, on a scan of 512x512x200.

Adding stores the scan with its coarse levels; a stroke is timed from the call until it is durable; a revision is an
organ-like label map (a ball); opening reads the scan's full resolution and the newest revision; the slab is 16
slices out of a sharded scan. The disk's cache is warm for both. Told are the medians over studies, of a read the best
of five in each study; and the time of the processor, which hangs less on what else the machine does.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from common import Result, options

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.session import Session
from napari_apprentice.store.keys import VARIABLE, new_key, to_text

FULL, QUICK = (200, 512, 512), (60, 256, 256)  # (z, y, x)
CASE = "case-0001"
READS = 5
Times = tuple[float, float]  # on the clock, and of the processor
BOX = (slice(10, 11), slice(40, 130), slice(40, 130))


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    os.environ[VARIABLE] = to_text(new_key())
    with tempfile.TemporaryDirectory(prefix="encryption-") as folder:
        os.environ["APPRENTICE_HOME"] = str(Path(folder) / "home")
        run(Path(folder), QUICK if given.quick else FULL, given.repeats, given.seed).show(given.json)


def run(folder: Path, shape: tuple[int, int, int], repeats: int, seed: int) -> Result:
    """Measure both studies step by step, in turn, so that a busy machine is busy for both."""
    scan, ball = made_scan(shape, seed), made_ball(shape)
    times: dict[str, tuple[list[Times], list[Times]]] = {}
    sizes: list[list[int]] = [[], []]
    for number in range(repeats):
        for kind, encrypted in enumerate((False, True)):
            path = folder / f"{number}-{kind}.study"
            for step, seconds in steps(path, encrypted, scan, ball):
                times.setdefault(step, ([], []))[kind].append(seconds)
            sizes[kind].append(sum(p.stat().st_size for p in path.rglob("*") if p.is_file()))
    result = Result(("step", "plain s", "encrypted s", "ratio", "plain cpu s", "encrypted cpu s", "ratio"))
    for step, kinds in times.items():
        walls, works = ([median(t[part] for t in kind) for kind in kinds] for part in (0, 1))
        result.rows.append((step, *walls, walls[1] / walls[0], *works, works[1] / works[0]))
        result.claims[f"{step}, encrypted over plain"] = walls[1] / walls[0]
        result.claims[f"{step}, encrypted over plain, processor"] = works[1] / works[0]
    result.claims["bytes on disk, encrypted over plain"] = median(sizes[1]) / median(sizes[0])
    return result


def steps(path: Path, encrypted: bool, scan: Volume, ball: np.ndarray) -> list[tuple[str, Times]]:
    """Seconds of each step of one study."""
    session = Session("benchmark")
    session.create_study(path, LabelSchema.from_names(["organ"]), encrypted=encrypted)
    study = session.study
    found = [("add the scan", timed(lambda: session.add_volume(scan, CASE)))]
    found.append(("read a slab of 16 slices", timed(lambda: study.cases.levels(CASE)[0][0, 32:48], READS)))
    found.append(("open the case", timed(lambda: session.show_case(session.load_case(CASE)))))
    found.append(("20 durable strokes", timed(lambda: [stroke(session, n) for n in range(20)])))
    labels, canvas = ball, session.case.canvas if session.case else None
    assert canvas is not None
    canvas.labels[...], canvas.status[...] = labels, 1
    found.append(("save a revision", timed(session.save)))
    found.append(("read all voxels", timed(lambda: study.cases.voxels(CASE), READS)))
    found.append(("read the revision", timed(lambda: study.revisions.read(CASE, "r0001"), READS)))
    session.close()
    return found


def stroke(session: Session, number: int) -> None:
    """One brush stroke, until it is durable."""
    assert session.case is not None
    labels = session.case.canvas.labels
    before = labels[BOX].copy()
    labels[BOX] = number % 2 + 1
    session.record(BOX, before, labels[BOX].copy())
    session.flush()


def timed(verb: Callable[[], object], times: int = 1) -> Times:
    """The least seconds that it takes, and of the processor."""
    found = []
    for _ in range(times):
        start, work = time.perf_counter(), time.process_time()
        verb()
        found.append((time.perf_counter() - start, time.process_time() - work))
    return min(wall for wall, _ in found), min(work for _, work in found)


def made_scan(shape: tuple[int, int, int], seed: int) -> Volume:
    """Noise of CT's size: it is packed about as badly as a real scan."""
    z, y, x = shape
    geometry = Geometry.from_source((x, y, z), np.diag([0.8, 0.8, 2.0, 1.0]))
    voxels = np.random.default_rng(seed).normal(0, 40, (1, *geometry.shape)).astype(np.int16)
    return Volume(voxels, geometry, ("CT",), "scan.nii.gz", "0" * 64)


def made_ball(shape: tuple[int, int, int]) -> np.ndarray:
    """A label map with one organ in the middle."""
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    return np.asarray(sum(a * a for a in axes) < 0.3, np.uint8)


if __name__ == "__main__":
    main()
