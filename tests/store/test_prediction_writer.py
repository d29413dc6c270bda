"""A prediction written slab by slab: what a reader sees meanwhile, and what is left when it is not finished."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import SHAPE, study
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.errors import GeometryError
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.prediction_writer import PredictionWriter, chunks_of

TOKEN = "20260101-000000-predict-abcd"


def _slab(start, stop, value, shape=SHAPE):
    labels = np.full((stop - start, *shape[1:]), value, np.uint8)
    return PredictedSlab(start, stop, labels, labels + 100)


def _random(shape, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 5, shape).astype(np.uint16), random.integers(0, 256, shape).astype(np.uint8)


def test_slabs_are_read_before_the_prediction_is_whole_and_no_prediction_is_taken_for_finished(tmp_path):
    made = study(tmp_path)
    made.predictions.write("c1", "v0001", Prediction(np.ones(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8), {1: 0.5}))
    with made.predictions.begin("c1", "v0001", np.dtype(np.uint8), TOKEN) as writer:
        reader = made.predictions.unfinished("c1", "v0001", TOKEN)
        assert reader.done() == ()
        writer.write_slab(_slab(3, 5, 2))
        assert reader.done() == ((3, 5),)
        found = reader.read(3, 5)
        np.testing.assert_array_equal(found.labels, 2)
        np.testing.assert_array_equal(found.uncertainty, 102)
        assert made.predictions.read("c1", "v0001").labels.max() == 1  # the older one is whole
        assert made.predictions.models("c1") == ("v0001",)
        writer.write_slab(_slab(0, 3, 1))
        with pytest.raises(GeometryError, match="1 slices were not predicted"):
            writer.commit({}, 1.0, "cpu")
        writer.write_slab(_slab(5, 6, 0))
        writer.commit({1: 0.25, 2: 0.75}, 1.5, "cpu", {"backend": "torch fp32"})
        late = reader.read(3, 5)  # the writer was quicker: from its final place
        np.testing.assert_array_equal(late.labels, 2)
    again = made.predictions.read("c1", "v0001")
    assert again.labels[:, 0, 0].tolist() == [1, 1, 1, 2, 2, 0]
    assert (again.seconds, again.device, dict(again.made)) == (1.5, "cpu", {"backend": "torch fp32"})
    assert dict(made.predictions.quality_by_label("c1", "v0001")) == {1: 0.25, 2: 0.75}
    assert _hidden(made) == []
    folder = made.cases.root / "c1" / "predictions" / "v0001"
    assert sorted(p.name for p in folder.iterdir()) == ["label_map", "uncertainty", "zarr.json"]


def test_what_is_not_committed_leaves_nothing_and_reads_as_nothing(tmp_path):
    made = study(tmp_path)
    with made.predictions.begin("c1", "v0001", np.dtype(np.uint8), TOKEN) as writer:
        writer.write_slab(_slab(0, 6, 2))
    assert not made.predictions.has("c1", "v0001")
    reader = made.predictions.unfinished("c1", "v0001", TOKEN)
    assert (reader.done(), reader.read(0, 6)) == ((), None)
    assert _hidden(made) == []


def test_a_slab_that_overlaps_or_does_not_fit_is_refused(tmp_path):
    made = study(tmp_path)
    with made.predictions.begin("c1", "v0001", np.dtype(np.uint8)) as writer:
        writer.write_slab(_slab(2, 4, 1))
        for start, stop in ((3, 5), (-1, 2), (5, 7), (1, 1)):
            with pytest.raises(GeometryError):
                writer.write_slab(_slab(start, stop, 1))
        with pytest.raises(GeometryError):
            writer.write_slab(_slab(0, 1, 1, (6, 8, 9)))


def test_what_a_killed_process_left_is_no_prediction_and_goes_with_the_next(tmp_path):
    made = study(tmp_path)
    script = f"""
import os, sys
from pathlib import Path
import numpy as np
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.store.study import Study
study = Study.open(Path(sys.argv[1]))
writer = study.predictions.begin("c1", "v0001", np.dtype(np.uint8), {TOKEN!r})
part = np.ones((4, {SHAPE[1]}, {SHAPE[2]}), np.uint8)
writer.write_slab(PredictedSlab(0, 4, part, part))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script, str(made.path)], check=False).returncode == -9
    assert len(_hidden(made)) == 1
    assert made.predictions.models("c1") == ()
    assert not made.predictions.has("c1", "v0001")
    with made.predictions.begin("c1", "v0002", np.dtype(np.uint8)):
        assert len(_hidden(made)) == 1  # its own


def test_a_prediction_under_way_on_another_computer_of_the_same_name_goes_on(tmp_path):
    made = study(tmp_path)
    with made.predictions.begin("c1", "v0001", np.dtype(np.uint8)) as writer:
        (slabs,) = made.cases.folder("c1").glob("predictions/.v0001.*/slabs.jsonl")
        slabs.write_text(json.dumps({**json.loads(slabs.read_text()), "pid": 1 << 30, "place": "0" * 16}) + "\n")
        with made.predictions.begin("c1", "v0002", np.dtype(np.uint8)):
            assert len(_hidden(made)) == 2
        writer.write_slab(_slab(0, SHAPE[0], 1))
        writer.commit({1: 0.9}, 1.0, "CPU")
    assert made.predictions.has("c1", "v0001")


@given(
    depth=st.integers(1, 40),
    cuts=st.lists(st.integers(1, 39), max_size=8),
    thick=st.integers(1, 16),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
def test_slabs_of_any_thickness_in_any_order_make_the_whole(tmp_path_factory, depth, cuts, thick, order):
    shape = (depth, 3, 4)
    labels, uncertainty = _random(shape)
    edges = [0, *sorted({c for c in cuts if c < depth}), depth]
    slabs = list(pairwise(edges))
    order.shuffle(slabs)
    aside = tmp_path_factory.mktemp("p") / ".v.aside"
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_apprentice.store.prediction_writer._THICKEST", thick)
        writer = PredictionWriter(aside, shape, labels.dtype, "the prediction", done.append)
        for start, stop in slabs:
            writer.write_slab(PredictedSlab(start, stop, labels[start:stop], uncertainty[start:stop]))
            np.testing.assert_array_equal(writer.labels()[start:stop], labels[start:stop])
        assert writer._partial == {}
        assert writer._digest() == digest(labels, uncertainty)
        writer.commit({}, 0.0, "cpu")
    assert done == [aside]


def test_chunks_are_thin_where_slices_are_large():
    assert chunks_of((300, 512, 512)) == (8, 256, 256)
    assert chunks_of((36, 50, 35)) == (36, 50, 35)
    assert chunks_of((1, 4096, 4096)) == (1, 256, 256)


def _hidden(made) -> list[Path]:
    return list((made.cases.root / "c1" / "predictions").glob(".*"))
