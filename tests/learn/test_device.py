"""Which device computes, what of its memory is free, and what its faults are called; without a GPU."""

import pytest
import torch

from napari_apprentice.errors import OutOfMemoryError
from napari_apprentice.learn.device import free_bytes, free_share, memory_errors

FULL = (
    "CUDA error: out of memory",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "GET was unable to find an engine to execute this computation",  # of a convolution: no way of it found room
    "MPS backend out of memory (MPS allocated: 9.00 GB)",
)


@pytest.mark.parametrize("text", FULL)
def test_a_full_gpu_is_told_whichever_library_finds_it_full(text):
    with pytest.raises(OutOfMemoryError, match="The GPU has too little free memory"), memory_errors():
        raise RuntimeError(text)


def test_what_pytorch_keeps_of_earlier_work_is_free_for_the_next(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1_000, 8_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 5_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 2_000)
    assert free_bytes(torch.device("cuda")) == 4_000
    assert free_share(torch.device("cuda")) == 0.5
