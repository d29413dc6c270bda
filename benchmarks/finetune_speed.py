"""Fine-tuning: steps per second, and the share of a step that goes into its data, against MONAI.

Same network, patch, batch and augmentations (nnU-Net's policy), same scans. Each engine runs in a process of
its own (`finetune_speed_child.py`), by turns, several times; a round's ratio is that of neighbours in time. A
step is all of it: patches cut and augmented, forward, backward, optimiser, and here averaged weights too.

MONAI's side is what its users write: CacheDataset, RandCropByPosNegLabeld, the same augmentations as its
transforms, a DataLoader with workers (0, 1 and 2 on a CPU, 0, 4 and 8 beside a GPU; each round its best
counts), DynUNet's own deep supervision with DeepSupervisionLoss(DiceCELoss). It runs in fp32, its users' usual
mode, and under the autocast that this program takes on the device; where that is none, the two are one.
"CPU s" is processor time of all its processes per step, which other programs on the machine change least.

nnU-Net's trainer is not measured: it was installed on none of the machines this was written on.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import Result, options

from napari_apprentice.learn.device import autocast, choose_device
from napari_apprentice.loop.child import environment

CHILD = Path(__file__).resolve().with_name("finetune_speed_child.py")
Row = dict[str, Any]


def measured(engine: str, seed: int, seconds: float, workers: int = 0, device: str = "cpu", features: int = 0) -> Row:
    """One process; MONAI's as its users start it, with threads that spin while they wait, and politely as well."""
    order = {
        "engine": engine, "seed": seed, "seconds": seconds, "workers": workers, "device": device, "features": features
    }  # fmt: skip
    command = [sys.executable, str(CHILD), json.dumps(order)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=variables(engine, seed))
    if done.returncode:
        sys.exit(f"{engine} failed; see above.")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    print(f"{engine}, {workers} workers: {found}", file=sys.stderr)  # each takes a while
    return {**found, "workers": workers}


def variables(engine: str, seed: int) -> dict[str, str]:
    """Threads that spin win on an idle machine and lose on a busy one: MONAI gets both, by turns."""
    return dict(os.environ) if engine.startswith("monai") and seed % 2 else environment(large_pages=True)


def engines(device: str) -> list[str]:
    """What is compared here."""
    names = ["this", "monai fp32"]
    with autocast(choose_device(device)):
        if torch.is_autocast_enabled(device):
            names.append("monai autocast")
    return names


def rounds(device: str, count: int, seconds: float, seed: int, features: int) -> list[dict[str, Row]]:
    """By turns: in each round every engine once, MONAI once per number of workers, the best kept."""
    found = []
    many = (0, 4, 8) if device == "cuda" else (0, 1, 2)
    for number in range(count):
        row = {}
        for engine in engines(device):
            tries = many if engine.startswith("monai") else (0,)
            results = [measured(engine, seed + number, seconds, workers, device, features) for workers in tries]
            row[engine] = max(results, key=lambda r: float(r["rate"]))
        found.append(row)
    return found


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


def memory(result: Result, seed: int) -> None:
    """One large scan with one corrected box, labels and status whole in memory, voxels read in slabs."""
    found = measured("memory", seed, 0)
    grown = found["peak"] - found["started"]
    result.rows.append(("cpu", "memory: 512x512x600, one box", *[""] * 5, found["peak"], "", ""))
    result.claims["memory grown by a 512x512x600 scan with one box, MB"] = grown
    result.claims["the same, as a multiple of the scan"] = grown / found["scan"]


def missing(result: Result, device: str) -> None:
    """What could not be measured here, in words."""
    if "monai autocast" not in engines(device):
        result.rows.append((device, "monai autocast: no type pays on this device, so it is monai fp32", *[""] * 8))
    what = "not installed" if find_spec("nnunetv2") is None else "installed, but how to time it is not written yet"
    result.rows.append((device, f"nnU-Net's trainer is {what}: not measured", *[""] * 8))


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--rounds", type=int, help="default 5, quick 2")
    parser.add_argument("--seconds", type=float, help="measured per process; default 30, quick 8")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="one device alone")
    text = "of the first stage; a network of random weights instead of the starter's"
    parser.add_argument("--features", type=int, default=0, help=text)
    given = parser.parse_args()
    count, seconds = given.rounds or (2 if given.quick else 5), given.seconds or (8 if given.quick else 30)
    result = Result(
        ("device", "engine", "type", "workers", "steps/s", "data %", "CPU s", "peak MB", "this is x as fast", "range")
    )
    for device in ("cpu", "cuda") if given.device is None else (given.device,):
        if device == "cuda" and not torch.cuda.is_available():
            result.rows.append(("cuda", "no GPU here: not measured", *[""] * 8))
            continue
        report(result, device, rounds(device, count, seconds, given.seed, given.features))
        missing(result, device)
    memory(result, given.seed)
    result.show(given.json)


if __name__ == "__main__":
    main()
