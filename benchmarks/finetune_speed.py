"""Fine-tuning: steps per second, and the share of a step that goes into its data, against MONAI.

Same network, patch, batch and augmentations (nnU-Net's policy), same scans. Each engine runs in a process of
its own (`finetune_speed_child.py`), by turns, several times; a round's ratio is that of neighbours in time. A
step is all of it: patches cut and augmented, forward, backward, optimiser, and here averaged weights too.

MONAI's side is what its users write: CacheDataset, RandCropByPosNegLabeld, the same augmentations as its
transforms, a DataLoader with workers (0, 1 and 2 on a CPU, 0, 4 and 8 beside a GPU; each round its best
counts), DynUNet's own deep supervision with DeepSupervisionLoss(DiceCELoss). It runs in fp32, its users' usual
mode, and under the autocast that this program takes on the device; where that is none, the two are one.
"CPU s" is processor time of all its processes per step, which other programs on the machine change least.

nnU-Net's trainer runs beside them where nnU-Net is installed: with this Python, or with the one given as
--nnunet-python (its packages need not suit this program's; it needs psutil as well). Plan, preprocessing, data
loader and step are its own (`finetune_speed_nnunet.py`), the network, patch and batch those compared. It begins at
random, which costs the same, mirrors three axes where the others mirror two, and samples by its own rule.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import nibabel as nib
import numpy as np
import torch
from common import Result, options
from finetune_speed_child import examples, plan

from napari_apprentice.core.records import Example
from napari_apprentice.learn.device import autocast, choose_device
from napari_apprentice.loop.child import environment

CHILD = Path(__file__).resolve().with_name("finetune_speed_child.py")
NNUNET = CHILD.with_name("finetune_speed_nnunet.py")
Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What is measured, and how long."""

    folder: Path  # for nnU-Net's files
    rounds: int
    seconds: float
    seed: int
    features: int
    nnunet_python: str | None = None

    def measured(self, engine: str, seed: int, workers: int = 0, device: str = "cpu") -> Row:
        """One process; the peers' as their users start them, with threads that spin while they wait, and politely."""
        order: Row = {"engine": engine, "seed": seed, "seconds": self.seconds, "workers": workers, "device": device}
        order["features"] = self.features
        settings = variables(engine, seed)
        command = [sys.executable, str(CHILD)]
        if engine == "nnunet":
            command = [self.nnunet_python or sys.executable, str(NNUNET)]
            order["plan"] = plan(self.features).to_json()
            settings |= self.nnunet_folders(seed)
        done = subprocess.run([*command, json.dumps(order)], stdout=subprocess.PIPE, text=True, env=settings)
        if done.returncode:
            sys.exit(f"{engine} failed; see above.")
        found: Row = json.loads(done.stdout.splitlines()[-1])
        print(f"{engine}, {workers} workers: {found}", file=sys.stderr)  # each takes a while
        return {**found, "workers": workers}

    def nnunet_folders(self, seed: int) -> dict[str, str]:
        """nnU-Net's folders with the scans of `seed` in them, as its variables."""
        there = self.folder / f"nnunet-{seed}"
        raw = there / "raw" / "Dataset901_Speed"
        if not raw.exists():
            export_dataset(examples(seed), raw)
        return {f"nnUNet_{name}": str(there / name) for name in ("raw", "preprocessed", "results")}

    def engines(self, device: str) -> list[str]:
        """What is compared here."""
        names = ["this", "monai fp32"]
        with autocast(choose_device(device)):
            if torch.is_autocast_enabled(device):
                names.append("monai autocast")
        return [*names, "nnunet"] if self.has_nnunet else names

    @property
    def has_nnunet(self) -> bool:
        """Whether there is one to compare with."""
        return self.nnunet_python is not None or find_spec("nnunetv2") is not None

    def done(self, device: str) -> list[dict[str, Row]]:
        """By turns: in each round every engine once, peers once per number of workers, the best kept."""
        found = []
        many = (0, 4, 8) if device == "cuda" else (0, 1, 2)
        for number in range(self.rounds):
            row = {}
            for engine in self.engines(device):
                tries = (0,) if engine == "this" else many
                results = [self.measured(engine, self.seed + number, workers, device) for workers in tries]
                row[engine] = max(results, key=lambda r: float(r["rate"]))
            found.append(row)
        return found


def variables(engine: str, seed: int) -> dict[str, str]:
    """Threads that spin win on an idle machine and lose on a busy one: the peers get both, by turns."""
    return environment(large_pages=True) if engine in ("this", "memory") or seed % 2 == 0 else dict(os.environ)


def export_dataset(scans: Sequence[Example], folder: Path) -> None:
    """Write them as nnU-Net's raw data, spacing in mm, axes x, y, z as NIfTI has them."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for scan in scans:
        case, affine = f"scan_{scan.subject}", np.diag([*scan.spacing[::-1], 1.0])
        voxels = np.asarray(scan.voxels)[0].T.astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, affine), folder / "imagesTr" / f"{case}_0000.nii.gz")
        nib.save(nib.Nifti1Image(scan.labels.T, affine), folder / "labelsTr" / f"{case}.nii.gz")
    names = {"background": 0, "liver": 1, "kidney": 2, "spleen": 3}
    facts = {"channel_names": {"0": "CT"}, "labels": names, "numTraining": len(scans), "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(facts))


def report(result: Result, device: str, found: list[dict[str, Row]]) -> None:
    """A line per engine, medians over rounds, and the claims."""
    for engine in found[0]:
        mine = [row[engine] for row in found]
        ratios = [row["this"]["rate"] / row[engine]["rate"] for row in found]
        work = median(row[engine]["cpu"] / row["this"]["cpu"] for row in found)
        result.rows.append((
            device, engine, mine[0]["kind"], "/".join(str(r["workers"]) for r in mine),
            *(median(r[key] for r in mine) for key in ("rate", "waiting", "cpu", "peak")), median(ratios),
            f"{min(ratios):.2f}-{max(ratios):.2f}",
        ))  # fmt: skip
        if engine != "this":
            result.claims[f"{device}: times as fast as {engine}"] = median(ratios)
            result.claims[f"{device}: times less processor time than {engine}"] = work
    name = "waiting for data" if device == "cuda" else "share of the step in its data"
    result.claims[f"{device}: {name}, %"] = median(row["this"]["waiting"] for row in found)


def memory(result: Result, work: Work) -> None:
    """One large scan with one corrected box, labels and status whole in memory, voxels read in slabs."""
    found = work.measured("memory", work.seed)
    grown = found["peak"] - found["started"]
    result.rows.append(("cpu", "memory: 512x512x600, one box", *[""] * 5, found["peak"], "", ""))
    result.claims["memory grown by a 512x512x600 scan with one box, MB"] = grown
    result.claims["the same, as a multiple of the scan"] = grown / found["scan"]


def missing(result: Result, work: Work, device: str) -> None:
    """What could not be measured here, in words."""
    if "monai autocast" not in work.engines(device):
        result.rows.append((device, "monai autocast: no type pays on this device, so it is monai fp32", *[""] * 8))
    if not work.has_nnunet:
        result.rows.append((device, "nnU-Net is not installed: its trainer is not measured", *[""] * 8))


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--rounds", type=int, help="default 5, quick 2")
    parser.add_argument("--seconds", type=float, help="measured per process; default 30, quick 8")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="one device alone")
    text = "of the first stage; a network of random weights instead of the starter's"
    parser.add_argument("--features", type=int, default=0, help=text)
    parser.add_argument("--nnunet-python", help="a Python that has nnU-Net, where this one has not")
    given = parser.parse_args()
    count, seconds = given.rounds or (2 if given.quick else 5), given.seconds or (8 if given.quick else 30)
    with tempfile.TemporaryDirectory(prefix="finetune-speed-") as folder:
        work = Work(Path(folder), count, seconds, given.seed, given.features, given.nnunet_python)
        compared(work, ("cpu", "cuda") if given.device is None else (given.device,)).show(given.json)


def compared(work: Work, devices: Sequence[str]) -> Result:
    """Everything, as one table."""
    result = Result(
        ("device", "engine", "type", "workers", "steps/s", "data %", "CPU s", "peak MB", "this is x as fast", "range")
    )
    for device in devices:
        if device == "cuda" and not torch.cuda.is_available():
            result.rows.append(("cuda", "no GPU here: not measured", *[""] * 8))
            continue
        report(result, device, work.done(device))
        missing(result, work, device)
    memory(result, work)
    return result


if __name__ == "__main__":
    main()
