import numpy as np
import pytest

from napari_apprentice.gui.box_drawing import box_around


def rectangle(low: tuple[float, ...], high: tuple[float, ...], z: float) -> np.ndarray:
    (y0, x0), (y1, x1) = low, high
    return np.array([[z, y0, x0], [z, y0, x1], [z, y1, x1], [z, y1, x0]])


@pytest.mark.parametrize(("depth", "slices"), [(1, (7, 8)), (2, (7, 9)), (3, (6, 9)), (5, (5, 10))])
def test_a_box_is_as_deep_as_asked_for_around_the_slice(depth: int, slices: tuple[int, int]) -> None:
    box = box_around(rectangle((1, 2), (3, 4), 7.0), 0, 7, depth)
    assert (box[0].start, box[0].stop) == slices
    assert box[1:] == (slice(1, 4), slice(2, 5))


def test_every_voxel_that_the_rectangle_touches_is_in_it() -> None:
    box = box_around(rectangle((0.4, -0.6), (2.6, 1.4), 3.2), 0, 3, 1)
    assert box[1:] == (slice(0, 4), slice(-1, 2))


def test_the_view_may_run_across_another_axis() -> None:
    corners = rectangle((1, 2), (3, 4), 0)[:, [1, 2, 0]]  # drawn in (z, y) at x = 0
    assert box_around(corners, 2, 5, 3) == (slice(1, 4), slice(2, 5), slice(4, 7))
