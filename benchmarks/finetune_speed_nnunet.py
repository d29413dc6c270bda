"""What one process of `finetune_speed.py` measures of nnU-Net's trainer; imports nothing of this program.

It runs with a Python that has nnU-Net. The order comes as JSON; the folders are nnU-Net's own, by its own
variables (nnUNet_raw with the scans in it, nnUNet_preprocessed, nnUNet_results). nnU-Net plans and preprocesses
as for its users; in its plan the patch, the batch and the network are then replaced by those that are compared.
The last line printed is the answer.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from measured import Clock, peak_mb
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprint_dataset,
    plan_experiment_dataset,
    preprocess_dataset,
)
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

DATASET = 901
CONFIGURATION = "3d_fullres"
Facts = dict[str, Any]


def main() -> None:
    order: Facts = json.loads(sys.argv[1])
    folder = Path(nnUNet_preprocessed) / f"Dataset{DATASET}_Speed"
    plans_file = folder / "nnUNetPlans.json"
    if not plans_file.exists():
        extract_fingerprint_dataset(DATASET, num_processes=1)
        plan_experiment_dataset(DATASET)
        plans_file.write_text(json.dumps(with_network(json.loads(plans_file.read_text()), order["plan"])))
        preprocess_dataset(DATASET, configurations=(CONFIGURATION,), num_processes=(1,))
    dataset = json.loads((folder / "dataset.json").read_text())
    plans = {**json.loads(plans_file.read_text()), "continue_training": False}
    os.environ["nnUNet_n_proc_DA"] = str(order["workers"])  # noqa: SIM112 - only now: its planner needs one
    trainer = nnUNetTrainer(plans, CONFIGURATION, "all", dataset, torch.device(order["device"]))
    trainer.on_train_start()
    print(json.dumps({**measured(trainer, order["seconds"]), "peak": peak_mb()}))
    trainer.dataloader_train, trainer.dataloader_val = None, None  # ends their workers


def with_network(plans: Facts, plan: Facts) -> Facts:
    """nnU-Net's plans with the patch, the batch and the network of `plan`, a `Plan` as JSON."""
    configuration = plans["configurations"][CONFIGURATION]
    stages = len(plan["features"])
    configuration.update(spacing=plan["spacing"], patch_size=plan["patch"], batch_size=plan["batch"])
    configuration["architecture"]["arch_kwargs"].update(
        n_stages=stages, features_per_stage=plan["features"], kernel_sizes=plan["kernels"], strides=plan["strides"],
        n_conv_per_stage=[2] * stages, n_conv_per_stage_decoder=[2] * (stages - 1),
    )  # fmt: skip
    return plans


def measured(trainer: nnUNetTrainer, seconds: float) -> Facts:
    """Its steps, timed as MONAI's are."""
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    clock, waited, counted, step = Clock(seconds), 0.0, 0.0, 0
    while True:
        asked = time.perf_counter()
        batch = next(trainer.dataloader_train)
        got = time.perf_counter()
        trainer.train_step(batch)
        step += 1
        if clock.counts(step):
            waited, counted = waited + got - asked, counted + time.perf_counter() - asked
        if clock.over(step):
            break
    half = "float16 autocast" if trainer.device.type == "cuda" else "float32"
    numbers = sum(p.numel() for p in trainer.network.parameters())
    kind = f"{half}, nnU-Net {version('nnunetv2')}, torch {version('torch')}"
    return {**clock.found(waited / counted, kind), "parameters": numbers}


if __name__ == "__main__":
    main()
