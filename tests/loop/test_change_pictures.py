"""Pictures of the best and the worst change, drawn from real label maps."""

import io

import numpy as np
from PIL import Image

from learn.small import make_example
from napari_apprentice.core.gate import CaseScore, judge
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plane import plane_of_change
from napari_apprentice.loop.change_pictures import change_pictures

SCHEMA = LabelSchema.from_names(["one", "two"])


def _case(seed: int, before: float, after: float) -> tuple:
    example = make_example(seed, (8, 20, 24))
    wrong = example.labels.copy()
    wrong[3, 4:9, 5:12] = 2
    scores = [CaseScore(example.revision, 1, dice, False, example.subject) for dice in (before, after)]
    return example, plane_of_change(example, wrong, example.labels), scores


def test_the_slice_with_the_largest_difference_is_cut() -> None:
    example, plane, _ = _case(1, 0.5, 0.9)
    assert plane.z == 3
    assert np.array_equal(plane.after, example.labels[3])
    assert not np.array_equal(plane.before, plane.after)
    same = plane_of_change(example, example.labels, example.labels)
    assert same.z == np.argmax((example.labels > 0).sum(axis=(1, 2)))


def test_best_and_worst_are_drawn_with_outlines_in_the_colours_of_the_labels() -> None:
    cases = [_case(1, 0.5, 0.9), _case(2, 0.8, 0.7), _case(3, 0.6, 0.65)]
    report = judge([c[2][0] for c in cases], [c[2][1] for c in cases], {1: "one"})
    pictures, told = change_pictures(report, [c[1] for c in cases], SCHEMA, ("v0001", "v0002"))
    assert told["best.png"]["revision"] == "case1/r0001"
    assert told["worst.png"]["revision"] == "case2/r0001"
    assert round(told["worst.png"]["change"], 3) == -0.1
    image = np.asarray(Image.open(io.BytesIO(pictures["best.png"])).convert("RGB"))
    colour = [int(SCHEMA.labels[1].colour[i : i + 2], 16) for i in (1, 3, 5)]
    panels = np.split((image == colour).all(axis=2), 3, axis=1)
    assert panels[0].sum() > panels[1].sum()  # the wrong box is outlined before and gone after
    assert np.array_equal(panels[1][20:], panels[2][20:])  # below the titles


def test_one_scan_gives_one_picture_and_none_gives_none() -> None:
    case = _case(1, 0.5, 0.4)
    report = judge([case[2][0]], [case[2][1]], {1: "one"})
    assert list(change_pictures(report, [case[1]], SCHEMA, ("a", "b"))[0]) == ["worst.png"]
    assert change_pictures(judge([], [], {}), [], SCHEMA, ("a", "b")) == ({}, {})
