"""A GPU that is not there: real numbers in tensors that say of themselves that they lie on another device.

PyTorch asks no kernel of the device "meta", so what is asked of it can be answered here, by the CPU. As on a GPU,
tensors of two devices cannot be mixed, and what makes the program wait for the device is noted.
"""

import traceback
from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("meta")
aten = torch.ops.aten
# Their results, or the size of these, are numbers that the host has to see.
WAITING = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.bincount.default,
    aten._unique2.default, aten.equal.default,
}  # fmt: skip
INDEXING = {
    aten.index.Tensor, aten._unsafe_index.Tensor, aten.index_put.default, aten.index_put_.default,
    aten._index_put_impl_.default,
}  # fmt: skip


class There(torch.Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, values):
        return torch.Tensor._make_wrapper_subclass(
            cls, values.size(), strides=values.stride(), storage_offset=values.storage_offset(), dtype=values.dtype,
            device=GPU,
        )  # fmt: skip

    def __init__(self, values):
        self.values = values

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), named=None):
        raise AssertionError(f"{function} after the pretence has ended")


class _OnTheHost(TorchFunctionMode):
    """What PyTorch does by itself, before it asks for any kernel."""

    def __init__(self, gpu):
        self._gpu = gpu

    def __torch_function__(self, function, types, arguments=(), named=None):
        named = dict(named or {})
        if function is torch.tensor and named.get("device") == GPU:
            return function(*arguments, **{**named, "device": "cpu"}).to(GPU)
        if arguments and isinstance(arguments[0], There):
            if function is torch.Tensor.tolist:
                self._gpu.wait("tolist")
                return arguments[0].values.tolist()
            if function in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
                place = arguments[1] if isinstance(arguments[1], tuple) else (arguments[1],)
                place = tuple(torch.tensor(p).to(GPU) if isinstance(p, list) else p for p in place)
                return function(arguments[0], place, *arguments[2:])
        return function(*arguments, **named)


class PretendedGpu(TorchDispatchMode):
    """As long as it is entered, `GPU` computes.

    Attributes
    ----------
    waits
        Places in the program that waited for the device, and how often. What `learn.device.sent` sends is not among
        them: to a real GPU it goes from pinned memory.
    """

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # to import it takes two seconds

    def __init__(self):
        super().__init__()
        self.waits = Counter()
        self._host = _OnTheHost(self)

    def __enter__(self):
        super().__enter__()
        self._host.__enter__()
        return self

    def __exit__(self, *error):
        self._host.__exit__(*error)
        super().__exit__(*error)

    def wait(self, why):
        """Note a wait, where the program is now."""
        here = [f for f in traceback.extract_stack() if "napari_apprentice/" in f.filename.replace("\\", "/")]
        if here and here[-1].name != "sent":
            self.waits[f"{why} at {here[-1].filename.rpartition('napari_apprentice')[2]}:{here[-1].lineno}"] += 1

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        named = dict(named or {})
        tensors = [t for t in tree_leaves((arguments, named)) if isinstance(t, torch.Tensor)]
        there = [t for t in tensors if isinstance(t, There)]
        goes = named["device"].type == GPU.type if named.get("device") is not None else bool(there)
        if not there and not goes:
            return function(*arguments, **named)
        self._look(function, arguments, tensors, there, goes)
        plain, plain_named = tree_map(lambda t: t.values if isinstance(t, There) else t, (arguments, named))
        if named.get("device") is not None:
            plain_named["device"] = torch.device("cpu")
        found = function(*plain, **plain_named)
        if not goes or (function is aten.copy_.default and not isinstance(arguments[0], There)):
            return found
        wrapped = tree_map(lambda t: There(t) if isinstance(t, torch.Tensor) else t, found)
        return return_and_correct_aliasing(function, arguments, named, wrapped) if there else wrapped

    def _look(self, function, arguments, tensors, there, goes):
        if function in (aten._to_copy.default, aten.copy_.default):
            if len(there) < len(tensors) or not goes:
                self.wait("copy")
            return
        here = [t for t in tensors if not isinstance(t, There) and t.dim()]
        mask = function in INDEXING and any(t.dtype == torch.bool for t in tensors if t is not arguments[0])
        if function in WAITING or mask or (here and function in INDEXING):
            self.wait(str(function))
        elif here:
            raise AssertionError(f"{function} of tensors on two devices")
