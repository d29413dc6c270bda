"""Where to compute, and in which number type."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from numpy.typing import NDArray

from napari_apprentice.errors import GpuLostError, InputError, OutOfMemoryError

# In small letters. Where no way of computing a convolution finds room, PyTorch says that there is none at all.
_NO_MEMORY = (
    "out of memory", "can't allocate memory", "bad_alloc", "bad allocation", "allocation_failed", "status_alloc_failed",
    "status_not_initialized",  # of cuBLAS and cuDNN, which take memory of their own as they begin
    "unable to find an engine to execute this computation",
)  # fmt: skip
_OF_A_GPU = ("cuda", "cudnn", "cublas", "engine", "mps", "hip")


def choose_device(text: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device that is there and that PyTorch has code for.

    Raises
    ------
    InputError
        The device asked for is unknown or not available here.
    """
    if text == "auto":
        return torch.device("cuda" if not _why_no_cuda() else "mps" if _has_mps() else "cpu")
    if text == "cpu":
        return torch.device("cpu")
    if text == "cuda":
        why = _why_no_cuda()
        if why:
            raise InputError(f"{why} Choose auto or cpu as the device.")
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

    bf16 on CUDA from compute capability 8 and on CPUs that compute in it, fp16 on older CUDA with tensor
    cores (train with `needs_scaler`), else fp32.
    """
    kind = _half_type(device)
    return nullcontext() if kind is None else torch.autocast(device.type, dtype=kind)


def training_autocast(device: torch.device, patch: Sequence[int]) -> AbstractContextManager[object]:
    """As `autocast`, but fp32 for patches of which a CPU with AMX does not compute the gradient soundly in bf16.

    oneDNN (3.x, in PyTorch up to 2.13 at least) writes past its memory in the bf16 gradient of a 3D convolution's
    weights where the maps are thin and wide: the process crashes, hangs, or goes on with wrong numbers. Tried with
    one thread: 1 x 112 x 80, 7 x 112 x 112, 8 x 288 x 288 and 16 x 384 x 384 go wrong, 1 x 64 x 128, 8 x 224 x 224
    and 16 x 288 x 288 do not. The limits leave room below these, also for the maps of the lower levels, and hold
    for any axis, since networks from elsewhere may turn the patch.

    Parameters
    ----------
    patch
        Sizes of a patch along z, y, x.
    """
    thickness = min(patch)
    widest = 4096 if thickness < 16 else 65536
    if device.type == "cpu" and math.prod(patch) > widest * thickness and _cpu_has_amx():
        return nullcontext()
    return autocast(device)


def needs_scaler(device: torch.device) -> bool:
    """True where autocast computes in fp16, whose gradients vanish without loss scaling."""
    return _half_type(device) is torch.float16


def _half_type(device: torch.device) -> torch.dtype | None:
    if device.type == "cpu" and _cpu_has_bf16():
        # 2 cores of an EPYC with AVX512-BF16, DynUNet of 8 to 16 features, two patches of 32x64x64 or
        # 40x56x40: a training step takes 0.12-0.21 s instead of 0.22-0.41 s, inference 0.03-0.05 s
        # instead of 0.05-0.09 s (1.7 to 2.1 times faster).
        return torch.bfloat16
    if device.type != "cuda":
        return None
    major, minor = torch.cuda.get_device_capability(device)
    if major >= 8:
        return torch.bfloat16
    return torch.float16 if _has_tensor_cores(major, minor, torch.cuda.get_device_name(device)) else None


def _has_tensor_cores(major: int, minor: int, name: str) -> bool:
    """Of a GPU from before bf16. Without them fp16 does not pay, and cuDNN's gives NaN (pytorch/pytorch#58123).

    Those of generation 7.5 without (GTX 16xx, MX450, T400 to T1200) can be told from the others by their names only.
    """
    return (major, minor) in ((7, 0), (7, 2)) or ((major, minor) == (7, 5) and bool(re.search(r"RTX|\bT4G?\b", name)))


def free_bytes(device: torch.device) -> int | None:
    """Memory of a CUDA device that this process can have; None elsewhere."""
    return _memory(device)[0] if device.type == "cuda" else None


def sent(values: NDArray[Any] | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Numbers of the host on a device; to a CUDA device they travel from pinned memory, while this process goes on.

    A copy that is not waited for is safe from pinned memory alone: elsewhere what is copied may be gone before.
    Without it even a handful of numbers makes this process wait for all that the device was asked for before.
    """
    tensor = values if isinstance(values, torch.Tensor) else torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def free_share(device: torch.device) -> float | None:
    """Share of a CUDA device's memory that is free; None elsewhere."""
    if device.type != "cuda":
        return None
    free, total = _memory(device)
    return free / total


def _memory(device: torch.device) -> tuple[int, int]:
    """Bytes that are free and that there are; what PyTorch keeps of an earlier prediction or step is free for it."""
    free, total = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept), int(total)


def _cpu_has_bf16() -> bool:
    """Emulated bf16 is slower than fp32, so only where the instructions are there."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not public, and not in every release
    return bool(probe()) if probe is not None else False


def _cpu_has_amx() -> bool:
    """Also where PyTorch does not say."""
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)  # not public, and not in every release
    return bool(probe()) if probe is not None else True


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _why_no_cuda() -> str:
    """Why no CUDA device can be used, in a sentence; "" where one can."""
    if not torch.cuda.is_available():
        if torch.version.cuda is None:
            return "The installed PyTorch computes on the CPU only; https://pytorch.org has those for a GPU."
        return "PyTorch finds no CUDA GPU here: there is none, or its driver is missing or too old for this PyTorch."
    major, minor = torch.cuda.get_device_capability()
    if _has_code(torch.cuda.get_arch_list(), major, minor):
        return ""
    return (
        f"The installed PyTorch has no code for the {torch.cuda.get_device_name()} (compute capability "
        f"{major}.{minor}): https://pytorch.org has other versions, which may have it."
    )


def _has_code(kinds: list[str], major: int, minor: int) -> bool:
    """Whether code of some kinds ("sm_86", "compute_120") runs on a GPU; what is called otherwise (ROCm) is trusted.

    Compiled code runs on its own generation from its number on, and what is compiled when it is loaded on all later
    ones too.
    """
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", kind) for kind in kinds]
    known = [(m[1], int(m[2]), int(m[3])) for m in found if m]
    return len(known) < len(kinds) or not kinds or any(
        (at, after) <= (major, minor) and (at == major or how == "compute") for how, at, after in known
    )  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a device or here; cuDNN, torch and OpenVINO say so in RuntimeErrors."""
    text = str(error).lower()
    told = any(words in text for words in _NO_MEMORY)
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and told)


def is_gpu_lost(error: BaseException) -> bool:
    """Whether a GPU fails this process, which then gets nothing from it any more: a driver that fell over, sleep."""
    text = str(error)
    told = any(words in text for words in ("CUDA error", "HIP error", "CUDNN_STATUS", "CUBLAS_STATUS"))
    return isinstance(error, RuntimeError) and told and not is_out_of_memory(error)


@contextmanager
def gpu_errors() -> Iterator[None]:
    """Say that it is the GPU that failed, not what it was asked for.

    Raises
    ------
    GpuLostError
        A GPU failed.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_gpu_lost(error):
            raise
        raise GpuLostError(f"The GPU failed ({str(error).splitlines()[0]}).") from error


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
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        text = str(error).lower()
        if isinstance(error, torch.cuda.OutOfMemoryError) or any(words in text for words in _OF_A_GPU):
            raise OutOfMemoryError(
                "The GPU has too little free memory. Close other programs that use it, or choose cpu as the device."
            ) from error
        raise OutOfMemoryError(
            "There is too little free memory for this scan and model. Close other programs and try again."
        ) from error
