import errno
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image_label import ImageLabel

from builders import SHAPE, study
from faults import fail_from, finish
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import GeometryError, InputError, StorageError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study


def _maps(study_, value=1, dtype=np.uint8):
    labels = np.zeros(study_.cases.info("c1").shape, dtype)
    status = np.zeros(labels.shape, np.uint8)
    labels[1:3], status[1], status[2] = value, 1, 2
    return labels, status


def test_a_revision_comes_back_as_it_was(tmp_path):
    made = study(tmp_path)
    labels, status = _maps(made, 300, np.uint16)
    provenance = Provenance("Ada", None, "v0001", 12.5, 3, {"1": 20}, "correction")
    saved = made.revisions.save("c1", labels, status, provenance)
    found = Study.open(made.path).revisions.newest("c1")
    assert found == saved
    assert (found.name, found.key, found.provenance) == ("r0001", "c1/r0001", provenance)
    assert (found.voxels_accepted, found.voxels_edited) == (80, 80)
    again = made.revisions.read("c1", "r0001")
    assert again[0].dtype == np.uint16
    np.testing.assert_array_equal(again[0], labels)
    np.testing.assert_array_equal(again[1], status)


def test_revisions_are_only_ever_added(tmp_path):
    made = study(tmp_path)
    assert made.revisions.newest("c1") is None
    for value in (1, 2):
        made.revisions.save("c1", *_maps(made, value), Provenance("a"))
    assert made.revisions.names("c1") == ("r0001", "r0002")
    assert made.revisions.read("c1", "r0001")[0].max() == 1
    assert made.revisions.newest("c1").name == "r0002"


def test_it_is_an_ome_zarr_label(tmp_path):
    made = study(tmp_path)
    made.revisions.save("c1", *_maps(made), Provenance("a"))
    labels = zarr.open_group(made.cases.root / "c1" / "image" / "labels", mode="r")
    assert labels.attrs["ome"]["labels"] == ["r0001"]
    label = ImageLabel.from_zarr(labels["r0001"])
    assert [a.name for a in label.ome_attributes.multiscales[0].axes] == ["z", "y", "x"]
    assert labels["r0001/0"].shards is None


def test_the_folder_is_the_truth_about_revisions(tmp_path):
    made = study(tmp_path)
    made.revisions.save("c1", *_maps(made), Provenance("a"))
    (made.cases.root / "c1" / "image" / "labels" / "zarr.json").write_text("{}")
    assert made.revisions.names("c1") == ("r0001",)


def test_other_grids_and_values_are_refused(tmp_path):
    made = study(tmp_path)
    labels, status = _maps(made)
    with pytest.raises(GeometryError, match="c1"):
        made.revisions.save("c1", labels[1:], status[1:], Provenance("a"))
    with pytest.raises(InputError, match="status"):
        made.revisions.save("c1", labels, status + 1, Provenance("a"))
    assert made.revisions.names("c1") == ()


@pytest.mark.parametrize("name", ["r0009", "../../0", "r1", ""])
def test_an_unknown_revision_is_told(tmp_path, name):
    with pytest.raises(InputError):
        study(tmp_path).revisions.read("c1", name)


@pytest.mark.parametrize(("target", "allowed"), [("zarr.storage._local._put", 2), ("os.fsync", 3)])
def test_a_full_disk_adds_nothing_and_the_next_try_works(tmp_path, monkeypatch, target, allowed):
    made = study(tmp_path)
    made.split.assign("s1")
    made.revisions.save("c1", *_maps(made), Provenance("a"))
    with monkeypatch.context() as patch:
        fail_from(patch, target, allowed)
        with pytest.raises(StorageError, match="disk is full"):
            made.revisions.save("c1", *_maps(made, 2), Provenance("a"))
    assert made.revisions.names("c1") == ("r0001",)
    assert finish(check(made.path)) == ()
    assert made.revisions.save("c1", *_maps(made, 2), Provenance("a")).name == "r0002"


def test_a_read_only_folder_is_told(tmp_path, monkeypatch):
    made = study(tmp_path)
    fail_from(monkeypatch, "zarr.storage._local._put", 0, errno.EROFS)
    with pytest.raises(StorageError, match="cannot be written"):
        made.revisions.save("c1", *_maps(made), Provenance("a"))


def test_a_revision_stands_even_when_the_list_for_other_tools_cannot_be_written(tmp_path):
    made = study(tmp_path)
    listing = made.cases.root / "c1" / "image" / "labels" / "zarr.json"
    listing.unlink()
    listing.mkdir()
    assert made.revisions.save("c1", *_maps(made), Provenance("a")).name == "r0001"


def test_damage_is_noticed_on_reading(tmp_path):
    made = study(tmp_path)
    made.revisions.save("c1", *_maps(made), Provenance("a"))
    group = zarr.open_group(made.cases.root / "c1" / "image" / "labels" / "r0001", mode="r+")
    group["0"][0, 0, 0] = 9
    with pytest.raises(StudyError, match="not what was saved"):
        made.revisions.read("c1", "r0001")


def _save_many(path: str, value: int, start: "multiprocessing.synchronize.Barrier") -> None:
    opened = Study.open(Path(path))
    labels, status = _maps(opened, value)
    start.wait(30)
    for _ in range(4):
        opened.revisions.save("c1", labels, status, Provenance(f"writer {value}"))


@pytest.mark.slow
def test_two_processes_saving_at_once_keep_all_revisions(tmp_path):
    made = study(tmp_path)
    made.split.assign("s1")
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    writers = [context.Process(target=_save_many, args=(str(made.path), v, start)) for v in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [w.exitcode for w in writers] == [0, 0]
    names = made.revisions.names("c1")
    assert names == tuple(f"r{n:04d}" for n in range(1, 9))
    for name in names:
        value = int(made.revisions.info("c1", name).provenance.author[-1])
        assert made.revisions.read("c1", name)[0].max() == value
    assert finish(check(made.path)) == ()


def test_the_builders_grid_is_as_expected(tmp_path):
    assert study(tmp_path).cases.info("c1").shape == SHAPE
