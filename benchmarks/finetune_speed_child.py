"""What one process of `finetune_speed.py` measures; the order comes as JSON, the last line printed is the answer."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import monai.transforms as mt
import numpy as np
import torch
from common import ROOT, drain
from measured import Clock, peak_mb
from monai.data import CacheDataset, DataLoader
from monai.losses import DeepSupervisionLoss, DiceCELoss
from predict_child import FileSource
from torch import nn

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.phantom import phantom
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.records import Example
from napari_apprentice.learn import weights
from napari_apprentice.learn.device import autocast, choose_device
from napari_apprentice.learn.feed import Feed
from napari_apprentice.learn.network import bare, build
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.patches import Batch
from napari_apprentice.learn.prepared import kept_near, prepare
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.trainer import fit

STARTER = ROOT / "sample_data" / "starter"
SCANS = 8
MOST = 100_000
Order = dict[str, Any]


def main() -> None:
    order: Order = json.loads(sys.argv[1])
    engine: str = order["engine"]
    work = {"this": with_this, "memory": memory}.get(engine, with_monai)
    print(json.dumps({**work(order), "peak": peak_mb()}))


def examples(seed: int) -> list[Example]:
    """Scans the starter has not seen, all of them known."""
    made = [phantom(5000 + 100 * seed + i, "A") for i in range(SCANS)]
    return [
        Example(
            f"{i}/r0001", str(i), v.voxels, m.voxels.astype(np.uint8), np.ones(m.voxels.shape, np.uint8),
            v.geometry.spacing, ("CT",),
        )
        for i, (v, m) in enumerate(made)
    ]  # fmt: skip


def plan(features: int = 0) -> Plan:
    """The starter's network, or one of so many features in its first stage.

    No label is mirrored there, so flips along two axes are allowed for the benchmark.
    """
    facts = json.loads((STARTER / "model.json").read_text())["plan"]
    found = Plan.from_json({**facts, "mirror_axes": [0, 1]})
    return replace(found, features=tuple(features * 2**i for i in range(len(found.features)))) if features else found


def start(features: int) -> Path | None:
    """The weights to begin with: the starter's; another network begins at random."""
    return None if features else STARTER / "weights.safetensors"


def kind_of(device: torch.device) -> str:
    with autocast(device):
        on = torch.is_autocast_enabled(device.type)
        return str(torch.get_autocast_dtype(device.type)).removeprefix("torch.") if on else "float32"


def with_this(order: Order) -> dict[str, Any]:
    """`fit` as the program calls it.

    On a CPU the time its batches take is measured on the same feed afterwards. A GPU computes while the next batch is
    drawn: there the same is done again with one batch for all steps, which nothing has to wait for.
    """
    device, scans = choose_device(order["device"]), examples(order["seed"])
    found = fitted(order, device, scans)
    if device.type == "cuda":
        with one_batch():
            found["waiting"] = 100 * max(0.0, 1 - found["rate"] / fitted(order, device, scans)["rate"])
    else:
        found["waiting"] = 100 * found["rate"] * seconds_per_batch(scans, settings_of(order), device)
    return found


def settings_of(order: Order) -> TrainSettings:
    return TrainSettings(steps=MOST, seed=order["seed"], device=order["device"], validate_every=MOST)


@contextmanager
def one_batch() -> Iterator[None]:
    """Give every step the batch of the first one, without drawing it again."""
    draw, kept = Feed.batch, list[Batch]()

    def same(feed: Feed, step: int) -> Batch:
        if not kept:
            kept.append(draw(feed, step))
        return kept[0]

    with patch.object(Feed, "batch", same):
        yield


def fitted(order: Order, device: torch.device, scans: list[Example]) -> dict[str, Any]:
    """Steps per second."""
    clock, settings, features = Clock(order["seconds"]), settings_of(order), order["features"]
    with tempfile.TemporaryDirectory(prefix="finetune-speed-") as folder:
        out, kept = Path(folder) / "out.safetensors", Path(folder) / "checkpoint"
        work = fit(plan(features), scans, [], settings, start(features), out, kept, lambda: False)
        for report in work:
            if report.loss is not None and clock.over(report.done):
                break
        work.close()
    return clock.found(0.0, kind_of(device))


def seconds_per_batch(scans: list[Example], settings: TrainSettings, device: torch.device) -> float:
    how = plan()
    feed = Feed(kept_near([prepare(e, how) for e in scans], device), how, settings, device, Ranks())
    feed.batch(0)
    wait(device)
    began = time.perf_counter()
    for step in range(1, 41):
        feed.batch(step)
    wait(device)
    return (time.perf_counter() - began) / 40


def memory(order: Order) -> dict[str, Any]:
    """Peak of a fine-tune on one 512x512x600 scan in a file with one corrected box, above what it started with."""
    shape, spacing = (600, 512, 512), (0.8, 0.8, 0.8)
    with tempfile.TemporaryDirectory(prefix="finetune-memory-") as folder:
        stem = f"{folder}/scan"
        noise = np.random.default_rng(order["seed"]).integers(-1000, 1000, shape[1:], np.int16)
        with Path(f"{stem}.raw").open("wb") as file:
            for _ in range(shape[0]):
                file.write(noise.tobytes())
        Path(f"{stem}.json").write_text(json.dumps({"shape": shape, "spacing": spacing}))
        started = peak_mb()
        status = np.zeros(shape, np.uint8)
        status[300:332, 200:240, 220:260] = 1
        example = Example("1/r0001", "1", FileSource(stem), np.zeros(shape, np.uint8), status, spacing, ("CT",))
        how = replace(plan(), spacing=spacing)
        settings = TrainSettings(steps=2, device="cpu", validate_every=MOST)
        drain(fit(how, [example], [], settings, STARTER / "weights.safetensors", Path(folder) / "out.safetensors",
                  Path(folder) / "checkpoint", lambda: False))  # fmt: skip
    return {"started": started, "scan": 2 * float(np.prod(shape)) / 2**20}


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def with_monai(order: Order) -> dict[str, Any]:
    """A training loop as MONAI's tutorials have it."""
    device = choose_device(order["device"])
    how = plan(order["features"])
    network, module, known = DeepSupervised(bare(how)), build(how), start(order["features"])
    if known is not None:
        weights.load(module, known)
    network.net.load_state_dict(module.net.state_dict())
    network.to(device).train()
    optimiser = torch.optim.SGD(network.parameters(), 5e-2, 0.9, weight_decay=3e-5, nesterov=True)
    loss = DeepSupervisionLoss(DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True))
    half = order["engine"].endswith("autocast")
    clock, waited, counted, step = Clock(order["seconds"]), 0.0, 0.0, 0
    batches = endless(loader(order, device))
    while True:
        asked = time.perf_counter()
        batch = next(batches)
        voxels, target = (batch[key].to(device, non_blocking=True) for key in ("image", "label"))
        got = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with autocast(device) if half else nullcontext():
            logits = network(voxels.as_tensor())
        value = loss([m.float() for m in logits], target.as_tensor())
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimiser.step()
        value.item()  # as MONAI's tutorials add up the loss; a GPU is waited for once a step here, too
        step += 1
        if clock.counts(step):
            waited, counted = waited + got - asked, counted + time.perf_counter() - asked
        if clock.over(step):
            return clock.found(waited / counted, kind_of(device) if half else "float32")


class DeepSupervised(nn.Module):
    """DynUNet in training stacks its maps along axis 1; the loss wants a list."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, voxels: torch.Tensor) -> list[torch.Tensor]:
        """All at full size, the finest first."""
        return list(self.net(voxels).unbind(1))


def loader(order: Order, device: torch.device) -> "DataLoader[Any]":
    """Cached scans, random crops and nnU-Net's policy as MONAI's dictionary transforms."""
    mt.Randomizable.R = np.random.RandomState(order["seed"])
    how = plan()
    items = [
        {"image": normalise(e.voxels, how, torch.device("cpu")).numpy(), "label": e.labels[None].astype(np.float32)}
        for e in examples(order["seed"])
    ]
    transform = mt.Compose(
        [
            mt.EnsureTyped(("image", "label")),
            mt.SpatialPadd(("image", "label"), how.patch),
            mt.RandCropByPosNegLabeld(("image", "label"), "label", how.patch, pos=2, neg=1, num_samples=1),
            *policy(how),
        ]
    ).set_random_state(order["seed"])
    data = CacheDataset(items, transform, progress=False)
    workers: int = order["workers"]
    return DataLoader(
        Repeated(data), batch_size=how.batch, shuffle=True, num_workers=workers, drop_last=True,
        persistent_workers=workers > 0, pin_memory=device.type == "cuda",
    )  # fmt: skip


class Repeated(torch.utils.data.Dataset[Any]):
    """An epoch of many rounds through the scans, so that no worker waits at the end of a short one."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return 1000 * len(self._data)

    def __getitem__(self, index: int) -> Any:
        found = self._data[index % len(self._data)]
        return found[0] if isinstance(found, list) else found


def policy(how: Plan) -> list[Callable[..., Any]]:
    """What `learn.augment` does, in MONAI's words: the same chances, the same ranges."""
    both, image = ("image", "label"), ("image",)
    turn, scale = (0.5236,) * 3, (-0.3, 0.4)
    modes = ("bilinear", "nearest")
    return [
        mt.RandAffined(both, prob=0.2, rotate_range=turn, mode=modes, padding_mode="zeros"),
        mt.RandAffined(both, prob=0.2, scale_range=(scale,) * 3, mode=modes, padding_mode="zeros"),
        mt.RandGaussianNoised(image, 0.1, std=0.3),
        mt.RandGaussianSmoothd(image, (0.5, 1.0), (0.5, 1.0), (0.5, 1.0), prob=0.2),
        mt.RandScaleIntensityd(image, 0.25, 0.15),
        mt.RandScaleIntensityFixedMeand(image, prob=0.15, factors=0.25, preserve_range=True),
        mt.RandSimulateLowResolutiond(image, 0.25, zoom_range=(0.5, 1.0)),
        mt.RandAdjustContrastd(image, 0.1, (0.7, 1.5), invert_image=True, retain_stats=True),
        mt.RandAdjustContrastd(image, 0.3, (0.7, 1.5), retain_stats=True),
        *(mt.RandFlipd(both, 0.5, axis) for axis in how.mirror_axes),
    ]


def endless(batches: "DataLoader[Any]") -> Iterator[Any]:
    while True:
        yield from batches


if __name__ == "__main__":
    main()
