"""From a scan to a proposal: sliding windows, back onto the scan's own grid, slab by slab."""

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import ArraySource, Focus, PredictionSummary, VoxelSource, unseen
from napari_apprentice.errors import ModelError
from napari_apprentice.learn import weights as weight_files
from napari_apprentice.learn.backend import Backend, library
from napari_apprentice.learn.backend_openvino import OpenVinoBackend
from napari_apprentice.learn.backend_torch import TorchBackend
from napari_apprentice.learn.device import describe, memory_errors
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.sweep import Models
from napari_apprentice.learn.under_way import Asker, Cancel, PredictionUnderWay, Report
from napari_apprentice.learn.voting import Voters


class Predictor:
    """A model version, or several that vote, ready to propose label maps.

    Parameters
    ----------
    plan, weights
        As registered; the weights are a safetensors file.
    device
        Where to compute.
    temperature
        What the model version's logits are divided by before the softmax.

    Raises
    ------
    ModelError
        The weights are missing, damaged or of another network.
    """

    def __init__(self, plan: Plan, weights: Path, device: torch.device, temperature: float = 1.0) -> None:
        module = build(plan)
        weight_files.load(module, weights)
        self._adopt(plan, (module,), (temperature,), device, changing=False)

    @classmethod
    def of(cls, plan: Plan, module: Network, device: torch.device) -> Self:
        """A predictor around a network in memory, which it puts into evaluation mode; its weights may change."""
        predictor = cls.__new__(cls)
        predictor._adopt(plan, (module,), (1.0,), device, changing=True)
        return predictor

    @classmethod
    def together(cls, predictors: Sequence[Self]) -> Self:
        """An ensemble: the mean of what several model versions or folds find probable.

        Raises
        ------
        ModelError
            They see scans in different ways, so that their votes cannot be compared voxel by voxel.
        """
        plan, device = predictors[0]._plan, predictors[0]._device
        for other in predictors[1:]:
            if replace(other._plan, mirror_axes=plan.mirror_axes, batch=plan.batch) != plan:
                raise ModelError(
                    "These model versions cannot vote together: they differ in labels, voxel size, patch or "
                    "normalisation. Choose versions that were tuned from the same one."
                )
        axes = set(plan.mirror_axes).intersection(*(p._plan.mirror_axes for p in predictors))
        merged = cls.__new__(cls)
        modules = tuple(m for p in predictors for m in p._modules)
        temperatures = tuple(t for p in predictors for t in p._models.temperatures)
        legal = replace(plan, mirror_axes=tuple(sorted(axes)))
        merged._adopt(legal, modules, temperatures, device, changing=any(p._changing for p in predictors))
        return merged

    def _adopt(
        self, plan: Plan, modules: tuple[Network, ...], temperatures: tuple[float, ...], device: torch.device,
        *, changing: bool,
    ) -> None:  # fmt: skip
        self._plan, self._device, self._changing = plan, device, changing
        self._modules = tuple(m.to(device).eval() for m in modules)
        self._models = Models(plan, temperatures)
        self.spilled = 0  # bytes the newest prediction had to put on disk
        self._backends: dict[tuple[str, str, bool], tuple[Backend, ...]] = {}

    @property
    def labels(self) -> tuple[int, ...]:
        """The label ids it can propose, background left out."""
        return self._plan.labels

    @property
    def label_type(self) -> np.dtype[Any]:
        """The number type of its label maps: uint8, or uint16 where an id is above 255."""
        return np.dtype(np.uint8 if max(self.labels, default=0) < 256 else np.uint16)

    def warm(self, settings: PredictSettings) -> None:
        """Do beforehand what the first window would have to wait for."""
        voters = self._voters(settings)
        voters.run(torch.zeros(1, len(self._plan.normalisation), *self._plan.patch, device=self._device))

    def backend_name(self, settings: PredictSettings) -> str:
        """What would compute: library and number type."""
        return self._voters(settings).name

    def predict(
        self, source: VoxelSource, settings: PredictSettings, cancelled: Cancel, focus: Focus = unseen,
        least: NDArray[np.float32] | None = None,
    ) -> Generator[Report, None, PredictionSummary]:  # fmt: skip
        """Propose a label map for one scan, slab by slab.

        The result does not depend on `focus`, which is asked before every row of windows and every slab:
        sums of logits are exact, so their order is of no consequence.

        Parameters
        ----------
        source
            The scan; read when it is needed, in slabs.
        cancelled
            Asked before every batch of windows and while slabs are made.
        focus
            The slice to finish first, and from which on outwards.
        least
            (1 + labels,) probability below which a label gives a voxel it wins to background; see
            `core.postprocess_steps.least_probability`.

        Yields
        ------
        Progress in windows, and the slabs of the prediction as they are finished.

        Raises
        ------
        ModelError
            The scan has another number of channels than the model.
        Cancelled
            `cancelled` said so.
        RunError
            There is too little memory.
        """
        began = time.monotonic()
        with memory_errors():
            voters = self._voters(settings)
        work = PredictionUnderWay(self._models, voters, source, settings, self._device, Asker(cancelled), focus, least)
        try:
            yield from work.run()
        finally:
            self.spilled = work.close()
        return PredictionSummary(
            work.quality(), time.monotonic() - began, describe(self._device), voters.name, self._models.temperatures[0]
        )

    def predict_array(
        self,
        voxels: NDArray[Any],
        spacing: tuple[float, float, float],
        settings: PredictSettings,
        cancelled: Cancel,
    ) -> Generator[Progress, None, Prediction]:
        """`predict` for a scan in memory, given back whole.

        Parameters
        ----------
        voxels
            (c, z, y, x), the scan's own number type and grid.
        spacing
            Millimetres along (z, y, x).

        Yields
        ------
        Progress in windows.

        Returns
        -------
        Labels and uncertainty on the scan's own grid.
        """
        labels = np.zeros(voxels.shape[1:], dtype=self.label_type)
        uncertainty = np.zeros(voxels.shape[1:], dtype=np.uint8)
        work = self.predict(ArraySource(voxels, spacing), settings, cancelled)
        while True:
            try:
                report = next(work)
            except StopIteration as end:
                summary: PredictionSummary = end.value
                return Prediction(labels, uncertainty, summary.quality, summary.seconds, summary.device)
            if isinstance(report, Progress):
                yield report
            else:
                labels[report.start : report.stop] = report.labels
                uncertainty[report.start : report.stop] = report.uncertainty

    def _voters(self, settings: PredictSettings) -> Voters:
        name = library(settings, self._device, changing=self._changing)
        key = (settings.backend, name, settings.half)
        if key not in self._backends:
            try:
                backends = tuple(self._backend(name, module, half=settings.half) for module in self._modules)
            except ModelError:
                if settings.backend != "auto":
                    raise
                # a network from elsewhere that OpenVINO does not know (a SwinUNETR of uneven windows): torch does
                backends = tuple(self._backend("torch", module, half=settings.half) for module in self._modules)
            self._backends[key] = backends
        return Voters(self._backends[key], self._plan.mirror_axes if settings.mirrored else ())

    def _backend(self, name: str, module: Network, *, half: bool) -> Backend:
        if name == "openvino":
            return OpenVinoBackend(module, self._plan, half=half)
        return TorchBackend(module, self._plan, self._device, half=half)
