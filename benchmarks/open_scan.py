"""From a file to the first slice on the screen: this program, nibabel + napari, SimpleITK + napari.

Each way runs in a process of its own, several times, by turns. The window is open before the clock
starts; the clock stops when the frame with the slice is on the screen. Memory is the highest resident size of the
process above what it had with the empty window, as a multiple of the volume. Needs a display.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import nibabel as nib
import numpy as np
from common import Result, drain, options

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study

FULL, QUICK = (512, 512, 600), (256, 256, 300)
SIZES = ((128, 128, 128), (256, 256, 256), FULL)


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--worker", nargs=2, metavar=("WAY", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(WAYS[given.worker[0]](Path(given.worker[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="open-scan-") as folder:
        run(Path(folder), QUICK if given.quick else FULL, given.repeats, given.seed).show(given.json)


def run(folder: Path, shape: tuple[int, int, int], repeats: int, seed: int) -> Result:
    """Measure everything on a made CT of this shape (x, y, z)."""
    scan = made_scan(folder / "scan.nii.gz", shape, seed)
    result = Result(("way", "size", "seconds", "peak above the empty window", "runs"))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in FILE_WAYS}
    for _ in range(repeats):
        for way, facts in found.items():
            facts.append(_measured(way, scan))
    size = "x".join(map(str, shape))
    for way, facts in found.items():
        result.rows.append((way, size, *_middle(facts)))
    seconds = {way: median(f["seconds"] for f in facts) for way, facts in found.items()}
    result.claims["times faster than nibabel.get_fdata + napari"] = seconds["nibabel"] / seconds["apprentice"]
    result.claims["times faster than SimpleITK + napari"] = seconds["SimpleITK"] / seconds["apprentice"]
    result.claims["peak memory in volumes"] = median(f["volumes"] for f in found["apprentice"])
    _study(folder, shape, repeats, seed, result)
    return result


def _study(folder: Path, shape: tuple[int, int, int], repeats: int, seed: int, result: Result) -> None:
    study = folder / "bench.study"
    Study.create(study, LabelSchema.from_names(["liver"]), "")
    sizes = [s for s in (*SIZES, shape) if np.prod(s) <= np.prod(shape)]
    for size in dict.fromkeys(sizes):
        name = "x".join(map(str, size))
        scan = made_scan(folder / f"case-{name}.nii.gz", size, seed)
        result.rows.append(("adding to a study", name, *_middle([_measured("add", scan)])))
        scan.unlink()
        opened = [_measured("open", study / f"case-{name}") for _ in range(repeats)]
        result.rows.append(("opening from the study", name, *_middle(opened)))
        result.claims[f"first slice of {name} from the study, seconds"] = median(f["seconds"] for f in opened)


def _middle(facts: list[dict[str, float]]) -> tuple[float, float, int]:
    return median(f["seconds"] for f in facts), median(f["volumes"] for f in facts), len(facts)


def _measured(way: str, path: Path) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), "--worker", way, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr[-2000:]}")
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts


def made_scan(path: Path, shape: tuple[int, int, int], seed: int) -> Path:
    """A CT-like int16 volume: a body in air, tissue with noise of 12 HU; not scanner data."""
    random = np.random.default_rng(seed)
    x, y, z = shape
    grid = np.linspace(-1, 1, x)[:, None] ** 2 + (np.linspace(-1, 1, y)[None] * 1.3) ** 2
    body = np.where(grid < 0.8, 40.0 + 60 * np.sin(9 * grid), -1000.0)
    noise = random.normal(0, 12, (x, y, 8))
    voxels = np.empty(shape, np.int16, order="F")
    for k in range(z):  # shifted by another amount in each slice, so that slices do not repeat
        voxels[:, :, k] = body + np.roll(noise[:, :, k % 8], int(random.integers(x * y)))
    nib.save(nib.Nifti1Image(voxels, np.diag([-0.8, -0.8, 1.0, 1.0])), path)
    return path


# ------------------------------------------------------------------- one way, in a process of its own


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Window:
    """An empty napari window, the clock, and the memory it began with."""

    def __init__(self) -> None:
        import napari  # noqa: PLC0415 - each way imports only what it needs

        self.viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(1400, 950)
        warm = self.viewer.add_image(np.zeros((4, 64, 64), np.int16), contrast_limits=(0, 1))
        self.drawn()
        self.viewer.layers.remove(warm)
        self.drawn()
        self._before, self._start, self._end = _peak(), time.perf_counter(), 0.0

    def restart(self) -> None:
        """Start the clock anew."""
        self._before, self._start = _peak(), time.perf_counter()

    def drawn(self) -> None:
        """Until the canvas has put its next frame on the screen; that moment is kept."""
        from qtpy.QtWidgets import QApplication  # noqa: PLC0415

        canvas, frames = self.viewer.window._qt_viewer.canvas.native, []
        canvas.frameSwapped.connect(lambda: frames.append(time.perf_counter()))
        canvas.update()
        while not frames:
            QApplication.processEvents()
        self._end = frames[0]

    def facts(self, volume: int) -> dict[str, float]:
        """Seconds since the start, memory above it in volumes."""
        return {"seconds": self._end - self._start, "volumes": (_peak() - self._before) / volume}


def with_nibabel(path: Path) -> dict[str, float]:
    window = Window()
    voxels = nib.load(path).get_fdata()
    window.viewer.add_image(voxels.T, contrast_limits=(-160, 240))
    window.drawn()
    return window.facts(voxels.size * 2)


def with_simpleitk(path: Path) -> dict[str, float]:
    import SimpleITK as sitk  # noqa: PLC0415, N813

    window = Window()
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    window.viewer.add_image(voxels, contrast_limits=(-160, 240))
    window.drawn()
    return window.facts(voxels.size * 2)


def with_apprentice(path: Path) -> dict[str, float]:
    """Through napari's own File > Open."""
    window = Window()
    (layer,) = window.viewer.open(path, plugin="napari-apprentice")
    window.drawn()
    return window.facts(layer.data.size * 2)


def adding(path: Path) -> dict[str, float]:
    """`apprentice add`, without a window."""
    before, start = _peak(), time.perf_counter()
    session = Session()
    session.open_study(path.parent / "bench.study")
    report = drain(session.add_scans([path]))
    seconds = time.perf_counter() - start
    volume = int(np.prod(session.study.cases.info(report.added[0]).shape)) * 2
    return {"seconds": seconds, "volumes": (_peak() - before) / volume}


def opening(path: Path) -> dict[str, float]:
    """A case of a study in the dock; a small case was open before, as in work."""
    from qtpy.QtWidgets import QApplication  # noqa: PLC0415

    window = Window()
    _, dock = window.viewer.window.add_plugin_dock_widget("napari-apprentice", "Apprentice")
    dock.session.open_study(path.parent)
    _until(lambda: dock.desk.facts.now.rows and not dock.desk.runner.busy)
    dock.desk.cases.open_case("case-128x128x128")
    _until(lambda: dock.desk.layers.labels is not None and not dock.desk.runner.busy)
    window.drawn()
    shape = dock.session.study.cases.info(path.name).shape
    window.restart()
    dock.desk.cases.open_case(path.name)

    def shown() -> bool:
        layer = next((x for x in window.viewer.layers if x.name == path.name), None)
        return layer is not None and tuple(np.shape(layer.data[0] if layer.multiscale else layer.data)) == shape

    _until(shown)
    window.drawn()
    facts = window.facts(int(np.prod(shape)) * 2)
    _until(lambda: not dock.desk.runner.busy)
    QApplication.processEvents()
    window.viewer.close()
    return facts


def _until(condition: Callable[[], Any], seconds: float = 120) -> None:
    from qtpy.QtWidgets import QApplication  # noqa: PLC0415

    start = time.monotonic()
    while not condition():
        QApplication.processEvents()
        if time.monotonic() - start > seconds:
            sys.exit("The window did not get there.")


FILE_WAYS = ("apprentice", "nibabel", "SimpleITK")
WAYS: dict[str, Callable[[Path], dict[str, float]]] = {
    "apprentice": with_apprentice,
    "nibabel": with_nibabel,
    "SimpleITK": with_simpleitk,
    "add": adding,
    "open": opening,
}

if __name__ == "__main__":
    os.environ.setdefault("NAPARI_CONFIG", "")
    main()
