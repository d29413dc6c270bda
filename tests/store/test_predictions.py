import threading

import numpy as np
import pytest

from builders import SHAPE, study
from faults import fail_from, finish
from napari_apprentice.core.records import Prediction
from napari_apprentice.errors import GeometryError, InputError, StorageError, StudyError
from napari_apprentice.store import predictions
from napari_apprentice.store.check import check


def _prediction(value=1, quality=None):
    labels = np.full(SHAPE, value, np.uint8)
    return Prediction(labels, labels + 100, {1: 0.5, 2: 0.7} if quality is None else quality, 1.5, "cpu")


def test_a_prediction_comes_back(tmp_path):
    made = study(tmp_path)
    assert not made.predictions.has("c1", "v0001")
    assert made.predictions.quality("c1", "v0001") is None
    made.predictions.write("c1", "v0001", _prediction())
    again = made.predictions.read("c1", "v0001")
    np.testing.assert_array_equal(again.labels, 1)
    np.testing.assert_array_equal(again.uncertainty, 101)
    assert (dict(again.quality), again.seconds, again.device) == ({1: 0.5, 2: 0.7}, 1.5, "cpu")
    assert made.predictions.has("c1", "v0001")
    assert made.predictions.quality("c1", "v0001") == pytest.approx(0.6)


def test_without_labels_there_is_no_quality(tmp_path):
    made = study(tmp_path)
    made.predictions.write("c1", "v0001", _prediction(0, {}))
    assert made.predictions.quality("c1", "v0001") is None


def test_a_new_prediction_replaces_only_its_own(tmp_path):
    made = study(tmp_path)
    for model, value in (("v0001", 0), ("starter", 2), ("v0001", 1)):
        made.predictions.write("c1", model, _prediction(value))
    assert made.predictions.models("c1") == ("starter", "v0001")
    assert [int(made.predictions.read("c1", m).labels.max()) for m in ("starter", "v0001")] == [2, 1]
    folder = made.cases.root / "c1" / "predictions"
    assert sorted(p.name for p in folder.iterdir()) == ["starter", "v0001", "zarr.json"]


def test_a_reader_waits_out_the_blink_in_which_a_prediction_is_exchanged(tmp_path):
    made = study(tmp_path)
    made.predictions.write("c1", "v0001", _prediction())
    folder = made.cases.root / "c1" / "predictions" / "v0001"
    aside = folder.with_name(".v0001.abcd.aside")
    folder.rename(aside)
    back = threading.Timer(0.1, lambda: aside.rename(folder))
    back.start()
    assert made.predictions.read("c1", "v0001").labels.max() == 1
    back.join()


def test_a_reader_that_a_writer_overtakes_gets_one_prediction_whole(tmp_path, monkeypatch):
    made = study(tmp_path)
    made.predictions.write("c1", "v0001", _prediction(1))
    read, news = predictions.read_array, [_prediction(2)]

    def overtaken(*given):
        array = read(*given)
        if news:
            made.predictions.write("c1", "v0001", news.pop())
        return array

    monkeypatch.setattr(predictions, "read_array", overtaken)
    found = made.predictions.read("c1", "v0001")
    assert (int(found.labels.max()), int(found.uncertainty.max())) == (2, 102)


def test_a_full_disk_keeps_the_older_prediction(tmp_path, monkeypatch):
    made = study(tmp_path)
    made.predictions.write("c1", "v0001", _prediction(1))
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 2)
        with pytest.raises(StorageError):
            made.predictions.write("c1", "v0001", _prediction(2))
    assert made.predictions.read("c1", "v0001").labels.max() == 1
    assert finish(check(made.path)) == ()


def test_what_does_not_exist_or_fit_is_told(tmp_path):
    made = study(tmp_path)
    with pytest.raises(InputError, match="predict it first"):
        made.predictions.read("c1", "v0009")
    with pytest.raises(InputError):
        made.predictions.write("c1", "../x", _prediction())
    wrong = np.zeros((1, 2, 3), np.uint8)
    with pytest.raises(GeometryError):
        made.predictions.write("c1", "v0001", Prediction(wrong, wrong, {}))


def test_a_damaged_prediction_is_told(tmp_path):
    made = study(tmp_path)
    made.predictions.write("c1", "v0001", _prediction())
    chunk = made.cases.root / "c1" / "predictions" / "v0001" / "uncertainty" / "c" / "0" / "0" / "0"
    chunk.unlink()
    with pytest.raises(StudyError):
        made.predictions.read("c1", "v0001")
    assert len(finish(check(made.path))) == 1
