"""One network that predicts, alone or with others, and what computes it."""

from collections.abc import Container

import torch

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.backend import Backend, library
from napari_apprentice.learn.backend_openvino import OpenVinoBackend
from napari_apprentice.learn.backend_torch import TorchBackend
from napari_apprentice.learn.network import Network
from napari_apprentice.learn.readout import Readout


class Member:
    """A network in evaluation mode on a device; what was compiled for it is kept.

    Parameters
    ----------
    temperature
        What its logits are divided by before the softmax.
    changing
        Its weights are still being trained.
    labels
        Those of the plan's labels that it may propose; None for all.
    """

    def __init__(
        self, plan: Plan, module: Network, device: torch.device, temperature: float = 1.0, *, changing: bool = False,
        labels: Container[int] | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.device, self.temperature = plan, device, temperature
        self.module = module.to(device).eval()
        self.readout = Readout(plan, self.module, labels)
        self._changing = changing
        self._backends: dict[tuple[str, str, bool], Backend] = {}

    def backend(self, settings: PredictSettings) -> Backend:
        """What computes it with these settings.

        Raises
        ------
        InputError
            What was asked for is not here.
        ModelError
            OpenVINO was asked for, and cannot read the network.
        """
        name = library(settings, self.device, changing=self._changing)
        key = (settings.backend, name, settings.half)
        if key not in self._backends:
            self._backends[key] = self._made(name, settings)
        return self._backends[key]

    def _made(self, name: str, settings: PredictSettings) -> Backend:
        if name == "openvino":
            try:
                return OpenVinoBackend(self.module, self.plan, half=settings.half)
            except ModelError:
                if settings.backend != "auto":
                    raise
        # also a network from elsewhere that OpenVINO does not know (a SwinUNETR of uneven windows)
        return TorchBackend(self.module, self.plan, self.device, half=settings.half)
