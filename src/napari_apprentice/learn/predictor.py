"""From a scan to a proposal: sliding windows, back onto the scan's own grid, slab by slab."""

import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.ensemble import unlike
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import ArraySource, Focus, PredictionSummary, VoxelSource, unseen
from napari_apprentice.errors import ModelError
from napari_apprentice.learn import weights as weight_files
from napari_apprentice.learn.device import describe, memory_errors
from napari_apprentice.learn.member import Member
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.on_disk import Veil
from napari_apprentice.learn.scaled import ScaledScan
from napari_apprentice.learn.sweep import Models
from napari_apprentice.learn.under_way import Cancel, PredictionUnderWay, Report
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
    labels
        Label ids that the study still has; others of the model's are not proposed, as if they had been cut off.
        None for all of the model's.
    veil
        What hides sums that memory has no room for, in their temporary file; None where they may lie there as they are.

    Raises
    ------
    ModelError
        The weights are missing, damaged or of another network.
    """

    def __init__(
        self, plan: Plan, weights: Path, device: torch.device, temperature: float = 1.0,
        labels: Collection[int] | None = None, veil: Veil | None = None,
    ) -> None:  # fmt: skip
        shown = plan if labels is None else plan.only(labels)
        module = build(plan)
        weight_files.load(module, weights)
        self._adopt(shown, (Member(plan, module, device, temperature, labels=shown.labels),), veil)

    @classmethod
    def of(cls, plan: Plan, module: Network, device: torch.device, veil: Veil | None = None) -> Self:
        """A predictor around a network in memory, which it puts into evaluation mode; its weights may change."""
        predictor = cls.__new__(cls)
        predictor._adopt(plan, (Member(plan, module, device, changing=True),), veil)
        return predictor

    @classmethod
    def together(cls, predictors: Sequence[Self]) -> Self:
        """An ensemble: the mean of what several model versions or folds find probable; the first one leads.

        It shares their networks and what was compiled for them.

        Raises
        ------
        ModelError
            They see scans in different ways, so that their votes cannot be compared voxel by voxel.
        """
        first = predictors[0]
        if len(predictors) == 1:
            return first
        for other in predictors[1:]:
            differs = unlike(first._plan, other._plan)
            if differs:
                raise ModelError(f"These model versions cannot predict together: they differ in {differs}.")
        axes = set(first._plan.mirror_axes).intersection(*(p._plan.mirror_axes for p in predictors))
        merged = cls.__new__(cls)
        merged._adopt(
            replace(first._plan, mirror_axes=tuple(sorted(axes))),
            tuple(m for p in predictors for m in p._members),
            first._veil,
        )
        return merged

    def _adopt(self, plan: Plan, members: tuple[Member, ...], veil: Veil | None) -> None:
        self._veil = veil
        self._plan, self._members, self._device = plan, members, members[0].device
        self._models = Models(plan, tuple(m.readout for m in members), tuple(m.temperature for m in members))
        self.spilled = 0  # bytes the newest prediction had to put on disk

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

    def begin(self, source: VoxelSource, settings: PredictSettings) -> PredictionUnderWay:
        """A prediction that can be worked on ahead, and is handed to `predict` in place of the scan.

        Nothing is read or computed yet. Whoever does not hand it on closes it.

        Raises
        ------
        ModelError
            The scan has another number of channels than the model.
        RunError
            There is too little memory.
        """
        with memory_errors():
            voters = self._voters(settings)
        scan = ScaledScan(source, self._plan, self._device)
        return PredictionUnderWay(self._models, voters, scan, settings, self._device, self._veil)

    def backend_name(self, settings: PredictSettings) -> str:
        """What would compute: library and number type."""
        return self._voters(settings).name

    def predict(
        self, source: VoxelSource | PredictionUnderWay, settings: PredictSettings, cancelled: Cancel,
        focus: Focus = unseen, least: NDArray[np.float32] | None = None,
    ) -> Generator[Report, None, PredictionSummary]:  # fmt: skip
        """Propose a label map for one scan, slab by slab.

        The result does not depend on `focus`, which is asked before every row of windows and every slab:
        sums over windows are exact, so their order is of no consequence.

        Parameters
        ----------
        source
            The scan, read when it is needed, in slabs; or what `begin` has made of it with the same settings.
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
        work = source if isinstance(source, PredictionUnderWay) else self.begin(source, settings)
        try:
            yield from work.run(cancelled, focus, least)
        finally:
            self.spilled = work.close()
        return PredictionSummary(
            work.quality(), time.monotonic() - began, describe(self._device), work.name, self._models.temperatures[0]
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
        backends = tuple(member.backend(settings) for member in self._members)
        return Voters(backends, self._plan.mirror_axes if settings.mirrored else ())
