"""What a first model version finds after a few scans and a few steps, by how its weights are moved.

Hippocampus of the Medical Segmentation Decathlon at 1 mm. --cases subjects with their true labels, whole; --steps
steps from nothing; Dice, mean of both labels, on 30 other subjects. The subjects to learn from and the patches are
others for each seed, the 30 are the same for all.

Everything that learns or judges is the program's own: plan, fit, predictor (as draft).
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
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
CLAIM = 0.8
HOW = PredictSettings(quality="draft")


def known(scan: Scan) -> Example:
    """Its true labels, all accepted."""
    status = np.full(scan.labels.shape, ACCEPTED, np.uint8)
    return Example(f"{scan.name}/r0001", scan.name, scan.voxels, scan.labels, status, (1.0, 1.0, 1.0), ("MR",))


def recipe(steps: int, seed: int, optimiser: str) -> TrainSettings:
    """Of a first model; with SGD as nnU-Net has it."""
    ours = first_model_settings(steps, seed)
    if optimiser == "sgd":
        ours = replace(ours, optimiser="sgd", rate=1e-2, weight_decay=3e-5)
    return replace(ours, validate_every=100_000)


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
    parser.add_argument("--optimisers", nargs="+", choices=("adamw", "sgd"), default=["adamw", "sgd"])
    parser.add_argument("--seeds", nargs="+", type=int, help="default 0 1; quick: --seed alone")
    parser.add_argument("--memory-mb", type=float, default=1500, help="budget of the network's patches")
    given = parser.parse_args()
    cases, steps = ([8], [60]) if given.quick else (given.cases, given.steps)
    seeds = given.seeds or ([given.seed] if given.quick else [0, 1])
    scans = load(real_scans("hippocampus"), 1.0, None)
    mixed = [known(scans[i]) for i in np.random.default_rng(7).permutation(len(scans))]
    test, others = mixed[: 5 if given.quick else TEST], mixed[TEST:]
    result = Result(("cases", "steps", "optimiser", "Dice", "by seed", "seconds"))
    for many in cases:
        for length in steps:
            for optimiser in given.optimisers:
                found = []
                for seed in seeds:
                    learn = [others[i] for i in np.random.default_rng(100 + seed).permutation(len(others))][:many]
                    found.append(measured(learn, test, recipe(length, seed, optimiser), given.memory_mb))
                    print(f"{many} cases, {length} steps, {optimiser}, seed {seed}: {found[-1][0]:.4f}", flush=True)
                dice = [d for d, _ in found]
                by_seed = " / ".join(f"{d:.3f}" for d in dice)
                seconds = float(np.mean([s for _, s in found]))
                result.rows.append((many, length, optimiser, float(np.mean(dice)), by_seed, round(seconds)))
                if (many, length, optimiser) == (8, 250, "adamw"):
                    result.claims[f"Dice with 8 cases and 250 steps (at least {CLAIM})"] = float(np.mean(dice))
    result.claims["seeds"] = len(seeds)
    result.show(given.json)


if __name__ == "__main__":
    main()
