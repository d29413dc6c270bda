import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.gui.channel_view import ChannelView

SHAPE = (130, 5, 6)
slices = st.builds(slice, *[st.none() | st.integers(-7, 7)] * 2, st.sampled_from([None, 1, 2, -1]))


class Counting:
    """An array on disk that counts how often it is read."""

    shape, dtype = (2, *SHAPE), np.dtype(int)

    def __init__(self) -> None:
        self.voxels = np.arange(2 * np.prod(SHAPE)).reshape(self.shape)
        self.reads = 0

    def __getitem__(self, index: object) -> np.ndarray:
        self.reads += 1
        return self.voxels[index]


def test_a_slab_is_read_once_for_the_slices_in_it() -> None:
    array = Counting()
    view = ChannelView(array, 1)
    for z in (0, 63, 1):
        np.testing.assert_array_equal(view[z, 1:, :2], array.voxels[1, z, 1:, :2])
    assert array.reads == 1
    for z in (64, 129, -1):
        np.testing.assert_array_equal(view[z], array.voxels[1, z])
    assert array.reads == 3


def test_a_box_reads_nothing_before_a_slice_of_it_is_taken() -> None:
    array = Counting()
    box = ChannelView(array, 0)[:, 1:4, 2:5]
    assert (box.shape, array.reads) == ((130, 3, 3), 0)
    np.testing.assert_array_equal(box[np.int64(100)], array.voxels[0, 100, 1:4, 2:5])
    assert array.reads == 1


def test_reading_on_begins_beside_the_slice_looked_at_and_then_nothing_is_read_again() -> None:
    array = Counting()
    view = ChannelView(array, 0)
    view[129]
    assert view.read_on()
    view[127]
    assert array.reads == 2
    while view.read_on():
        pass
    reads = array.reads
    np.testing.assert_array_equal(view[:, 2], array.voxels[0, :, 2])
    np.testing.assert_array_equal(np.asarray(view), array.voxels[0])
    assert array.reads == reads


@given(st.booleans(), st.tuples(slices, slices, slices), st.tuples(*[slices | st.just(0)] * 3))
def test_any_box_of_a_box_is_what_numpy_says(whole: bool, first: tuple[slice, ...], second: tuple[object, ...]) -> None:
    array = Counting()
    view, expected = ChannelView(array, 1), array.voxels[1]
    while whole and view.read_on():
        pass
    box, expected = view[first], expected[first]
    if all(expected.shape):  # an index beyond an empty axis is an error for both
        np.testing.assert_array_equal(np.asarray(box[second]), expected[second])
