"""What one process of `predict.py` measures; the order comes as JSON, the last line printed is the answer."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT
from measured import peak_mb
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.slabs import Moments, PredictedSlab
from napari_apprentice.learn import weights
from napari_apprentice.learn.device import autocast, choose_device
from napari_apprentice.learn.network import build
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.readout import Asked
from napari_apprentice.learn.resample import resample_voxels, target_shape

STARTER = ROOT / "sample_data" / "starter"
Order = dict[str, Any]


class FileSource:
    """A scan in a raw file of int16, read when it is needed."""

    def __init__(self, stem: str) -> None:
        facts = json.loads(Path(f"{stem}.json").read_text())
        self.shape = (1, *facts["shape"])
        self.spacing = tuple(facts["spacing"])
        self.dtype = np.dtype(np.int16)
        self._path = Path(f"{stem}.raw")

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(1, stop - start, y, x)."""
        _, _, y, x = self.shape
        voxels = np.fromfile(self._path, dtype=self.dtype, count=(stop - start) * y * x, offset=start * y * x * 2)
        return voxels.reshape(1, stop - start, y, x)

    def moments(self) -> tuple[Moments, ...] | None:
        """Not known; the starter does not ask."""
        return None


def main() -> None:
    order: Order = json.loads(sys.argv[1])
    part = order["part"]
    if part == "memory":
        found = memory(order)
    elif part == "first":
        found = first(order)
    elif part == "share":
        found = share(order)
    else:
        found = speed(order)
    print(json.dumps({**found, "peak": peak_mb()}))


def speed(order: Order) -> dict[str, Any]:
    """The best of a few runs after a warm-up; the label map goes into a file."""
    source, device = FileSource(order["scan"]), choose_device(order["device"])
    engine: str = order["engine"]
    name, work = (with_monai if engine.startswith("monai") else with_nnunet if engine == "nnunet" else with_this)(
        source, engine, device
    )
    work()
    seconds, busy = [], []
    for _ in range(order["repeats"]):
        began, worked = time.perf_counter(), time.process_time()
        labels = work()
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - worked)
    labels.astype(np.uint8).tofile(order["out"])
    return {"seconds": min(seconds), "cpu": min(busy), "rate": labels.size / 1e6 / min(seconds), "name": name}


def settings_of(engine: str) -> PredictSettings:
    library, _, kind = engine.partition(" ")
    return PredictSettings(backend=library, half=kind != "fp32")


def predictor_for(device: torch.device) -> Predictor:
    """Of the starter model version."""
    return Predictor(starter_plan(), STARTER / "weights.safetensors", device)


def starter_plan() -> Plan:
    return Plan.from_json(json.loads((STARTER / "model.json").read_text())["plan"])


def with_this(source: FileSource, engine: str, device: torch.device) -> tuple[str, Callable[[], NDArray[Any]]]:
    """Predict as this program does; slabs are put together, as a study does on disk."""
    predictor, settings = predictor_for(device), settings_of(engine)
    predictor.warm(settings)

    def work() -> NDArray[Any]:
        labels = np.zeros(source.shape[1:], dtype=np.uint8)
        for report in predictor.predict(source, settings, lambda: False):
            if isinstance(report, PredictedSlab):
                labels[report.start : report.stop] = report.labels
        return labels

    return predictor.backend_name(settings), work


def with_monai(source: FileSource, engine: str, device: torch.device) -> tuple[str, Callable[[], NDArray[Any]]]:
    """The same, as MONAI's users write it: probabilities back on the scan's grid all at once, then the argmax."""
    plan = starter_plan()
    network = build(plan)
    weights.load(network, STARTER / "weights.safetensors")
    full = Asked(network).to(device).eval()
    inferer = SlidingWindowInferer(plan.patch, sw_batch_size=4, overlap=0.5, mode="gaussian")

    def work() -> NDArray[Any]:
        own = source.shape[1:]
        scaled = target_shape(own, source.spacing, plan.spacing)
        with torch.inference_mode():
            voxels = resample_voxels(normalise(source.read(0, own[0]), plan, device), scaled)
            with nullcontext() if engine.endswith("fp32") else autocast(device):
                logits = inferer(voxels[None], full)
            probabilities = logits.float().softmax(1)
            if scaled == own:
                return probabilities[0].argmax(0).to(torch.uint8).cpu().numpy()
            whole = torch.nn.functional.interpolate(probabilities, size=own, mode="trilinear", align_corners=False)
            return whole[0].argmax(0).to(torch.uint8).cpu().numpy()

    with nullcontext() if engine.endswith("fp32") else autocast(device):
        half = torch.is_autocast_enabled(device.type)
        kind = str(torch.get_autocast_dtype(device.type)).removeprefix("torch.")
    return f"{kind} autocast" if half else "fp32", work


def with_nnunet(source: FileSource, engine: str, device: torch.device) -> tuple[str, Callable[[], NDArray[Any]]]:  # noqa: ARG001
    """nnU-Net's sliding windows around the same network (no mirroring, as here)."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: PLC0415 - optional

    plan = starter_plan()
    network = build(plan)
    weights.load(network, STARTER / "weights.safetensors")
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, device=device, allow_tqdm=False
    )
    predictor.network = Asked(network).to(device).eval()
    predictor.allowed_mirroring_axes = None

    class Configuration:
        patch_size = plan.patch

    class Labels:
        num_segmentation_heads = 1 + len(plan.labels)

    predictor.configuration_manager, predictor.label_manager = Configuration(), Labels()

    def work() -> NDArray[Any]:
        voxels = normalise(source.read(0, source.shape[1]), plan, torch.device("cpu"))
        logits = predictor.predict_sliding_window_return_logits(voxels)
        return logits.argmax(0).to(torch.uint8).cpu().numpy()

    return f"{version('nnunetv2')} fp32" if device.type == "cpu" else version("nnunetv2"), work


def first(order: Order) -> dict[str, Any]:
    """Seconds, and processor seconds, from the request to the slab that holds the focus; the best of a few each."""
    source, predictor = FileSource(order["scan"]), predictor_for(choose_device(order["device"]))
    settings, depth = PredictSettings(), source.shape[1]
    predictor.warm(settings)
    found = {}
    for share in (0.05, 0.3, 0.5, 0.52, 0.8):
        focus = int(depth * share)
        times = [until(predictor, source, settings, focus) for _ in range(order["repeats"])]
        found[f"slice {focus}"] = [min(seconds) for seconds in zip(*times, strict=True)]
    return {"first": found, "name": predictor.backend_name(settings)}


def until(predictor: Predictor, source: FileSource, settings: PredictSettings, focus: int) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.process_time()
    work = predictor.predict(source, settings, lambda: False, lambda: focus)
    for report in work:
        if isinstance(report, PredictedSlab) and report.start <= focus < report.stop:
            seconds = time.perf_counter() - began, time.process_time() - worked
            work.close()
            return seconds
    raise RuntimeError("the slice never came")


def memory(order: Order) -> dict[str, Any]:
    """Peak memory of one prediction whose slabs go to a file at once."""
    source, starter = FileSource(order["scan"]), starter_plan()
    # what a plan for 117 labels at 1.5 mm looks like; few labels get the same, so that only they differ
    plan = Plan(
        spacing=(order["spacing"],) * 3, patch=(64, 48, 64),
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 1, 2)), kernels=((3, 3, 3),) * 5,
        features=(16, 32, 64, 128, 256), batch=2, normalisation=starter.normalisation,
        labels=tuple(range(1, order["labels"] + 1)),
    )  # fmt: skip
    torch.manual_seed(0)
    file = Path(order["out"] + ".safetensors")

    weights.save(build(plan), file)
    predictor, settings = Predictor(plan, file, choose_device(order["device"])), PredictSettings()
    began = time.perf_counter()
    work = predictor.predict(source, settings, lambda: False)
    given = 0
    with Path(order["out"] + ".slabs").open("wb") as out:
        for report in work:
            if isinstance(report, PredictedSlab):
                given += report.stop - report.start
                out.write(report.labels.tobytes() + report.uncertainty.tobytes())
    seconds = time.perf_counter() - began
    if given != source.shape[1]:
        raise RuntimeError("slices are missing")
    return {
        "seconds": seconds, "rate": np.prod(source.shape) / 1e6 / seconds,
        "name": predictor.backend_name(settings), "spilled": predictor.spilled,
    }  # fmt: skip


def share(order: Order) -> dict[str, Any]:
    """On a GPU: how much of the time its kernels run, and how near convolutions come to their best rate."""
    device = choose_device(order["device"])
    source, settings, predictor = FileSource(order["scan"]), settings_of(order["engine"]), predictor_for(device)
    predictor.warm(settings)
    whole_pass(predictor, source, settings)
    flops = convolution_flops(predictor, source, settings)
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        began = time.perf_counter()
        whole_pass(predictor, source, settings)
        torch.cuda.synchronize()
        wall = time.perf_counter() - began
    # kernels alone: operators of the CPU have the times of their kernels too, and copies run beside kernels
    kernels = [e for e in profiler.key_averages() if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(e.self_device_time_total for e in kernels if not e.key.startswith(("Memcpy", "Memset"))) / 1e6
    return {"busy": busy / wall, "share": flops / wall / convolution_rate(device)}


def whole_pass(predictor: Predictor, source: FileSource, settings: PredictSettings) -> None:
    """One prediction whose slabs nobody keeps."""
    for _ in predictor.predict(source, settings, lambda: False):
        pass


def convolution_flops(predictor: Predictor, source: FileSource, settings: PredictSettings) -> int:
    """Floating-point operations of all convolutions of one prediction; the profiler knows none in 3D."""
    with FlopCounterMode(display=False) as counter:
        whole_pass(predictor, source, settings)
    return sum(n for operator, n in counter.get_flop_counts()["Global"].items() if "conv" in str(operator))


def convolution_rate(device: torch.device) -> float:
    """Floating-point operations per second of a 3x3x3 bf16 convolution that suits the device."""
    voxels = torch.randn(4, 128, 64, 64, 64, device=device, dtype=torch.bfloat16)
    kernel = torch.randn(128, 128, 3, 3, 3, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(10):
        torch.cuda.synchronize()
        began = time.perf_counter()
        torch.nn.functional.conv3d(voxels, kernel, padding=1)
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * voxels.numel() * 128 * 27 / best


if __name__ == "__main__":
    main()
