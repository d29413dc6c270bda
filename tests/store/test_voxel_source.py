import numpy as np
import pytest

from builders import OBLIQUE
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import StudyError
from napari_apprentice.store.study import Study
from napari_apprentice.store.voxel_source import StoredVoxels, moments_of


def _stored(tmp_path, shape=(150, 20, 30), record=None):
    geometry = Geometry.from_source(shape[::-1], OBLIQUE)
    voxels = np.random.default_rng(0).integers(-900, 900, (2, *geometry.shape)).astype(np.int16)
    made = Study.create(tmp_path / "s.study", LabelSchema.from_names(["one"]))
    made.cases.add("c1", "s1", Volume(voxels, geometry, ("CT", "MR"), "c1.nii.gz", "0" * 64))
    path = made.cases.folder("c1") / "image" / "0"
    return StoredVoxels(path, (1.0, 2.0, 3.0), record or {}), voxels, path


def test_any_slab_is_what_was_stored(tmp_path):
    source, voxels, _ = _stored(tmp_path)
    assert (source.shape, source.dtype, source.spacing) == (voxels.shape, np.int16, (1.0, 2.0, 3.0))
    depth = voxels.shape[1]
    for start, stop in ((0, 1), (60, 70), (0, depth), (depth - 1, depth), (63, 65), (128, depth), (10, 20)):
        np.testing.assert_array_equal(source.read(start, stop), voxels[:, start:stop])


def test_only_the_rows_asked_for_are_read_and_damage_is_told(tmp_path):
    source, voxels, path = _stored(tmp_path)
    (shard,) = (p for p in (path / "c").rglob("*") if p.is_file() and p.parts[-4] == "1")
    data = bytearray(shard.read_bytes())
    data[100] ^= 255  # in the first chunk of the shard
    shard.write_bytes(data)
    np.testing.assert_array_equal(source.read(130, 150), voxels[:, 130:150])
    with pytest.raises(StudyError, match="damaged"):
        source.read(0, 10)


def test_a_lost_file_is_damage_and_not_air(tmp_path):
    _, _, path = _stored(tmp_path)
    next(p for p in (path / "c").rglob("*") if p.is_file()).unlink()
    with pytest.raises(StudyError, match="missing"):
        StoredVoxels(path, (1.0, 1.0, 1.0), {})


def test_moments_are_those_of_the_whole_channel():
    random = np.random.default_rng(3)
    voxels = random.normal(30000, 2, (2, 7, 9, 11))
    voxels[1] = 5.0
    voxels[0, 2, 3, 4], voxels[0, 0] = np.nan, np.inf
    (mean, std), constant = moments_of(voxels)
    finite = voxels[0][np.isfinite(voxels[0])]
    assert (mean, std) == pytest.approx((finite.mean(), finite.std()), rel=1e-12)
    assert constant == [5.0, 0.0]
    assert moments_of(np.full((1, 2, 2, 2), np.nan)) == [[0.0, 0.0]]


@pytest.mark.parametrize("record", [{}, {"moments": [[1.0, 2.0]]}, {"moments": "x"}, {"moments": [[1, -1], [0, 1]]}])
def test_moments_that_are_not_there_or_not_sound_are_not_used(tmp_path, record):
    source, _, _ = _stored(tmp_path, (4, 5, 6), record)
    assert source.moments() is None


def test_moments_that_were_stored_are_used(tmp_path):
    source, _, _ = _stored(tmp_path, (4, 5, 6), {"moments": moments_of(np.ones((2, 4, 5, 6)))})
    assert [(m.mean, m.std) for m in source.moments()] == [(1.0, 0.0), (1.0, 0.0)]


def test_a_file_that_lost_its_content_is_damage_and_not_zeros(tmp_path):
    _, _, path = _stored(tmp_path)
    next(p for p in (path / "c").rglob("*") if p.is_file()).write_bytes(b"")
    with pytest.raises(StudyError, match="missing or empty"):
        StoredVoxels(path, (1.0, 2.0, 3.0), {})
