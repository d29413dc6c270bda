"""Logits by OpenVINO, on the CPU: several times faster there than by PyTorch."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.backend import FullMap
from napari_apprentice.learn.network import Network

TELEMETRY = "openvino_telemetry"


class OpenVinoBackend:
    """A network compiled for this processor, one window at a time.

    Parameters
    ----------
    half
        Compute in bf16 where the processor does.

    Raises
    ------
    ModelError
        OpenVINO cannot read the network.
    """

    batch = 1

    def __init__(self, network: Network, plan: Plan, *, half: bool) -> None:
        ov = openvino()
        example = torch.zeros(1, len(plan.normalisation), *plan.patch)
        with warnings.catch_warnings():
            # torch points at torch.export; OpenVINO reads what it gives too, but the network's blocks do not export
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(FullMap(network.cpu()).eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        try:
            with _absent(TELEMETRY):
                model = ov.convert_model(traced, example_input=example, input=[tuple(example.shape)])
        except Exception as error:  # OpenVINO has no exception of its own
            raise ModelError(f"OpenVINO cannot read this network ({error}). Choose torch as the backend.") from error
        core = ov.Core()
        self._half = half and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self._half:
            # twice as fine as what it was computed in, and half the memory, which counts with many labels
            narrow = ov.preprocess.PrePostProcessor(model)
            narrow.output().tensor().set_element_type(ov.Type.f16)
            model = narrow.build()
        compiled = core.compile_model(model, "CPU", self._properties())
        self._request = compiled.create_infer_request()

    @property
    def name(self) -> str:
        """As it is recorded."""
        return "openvino bf16" if self._half else "openvino fp32"

    def run(self, patches: torch.Tensor) -> torch.Tensor:
        """(1, 1 + labels, z, y, x) logits of one window, float32 or float16; overwritten by the next call."""
        found = self._request.infer({0: patches.contiguous().numpy()}, share_inputs=True, share_outputs=True)
        return torch.from_numpy(found[0])

    def _properties(self) -> dict[str, Any]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self._half else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # threads tied to cores would stand in the way of the window
            "ENABLE_CPU_PINNING": False,
        }


def openvino() -> Any:
    """The library, without the part of it that reports its use over the internet.

    Importing OpenVINO sends a message through the package openvino_telemetry where that is installed, and
    has a silent stand-in where it is not. So for us it is not.
    """
    with _absent(TELEMETRY):
        import openvino as ov  # type: ignore[import-untyped]  # noqa: PLC0415 - optional, slow to import
    return ov


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Let a package look as if it were not installed."""
    there = sys.modules.get(name, ...)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if there is ...:
            del sys.modules[name]
        else:
            sys.modules[name] = there
