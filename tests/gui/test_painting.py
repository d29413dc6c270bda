import numpy as np
import pytest
from napari.layers import Labels

from napari_apprentice.gui.painting import labels_around, painted_box


def painted(draw) -> tuple[np.ndarray, np.ndarray, list[object]]:
    """Labels before and after, and the atoms that napari reported, of one committed step."""
    start = np.random.default_rng(0).integers(0, 3, (4, 12, 14)).astype(np.uint8)
    layer = Labels(start.copy())
    steps: list[list[object]] = []
    layer.events.paint.connect(lambda event: steps.append(event.value))
    with layer.block_history():
        draw(layer)
    assert len(steps) == 1
    return start, layer.data, steps[0]


def brush(layer: Labels) -> None:
    layer.brush_size = 3
    for column in (3, 5, 7):
        layer.paint((1, 4, column), 2)


def overlapping(layer: Labels) -> None:
    layer.brush_size = 5
    layer.paint((2, 6, 6), 1)
    layer.paint((2, 6, 7), 2)
    layer.paint((2, 7, 7), 0)


def fill(layer: Labels) -> None:
    layer.contiguous = False
    layer.fill((1, 5, 5), 2 if layer.data[1, 5, 5] != 2 else 1)


def polygon(layer: Labels) -> None:
    layer.paint_polygon([[1, 2, 2], [1, 2, 9], [1, 8, 5]], 2)


def item_by_item(layer: Labels) -> None:
    layer.data_setitem((np.array([0, 3]), np.array([1, 9]), np.array([2, 11])), 2)


def in_three_dimensions(layer: Labels) -> None:
    layer.n_edit_dimensions = 3
    layer.brush_size = 3
    layer.paint((2, 6, 6), 1)


@pytest.mark.parametrize("draw", [brush, overlapping, fill, polygon, item_by_item, in_three_dimensions])
def test_before_and_after_are_known_and_nothing_changed_outside_the_box(draw) -> None:
    start, after, atoms = painted(draw)
    box = painted_box(atoms, after.shape)
    assert box is not None
    for labels in (start, after):  # napari reports some steps before it writes them
        was, became = labels_around(atoms, labels, box)
        np.testing.assert_array_equal(was, start[box])
        np.testing.assert_array_equal(became, after[box])
    outside = np.ones(after.shape, bool)
    outside[box] = False
    np.testing.assert_array_equal(after[outside], start[outside])


def test_the_box_is_small() -> None:
    _, after, atoms = painted(brush)
    box = painted_box(atoms, after.shape)
    assert box is not None
    assert [s.stop - s.start for s in box] <= [1, 3, 7]
