"""Predictions against MONAI's sliding windows: speed, sameness, memory, and how soon the first slab is there.

Everything runs in one go, each engine in a process of its own (`predict_child.py`), on the same scan with
the same trained network (the starter model version). MONAI's side is what its users write: normalise,
resample, a SlidingWindowInferer (overlap 0.5, Gaussian, 4 windows at once), softmax, resample back, argmax.
"end to end" is from voxels in a file to a label map on the scan's own grid; "windows" is the sliding
windows alone, on a scan that has the network's spacing already. Times are the best of a few; MONAI
and nnU-Net run twice, with threads that spin for work (its users' way) and that sleep, and their better time counts.

nnU-Net's predictor is measured beside them where nnU-Net is installed: with this Python, or with the one given as
--nnunet-python (its packages need not suit this program's). With a CUDA GPU there are rows for
it too: this program and MONAI under autocast, and the measured rate of bf16 convolutions.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Result, options
from numpy.typing import NDArray

from napari_apprentice.core.phantom import phantom
from napari_apprentice.learn.device import autocast
from napari_apprentice.learn.resample import Shape, resample_labels, resample_voxels, target_shape
from napari_apprentice.loop.child import environment

CHILD = Path(__file__).resolve().with_name("predict_child.py")
FULL, QUICK = (300, 512, 512), (150, 256, 256)
FIELD = (450.0, 409.6, 409.6)  # mm along (z, y, x)
STARTER_SPACING = (4.0, 3.0, 3.0)
FEW, MANY = 3, 117
Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Where, how large and how often."""

    folder: Path
    shape: Shape
    repeats: int
    seed: int
    nnunet_python: str | None = None
    memory_spacing: float = 1.5  # mm of the network's grid where memory is measured

    def run(self, engine: str, scan: str, **what: Any) -> Row:
        """One measurement in a process of its own, started as the program starts one."""
        polite = self.once(engine, scan, environment(), **what)
        if not engine.startswith(("monai", "nnunet")):
            return polite
        # Their users have threads that spin for work, which is better on an idle machine and worse on a busy one.
        usual = self.once(engine, scan, dict(os.environ), **what)
        best = min(polite, usual, key=lambda found: float(found["seconds"]))
        return {**best, "cpu": min(polite["cpu"], usual["cpu"])}

    def once(self, engine: str, scan: str, variables: dict[str, str], **what: Any) -> Row:
        """The same, with the environment given."""
        order = {"engine": engine, "scan": scan, "repeats": self.repeats, "out": str(self.folder / "found"), **what}
        python = self.nnunet_python if engine == "nnunet" else None
        command = [python or sys.executable, str(CHILD), json.dumps(order)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=variables)
        print(f"{engine}, {what}: {done.stdout.splitlines()[-1:]}", file=sys.stderr)  # each takes a while
        if done.returncode:
            sys.exit(f"{engine} on {scan} failed; see above.")
        found: Row = json.loads(done.stdout.splitlines()[-1])
        labels = Path(order["out"])
        if labels.exists():
            found["labels"] = np.fromfile(labels, dtype=np.uint8)
            labels.unlink()
        return found

    def fine(self) -> str:
        """A scan of `shape`, finer than the network's grid."""
        return self.scan("fine", self.shape, self.spacing)

    def coarse(self) -> str:
        """One of the same field that has the network's grid already."""
        return self.scan("coarse", target_shape(self.shape, self.spacing, STARTER_SPACING), STARTER_SPACING)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Of the scan's grid, in mm."""
        z, y, x = (f / n for f, n in zip(FIELD, self.shape, strict=True))
        return z, y, x

    def scan(self, name: str, shape: Shape, spacing: tuple[float, float, float]) -> str:
        """Phantoms side by side on a grid of `shape`, in files; their path without an ending."""
        stem = self.folder / name
        if not stem.with_suffix(".json").exists():
            voxels, truth = tiled(target_shape(shape, spacing, STARTER_SPACING), shape, self.seed)
            voxels.tofile(stem.with_suffix(".raw"))
            truth.tofile(stem.with_suffix(".truth"))
            stem.with_suffix(".json").write_text(json.dumps({"shape": shape, "spacing": spacing}))
        return str(stem)


def tiled(coarse: Shape, shape: Shape, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Phantoms the starter has not seen, side by side at its spacing, then on another grid over the field."""
    made = [phantom(5000 + 100 * seed + i, "A") for i in range(12)]
    voxels, truth = (blocks(p) for p in ([v.voxels[0] for v, _ in made], [m.voxels for _, m in made]))
    inner = tuple(slice(0, n) for n in coarse)
    fine = resample_voxels(torch.from_numpy(voxels[inner].astype(np.float32))[None], shape)[0]
    labels = resample_labels(torch.from_numpy(truth[inner].astype(np.uint8)), shape)
    return fine.round().numpy().astype(np.int16), labels.numpy()


def blocks(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Twelve (z, y, x) arrays as 3 x 2 x 2."""
    return np.block([[[parts[4 * z + 2 * y + x] for x in range(2)] for y in range(2)] for z in range(3)])


def windows(work: Work, result: Result) -> None:
    """The sliding windows alone."""
    nnunet(work, result, speed(work, result, "windows", work.coarse()))


def end_to_end(work: Work, result: Result) -> None:
    """From voxels in a file to a label map on the scan's own grid."""
    speed(work, result, "end to end", work.fine())


def speed(work: Work, result: Result, what: str, scan: str, device: str = "cpu") -> Row:
    """MONAI in fp32, which is given back, and under autocast, and this program's engines."""
    engines = ("monai fp32", "monai autocast", "torch fp32", "torch half")
    ours = ("openvino fp32", "openvino half") if device == "cpu" and find_spec("openvino") else ("torch half",)
    truth = np.fromfile(f"{scan}.truth", dtype=np.uint8)
    reference: Row | None = None
    half: Row | None = None
    # without half precision that pays, those rows would measure fp32 a second time
    halves = not isinstance(autocast(torch.device(device)), nullcontext)
    asked = [e for e in dict.fromkeys((*engines, *ours)) if halves or e.endswith("fp32")]
    if not halves:
        result.rows.append((f"{what}, {device}", "no half precision that pays here: not measured", *[""] * 7))
    for engine in asked:
        found = work.run(engine, scan, part=what, device=device)
        reference = reference or found
        half = found if engine == "monai autocast" else half
        row = compared(found, reference, truth)
        result.rows.append((f"{what}, {device}", f"{engine} ({found['name']})", *row))
        if engine == asked[-1]:
            claim(result, f"{what} on {device}", found, reference, truth)
            if half is not None:
                ratio = found["rate"] / half["rate"]
                result.claims[f"{what} on {device}: times as fast as MONAI under autocast"] = ratio
    return reference or {}


def nnunet(work: Work, result: Result, reference: Row, device: str = "cpu") -> None:
    """Sliding windows by nnU-Net, where it is installed."""
    if find_spec("nnunetv2") is None and work.nnunet_python is None:
        result.rows.append((f"windows, {device}", "nnU-Net is not installed: not measured", *[""] * 7))
        return
    scan = work.coarse()
    found = work.run("nnunet", scan, part="windows", device=device)
    truth = np.fromfile(f"{scan}.truth", dtype=np.uint8)
    result.rows.append((f"windows, {device}", f"nnU-Net ({found['name']})", *compared(found, reference, truth)))


def compared(found: Row, reference: Row, truth: NDArray[np.uint8]) -> tuple[Any, ...]:
    """Seconds, processor seconds, Mvoxel/s, times as fast, % of equal voxels, difference of Dice, peak MB."""
    return (
        found["seconds"], found["cpu"], found["rate"], found["rate"] / reference["rate"],
        100 * float((found["labels"] == reference["labels"]).mean()), apart(found, reference, truth), found["peak"],
    )  # fmt: skip


def apart(found: Row, reference: Row, truth: NDArray[np.uint8]) -> float:
    """The largest difference of Dice against the truth, over labels."""
    return max(abs(dice(found["labels"], truth, k) - dice(reference["labels"], truth, k)) for k in (1, 2, 3))


def dice(a: NDArray[np.uint8], b: NDArray[np.uint8], label: int) -> float:
    """2 |A and B| / (|A| + |B|)."""
    first, second = a == label, b == label
    return 2 * int((first & second).sum()) / max(1, int(first.sum() + second.sum()))


def claim(result: Result, where: str, found: Row, reference: Row, truth: NDArray[np.uint8]) -> None:
    """The figures that are promised."""
    _, _, _, ratio, same, difference, _ = compared(found, reference, truth)
    result.claims[f"{where}: times as fast as MONAI fp32"] = ratio
    # of all cores together; hardly changes when other programs run beside
    result.claims[f"{where}: times less processor time than MONAI fp32"] = reference["cpu"] / found["cpu"]
    result.claims[f"{where}: voxels equal to MONAI fp32, %"] = same
    result.claims[f"{where}: Dice apart from MONAI fp32"] = difference
    result.claims[f"{where}: mean Dice with the truth"] = float(
        np.mean([dice(found["labels"], truth, k) for k in (1, 2, 3)])
    )


def first_slab(work: Work, result: Result) -> None:
    """How long until the slices somebody looks at are there, the engine being warm."""
    found = work.run("auto", work.fine(), part="first", device="cpu")
    for name, (seconds, busy) in found["first"].items():
        result.rows.append((f"first slab, {name}", found["name"], seconds, busy, "", "", "", "", found["peak"]))
    for place, what in enumerate(("s", "processor s of all cores together")):
        result.claims[f"first visible slab, warm, {what}"] = max(times[place] for times in found["first"].values())


def memory(work: Work, result: Result) -> None:
    """Peak memory with few and many labels: the same scan, patch and features, weights at random."""
    scan, peaks = work.fine(), {}
    for labels in (FEW, MANY):
        found = work.run("auto", scan, part="memory", device="cpu", labels=labels, spacing=work.memory_spacing)
        peaks[labels] = found["peak"]
        what = f"memory, {labels} labels, {found['spilled'] / 2**20:.0f} MB to disk"
        result.rows.append((what, found["name"], found["seconds"], "", found["rate"], "", "", "", found["peak"]))
    result.claims[f"peak memory with {MANY} labels, MB"] = peaks[MANY]
    result.claims[f"peak memory, {MANY} labels against {FEW}"] = peaks[MANY] / peaks[FEW]


def cuda(work: Work, result: Result) -> None:
    """The rows of a GPU, where there is one."""
    if not torch.cuda.is_available():
        result.rows.append(("CUDA", "no GPU here: not measured", *[""] * 7))
        return
    nnunet(work, result, speed(work, result, "windows", work.coarse(), "cuda"), "cuda")
    speed(work, result, "end to end", work.fine(), "cuda")
    found = work.run("torch half", work.fine(), part="share", device="cuda")
    result.claims["CUDA: share of the time the device is busy, %"] = 100 * found["busy"]
    result.claims["CUDA: share of the measured bf16 convolution rate, %"] = 100 * found["share"]


PARTS = {"windows": windows, "end-to-end": end_to_end, "first": first_slab, "memory": memory, "cuda": cuda}


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=tuple(PARTS), help="one part alone")
    text = "mm of the network's grid where memory is measured; twice as many are an eighth of the windows"
    parser.add_argument("--memory-spacing", type=float, default=1.5, help=text)
    parser.add_argument("--nnunet-python", help="a Python that has nnU-Net, where this one has not")
    given = parser.parse_args()
    result = Result(
        ("what", "engine", "seconds", "CPU s", "Mvoxel/s", "x MONAI fp32", "same %", "Dice apart", "peak MB")
    )
    with tempfile.TemporaryDirectory(prefix="predict-") as folder:
        work = Work(
            Path(folder),
            QUICK if given.quick else FULL,
            given.repeats,
            given.seed,
            given.nnunet_python,
            given.memory_spacing,
        )
        for name, part in PARTS.items():
            if given.only in (None, name):
                part(work, result)
    result.show(given.json)


if __name__ == "__main__":
    main()
