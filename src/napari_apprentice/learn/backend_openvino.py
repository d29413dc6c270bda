"""Windows by OpenVINO, on the CPU: several times faster there than by PyTorch."""

import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.machine import memory
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.network import Network
from napari_apprentice.learn.openvino_form import fast_in_bf16
from napari_apprentice.learn.readout import Readout

TELEMETRY = "openvino_telemetry"
MEMORY_SHARE = 0.1  # of what is free, for what windows under way give
BYTES = 4
LANES = 2  # what one gave is added up while the other is computed


class OpenVinoBackend:
    """A network compiled for this processor: windows side by side, each on one thread.

    Several threads on one window add up in another order than one does, and a window's last bits would depend
    on how many cores there are. On one thread each they do not, and take no more time.

    Parameters
    ----------
    half
        Compute in bf16 where the processor does.

    Raises
    ------
    ModelError
        OpenVINO cannot read the network.
    """

    def __init__(self, network: Network, plan: Plan, *, half: bool) -> None:
        ov = openvino()
        readout = Readout(plan, network)
        channels = len(plan.normalisation)
        example = torch.zeros(1, channels, *network.least_patch(plan))  # a whole patch takes seconds on a busy machine
        asked = readout.module(network.cpu()).eval()
        core = ov.Core()
        self._half = half and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        operations = fast_in_bf16(asked) if self._half else nullcontext()
        try:
            with _absent(TELEMETRY), warnings.catch_warnings(), operations:
                # torch points at torch.export; OpenVINO reads what it gives too, but the network's blocks do not export
                warnings.simplefilter("ignore")
                traced = torch.jit.trace(asked, example, check_trace=False)  # type: ignore[no-untyped-call]
                model = ov.convert_model(traced, example_input=example, input=[(1, channels, *plan.patch)])
        except Exception as error:  # OpenVINO has no exception of its own, and a network may do what no trace can hold
            raise ModelError(f"OpenVINO cannot read this network ({error}). Choose torch as the backend.") from error
        if self._half:
            # twice as fine as what it was computed in, and half the memory, which counts with many labels
            narrow = ov.preprocess.PrePostProcessor(model)
            narrow.output().tensor().set_element_type(ov.Type.f16)
            model = narrow.build()
        shape = (readout.width, *plan.patch)
        self.batch = _side_by_side(math.prod(shape))
        compiled = core.compile_model(model, "CPU", self._properties())
        kind = model.output().get_element_type().to_dtype()
        self._lanes = [Lane(ov, compiled, np.empty((self.batch, *shape), kind)) for _ in range(LANES)]

    @property
    def name(self) -> str:
        """As it is recorded."""
        return "openvino bf16" if self._half else "openvino fp32"

    def run(self, patches: torch.Tensor) -> torch.Tensor:
        """(b, maps, z, y, x), float32 or float16; overwritten by the next call. See `Readout`."""
        self.ahead(patches)
        return next(lane for lane in self._lanes if lane.holds(patches)).finish()

    def ahead(self, patches: torch.Tensor) -> None:
        """Begin windows that `run` is going to be asked about."""
        if any(lane.holds(patches) for lane in self._lanes):
            return
        free = [lane for lane in self._lanes if not lane.busy]
        if not free:  # nobody came for what is under way
            self.stop()
            free = self._lanes
        free[0].start(patches)

    def stop(self) -> None:
        """Whatever is under way is not wanted."""
        for lane in self._lanes:
            lane.stop()

    def _properties(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": "bf16" if self._half else "f32",
            "NUM_STREAMS": self.batch,
            "INFERENCE_NUM_THREADS": self.batch,
            # threads tied to cores would stand in the way of the window
            "ENABLE_CPU_PINNING": False,
        }


class Lane:
    """Windows under way side by side, and room for what they give.

    Parameters
    ----------
    maps
        (b, maps, z, y, x), to be filled.
    """

    def __init__(self, ov: Any, compiled: Any, maps: NDArray[Any]) -> None:
        self._maps, self._asked = maps, torch.empty(0)
        self._requests = [compiled.create_infer_request() for _ in maps]
        for request, place in zip(self._requests, np.split(maps, len(maps)), strict=True):
            request.set_output_tensor(ov.Tensor(place, shared_memory=True))

    @property
    def busy(self) -> bool:
        """Whether windows are under way that nobody has come for yet."""
        return len(self._asked) > 0

    def holds(self, patches: torch.Tensor) -> bool:
        """Whether just these are under way. They are kept until then, so no others can lie in their place."""
        return self.busy and self._asked.data_ptr() == patches.data_ptr() and self._asked.shape == patches.shape

    def start(self, patches: torch.Tensor) -> None:
        """Begin (b, c, z, y, x) patches, which are not changed until they are finished."""
        self._asked = patches
        with self._all_or_none():
            self._windows = patches.contiguous().numpy()  # not copied by OpenVINO
            for request, window in zip(self._requests, np.split(self._windows, len(patches)), strict=False):
                request.start_async({0: window}, share_inputs=True)

    def finish(self) -> torch.Tensor:
        """Wait for them; (b, maps, z, y, x)."""
        count = len(self._asked)
        with self._all_or_none():
            for request in self._requests[:count]:
                request.wait()
        self._asked = torch.empty(0)
        return torch.from_numpy(self._maps[:count])

    def stop(self) -> None:
        """End them, at their next layer."""
        under_way, self._asked = self._requests[: len(self._asked)], torch.empty(0)
        for request in under_way:
            request.cancel()
        for request in under_way:
            with suppress(RuntimeError, MemoryError):  # that it was cancelled, or again what went wrong
                request.wait()

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Whoever asks again after one of them went wrong begins anew: the maps may hold other windows' values."""
        try:
            yield
        except BaseException:
            self.stop()
            raise


def _side_by_side(numbers: int) -> int:
    """How many windows of so many numbers there is room for: at most one per thread."""
    room = memory().free * MEMORY_SHARE / (LANES * BYTES * numbers)
    return max(1, min(torch.get_num_threads(), int(room)))


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
