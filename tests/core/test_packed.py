import dataclasses

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core import packed
from napari_apprentice.core.packed import Packed, kept
from napari_apprentice.core.records import Example, OpenLabels

TYPES = st.sampled_from([np.uint8, np.uint16, np.bool_])


@given(TYPES.flatmap(lambda t: arrays.arrays(t, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0))))
def test_what_was_packed_comes_back_as_it_was(array: np.ndarray) -> None:
    found = Packed(array).unpacked()
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(found, array)


def test_pieces_of_a_large_one_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_PIECE", 1000)
    array = np.random.default_rng(0).integers(0, 40_000, (9, 31, 17)).astype(np.uint16)
    np.testing.assert_array_equal(Packed(array[::-1, :, ::2]).unpacked(), array[::-1, :, ::2])


def test_large_label_maps_of_an_example_take_a_fiftieth_of_their_memory() -> None:
    labels = np.zeros((120, 200, 200), np.uint8)
    labels[30:90, 50:150, 50:150] = 3
    status, where = (labels > 0).astype(np.uint8), (labels == 0).astype(np.uint8)
    example = Example("c1/r0001", "s1", np.zeros((1, 2, 2, 2)), labels, status, (1.0, 1.0, 1.0))
    example = dataclasses.replace(example, replay=True, open=OpenLabels(((7,),), where))
    for owner, name, array in (
        (example, "labels", labels),
        (example, "status", status),
        (example.open, "where", where),
    ):
        inside = kept(owner, name)
        assert isinstance(inside, Packed)
        assert inside.bytes < array.nbytes / 50
        np.testing.assert_array_equal(getattr(owner, name), array)
    assert example.shape == labels.shape
    assert not example.known(7)[0].any()
    assert example.known(3)[40, 100, 100]
