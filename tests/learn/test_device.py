"""Which device computes, and what of its memory is free; without a GPU."""

import torch

from napari_apprentice.learn.device import free_bytes, free_share


def test_what_pytorch_keeps_of_earlier_work_is_free_for_the_next(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1_000, 8_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 5_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 2_000)
    assert free_bytes(torch.device("cuda")) == 4_000
    assert free_share(torch.device("cuda")) == 0.5
