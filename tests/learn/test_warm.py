import torch

from napari_apprentice.core.machine import Memory
from napari_apprentice.learn import warm
from napari_apprentice.learn.warm import WarmNetworks, has_room

CPU = torch.device("cpu")


class Loading:
    """Counts what it loads; a number stands for a predictor."""

    def __init__(self):
        self.loaded = []

    def __call__(self, *names):
        return {name: lambda name=name: self.loaded.append(name) or len(self.loaded) for name in names}


def test_networks_stay_while_there_is_room():
    loading, networks = Loading(), WarmNetworks(lambda _: True)
    assert networks.get(loading("a"), CPU) == [1]
    assert networks.get(loading("b", "a"), CPU) == [2, 1]
    assert networks.get(loading("a"), CPU) == [1]
    assert loading.loaded == ["a", "b"]


def test_without_room_only_what_is_needed_now_stays_and_all_of_that():
    loading, networks = Loading(), WarmNetworks(lambda _: False)
    networks.get(loading("a", "b"), CPU)
    assert len(networks) == 2
    networks.get(loading("c", "b"), CPU)
    networks.get(loading("b", "c"), CPU)
    assert (len(networks), loading.loaded) == (2, ["a", "b", "c"])


def test_of_those_not_needed_the_one_used_longest_ago_goes_first():
    room = []
    loading, networks = Loading(), WarmNetworks(lambda _: len(networks) < 3 or not room)
    for name in ("a", "b", "a", "c"):
        networks.get(loading(name), CPU)
    room.append("short")
    networks.get(loading("c"), CPU)
    assert len(networks) == 2
    networks.get(loading("a"), CPU)
    assert loading.loaded == ["a", "b", "c"]


def test_room_is_a_share_of_the_memory(monkeypatch):
    monkeypatch.setattr(warm, "memory", lambda: Memory(20, 100))
    assert not has_room(CPU)
    monkeypatch.setattr(warm, "memory", lambda: Memory(30, 100))
    assert has_room(CPU)
