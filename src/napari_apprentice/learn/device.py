"""Where to compute, and in which number type."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.errors import InputError, OutOfMemoryError


def choose_device(text: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device that is there.

    Raises
    ------
    InputError
        The device asked for is unknown or not available here.
    """
    if text == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")
    if text == "cpu":
        return torch.device("cpu")
    if text == "cuda":
        if not torch.cuda.is_available():
            raise InputError(f"{_why_no_cuda()} Choose auto or cpu as the device.")
        return torch.device("cuda")
    if text == "mps":
        if not _has_mps():
            raise InputError("This computer has no Apple GPU that PyTorch can use. Choose auto or cpu.")
        return torch.device("mps")
    raise InputError(f"The device is auto, cpu, cuda or mps, not {text!r}.")


def describe(device: torch.device) -> str:
    """For a person: "CPU, 2 cores", or the GPU's name."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} core{'s' if threads > 1 else ''}"


def identity(device: torch.device) -> str:
    """Tells this device from the others of this computer, whatever a process may see of them."""
    if device.type != "cuda":
        return device.type
    facts = torch.cuda.get_device_properties(device)
    return f"cuda-{getattr(facts, 'uuid', None) or torch.cuda.current_device()}"


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """The number type that pays on this device, as a context; losses stay outside it.

    bf16 on CUDA from compute capability 8 and on CPUs that compute in it, fp16 on older CUDA (train
    with `needs_scaler`), else fp32.
    """
    if device.type == "cpu" and _cpu_has_bf16():
        # 2 cores of an EPYC with AVX512-BF16, DynUNet of 8 to 16 features, two patches of 32x64x64 or
        # 40x56x40: a training step takes 0.12-0.21 s instead of 0.22-0.41 s, inference 0.03-0.05 s
        # instead of 0.05-0.09 s (1.7 to 2.1 times faster).
        return torch.autocast("cpu", dtype=torch.bfloat16)
    if device.type != "cuda":
        return nullcontext()
    kind = torch.float16 if needs_scaler(device) else torch.bfloat16
    return torch.autocast("cuda", dtype=kind)


def needs_scaler(device: torch.device) -> bool:
    """True where autocast computes in fp16, whose gradients vanish without loss scaling."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a CUDA device; None elsewhere."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def sent(values: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    """An array on a device; to a CUDA device it travels from pinned memory, while this process goes on.

    A copy that is not waited for is safe from pinned memory alone: elsewhere what is copied may be gone before.
    """
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def free_share(device: torch.device) -> float | None:
    """Share of a CUDA device's memory that is free; None elsewhere."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return float(free / total)


def _cpu_has_bf16() -> bool:
    """Emulated bf16 is slower than fp32, so only where the instructions are there."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not public, and not in every release
    return bool(probe()) if probe is not None else False


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return "The installed PyTorch computes on the CPU only; https://pytorch.org says how to install one for a GPU."
    return "PyTorch finds no CUDA GPU here."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a device or here; torch and OpenVINO say the latter as RuntimeErrors."""
    text = str(error).lower()
    told = any(words in text for words in ("out of memory", "can't allocate memory", "bad_alloc", "bad allocation"))
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and told)


def release_memory() -> None:
    """Give back what torch keeps for later on a GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif _has_mps():
        torch.mps.empty_cache()


@contextmanager
def memory_errors() -> Iterator[None]:
    """Say in plain words that there is too little memory."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise OutOfMemoryError(
            "The GPU has too little free memory. Close other programs that use it, or choose cpu as the device."
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "There is too little free memory for this scan and model. Close other programs and try again."
        ) from error
