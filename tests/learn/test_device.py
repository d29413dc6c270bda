"""Which device computes, in which numbers, what of its memory is free, what its faults are called; without a GPU."""

from contextlib import nullcontext

import pytest
import torch

from napari_apprentice.errors import GpuLostError, InputError, OutOfMemoryError
from napari_apprentice.learn import device
from napari_apprentice.learn.device import (
    autocast,
    choose_device,
    free_bytes,
    free_share,
    gpu_errors,
    memory_errors,
    needs_scaler,
    training_autocast,
)

FULL = (
    "CUDA error: out of memory",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "GET was unable to find an engine to execute this computation",  # of a convolution: no way of it found room
    "MPS backend out of memory (MPS allocated: 9.00 GB)",
)


@pytest.mark.parametrize("text", FULL)
def test_a_full_gpu_is_told_whichever_library_finds_it_full(text):
    with pytest.raises(OutOfMemoryError, match="The GPU has too little free memory"), memory_errors():
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match=r"CUDA|cuDNN|engine|MPS"), gpu_errors():  # not lost
        raise RuntimeError(text)


@pytest.mark.parametrize("text", ["CUDA error: unknown error", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"])
def test_a_lost_gpu_is_no_want_of_memory_and_no_fault_of_the_case(text):
    with pytest.raises(GpuLostError, match="The GPU failed"), gpu_errors(), memory_errors():
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="shapes"), gpu_errors():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def pretend(monkeypatch, code, capability):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: code)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "GTX 1080")


@pytest.mark.parametrize(
    ("code", "capability"), [(["sm_75", "sm_90a", "compute_90"], (6, 1)), (["sm_80", "sm_90"], (12, 0))]
)
def test_a_gpu_that_pytorch_has_no_code_for_is_left_alone(monkeypatch, code, capability):
    pretend(monkeypatch, code, capability)
    assert choose_device("auto").type != "cuda"
    with pytest.raises(InputError, match=r"no code for the GTX 1080.*Choose auto or cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("code", "capability"),
    [(["sm_80"], (8, 6)), (["sm_75", "compute_90"], (12, 0)), (["sm_90a"], (9, 0)), (["gfx942"], (9, 4)), ([], (7, 0))],
)
def test_a_gpu_that_pytorch_has_code_for_is_taken(monkeypatch, code, capability):
    pretend(monkeypatch, code, capability)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda")


def test_what_pytorch_keeps_of_earlier_work_is_free_for_the_next(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1_000, 8_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 5_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 2_000)
    assert free_bytes(torch.device("cuda")) == 4_000
    assert free_share(torch.device("cuda")) == 0.5


@pytest.mark.parametrize(
    ("capability", "name", "kind"),
    [
        ((9, 0), "NVIDIA H200", "bf16"), ((8, 6), "NVIDIA GeForce RTX 3060", "bf16"),
        ((7, 0), "Tesla V100-SXM2", "fp16"), ((7, 5), "Tesla T4", "fp16"), ((7, 5), "Quadro RTX 4000", "fp16"),
        ((7, 5), "NVIDIA GeForce GTX 1660 SUPER", "fp32"), ((7, 5), "NVIDIA T400 4GB", "fp32"),
        ((6, 1), "NVIDIA GeForce GTX 1080", "fp32"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_half_precision_is_for_gpus_that_are_quicker_with_it_and_right(monkeypatch, capability, name, kind):
    """GTX 16xx compute NaN in fp16."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: name)
    gpu = torch.device("cuda")
    assert needs_scaler(gpu) == (kind == "fp16")
    assert isinstance(autocast(gpu), torch.autocast) == (kind != "fp32")


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize(
    ("patch", "sound"),
    [
        *(
            ((n, y, x), False)
            for n, y, x in ((1, 112, 80), (7, 112, 112), (112, 7, 112), (8, 288, 288), (16, 384, 384))
        ),
        *(((n, y, x), True) for n, y, x in ((1, 64, 64), (40, 56, 40), (20, 128, 128))),
    ],
)
def test_patches_whose_gradient_amx_computes_wrongly_are_trained_in_float32(monkeypatch, patch, sound, amx):
    """Each of those that are not sound crashed PyTorch 2.13 on such a processor, or gave NaN."""
    monkeypatch.setattr(device, "_cpu_has_bf16", lambda: True)
    monkeypatch.setattr(device, "_cpu_has_amx", lambda: amx)
    assert isinstance(training_autocast(torch.device("cpu"), patch), nullcontext) == (amx and not sound)
