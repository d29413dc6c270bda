"""What a first model version finds after a few scans and a few steps, by how its weights are moved.

Hippocampus of the Medical Segmentation Decathlon at 1 mm. --cases subjects with their true labels, known as a whole or
in one box each (20 voxels wide, around a voxel of a label; around any voxel in every third); --steps steps from
nothing; Dice, mean of both labels, on 30 other subjects. The subjects to learn from, their boxes and the patches are
others for each seed, the 30 are the same for all.

Everything that learns or judges is the program's own: plan, fit, predictor (as draft).
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from common import Result, drain, options, real_scans
from finetune_gain import LABELS, Scan, by_subject, load

from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.correction import ACCEPTED
from napari_apprentice.core.fingerprint import fingerprint
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import derive_plan
from napari_apprentice.core.records import Example
from napari_apprentice.learn.device import choose_device
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.trainer import fit

TEST = 30
OPTIMISERS = ("ours", "nnU-Net's", "AdamW")
BOX = 20
CLAIMS = {"whole": 0.8, "boxes": 0.75}  # with 8 cases, and with 20 that are known in boxes
HOW = PredictSettings(quality="draft")


def known(scan: Scan) -> Example:
    """Its true labels, all accepted."""
    status = np.full(scan.labels.shape, ACCEPTED, np.uint8)
    return Example(f"{scan.name}/r0001", scan.name, scan.voxels, scan.labels, status, (1.0, 1.0, 1.0), ("MR",))


def in_boxes(examples: Sequence[Example], seed: int) -> list[Example]:
    """The same with one box known in each."""
    rng, found = np.random.default_rng(seed), []
    for number, example in enumerate(examples):
        where = np.argwhere((example.labels > 0) | (number % 3 == 2))
        middle = where[rng.integers(len(where))]
        status = np.zeros_like(example.status)
        status[tuple(slice(max(0, m - BOX // 2), m + BOX // 2) for m in middle)] = ACCEPTED
        found.append(replace(example, status=status))
    return found


def recipe(steps: int, seed: int, optimiser: str) -> TrainSettings:
    """Of a first model; ours, with nnU-Net's momentum and rate, or with AdamW."""
    ours = replace(first_model_settings(steps, seed), validate_every=100_000)
    others = {
        "nnU-Net's": replace(ours, momentum=0.99, rate=1e-2),
        "AdamW": replace(ours, optimiser="adamw", rate=3e-3, weight_decay=1e-2),
    }
    return others.get(optimiser, ours)


def measured(
    learn: Sequence[Example], test: Sequence[Example], how: TrainSettings, memory_mb: float
) -> tuple[float, float]:
    """Mean Dice on `test`, and seconds of training."""
    schema = LabelSchema.from_names(LABELS.values())
    plan = derive_plan([fingerprint(e) for e in learn], schema, memory_mb=memory_mb)
    with tempfile.TemporaryDirectory(prefix="first-model-") as folder:
        out, began = Path(folder) / "weights.safetensors", time.monotonic()
        drain(fit(plan, learn, [], how, None, out, Path(folder) / "checkpoint", lambda: False))
        seconds = time.monotonic() - began
        found = scores(Predictor(plan, out, choose_device("auto")), test, HOW, lambda: False)
    return float(np.mean(by_subject(found))), seconds


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--cases", nargs="+", type=int, default=[3, 8, 20], help="subjects to learn from")
    parser.add_argument("--steps", nargs="+", type=int, default=[250], help="from nothing")
    parser.add_argument("--known", nargs="+", choices=("whole", "boxes"), default=["whole", "boxes"])
    parser.add_argument("--optimisers", nargs="+", choices=OPTIMISERS, default=OPTIMISERS)
    parser.add_argument("--seeds", nargs="+", type=int, help="default 0 1; quick: --seed alone")
    parser.add_argument("--memory-mb", type=float, default=1500, help="budget of the network's patches")
    given = parser.parse_args()
    cases, steps = ([8], [60]) if given.quick else (given.cases, given.steps)
    seeds = given.seeds or ([given.seed] if given.quick else [0, 1])
    scans = load(real_scans("hippocampus"), 1.0, None)
    mixed = [known(scans[i]) for i in np.random.default_rng(7).permutation(len(scans))]
    test, others = mixed[: 5 if given.quick else TEST], mixed[TEST:]
    result = Result(("cases", "known", "steps", "optimiser", "Dice", "by seed", "seconds"))
    for many, known_as, length, optimiser in product(cases, given.known, steps, given.optimisers):
        found = []
        for seed in seeds:
            learn = [others[i] for i in np.random.default_rng(100 + seed).permutation(len(others))][:many]
            learn = in_boxes(learn, seed) if known_as == "boxes" else learn
            found.append(measured(learn, test, recipe(length, seed, optimiser), given.memory_mb))
            print(f"{many} {known_as}, {length} steps, {optimiser}, seed {seed}: {found[-1][0]:.4f}", flush=True)
        dice = float(np.mean([d for d, _ in found]))
        by_seed = " / ".join(f"{d:.3f}" for d, _ in found)
        seconds = round(float(np.mean([s for _, s in found])))
        result.rows.append((many, known_as, length, optimiser, dice, by_seed, seconds))
        if (many, known_as, length, optimiser) in ((8, "whole", 250, "ours"), (20, "boxes", 250, "ours")):
            result.claims[f"Dice with {many} cases, {known_as}, 250 steps (at least {CLAIMS[known_as]})"] = dice
    result.claims["seeds"] = len(seeds)
    result.show(given.json)


if __name__ == "__main__":
    main()
