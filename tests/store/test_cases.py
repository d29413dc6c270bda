from dataclasses import replace

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image import Image

from builders import study, volume
from faults import fail_from, finish
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import InputError, StorageError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float16", "float32", "float64")


def _large(shape=(70, 130, 150), dtype="<i2") -> Volume:
    geometry = Geometry.from_source(shape[::-1], np.diag([0.7, 0.7, 5.0, 1.0]))
    voxels = np.random.default_rng(0).integers(0, 100, (2, *geometry.shape)).astype(dtype)
    return Volume(voxels, geometry, ("CT", "PET"), "large.nii")


def test_a_case_comes_back_bit_for_bit(tmp_path):
    made, scan = study(tmp_path, 0), volume(3)
    made.cases.add("a", "s", scan)
    info = Study.open(made.path).cases.info("a")
    assert (info.case_id, info.subject, info.channels, info.dtype) == ("a", "s", scan.channels, "int16")
    assert (info.source_name, info.source_digest) == (scan.source_name, scan.source_digest)
    assert info.geometry.to_json() == scan.geometry.to_json()
    np.testing.assert_array_equal(made.cases.voxels("a"), scan.voxels)


@pytest.mark.parametrize("dtype", [*DTYPES, ">i2", ">f4"])
def test_number_types_are_kept(tmp_path, dtype):
    made, scan = study(tmp_path, 0), volume()
    made.cases.add("a", "s", replace(scan, voxels=scan.voxels.astype(dtype)))
    voxels = made.cases.voxels("a")
    assert voxels.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(voxels, scan.voxels.astype(dtype))
    assert finish(check(made.path)) == ()


def test_nan_is_kept(tmp_path):
    made, scan = study(tmp_path, 0), volume()
    voxels = scan.voxels.astype(np.float32)
    voxels[0, 0, 0, 0] = np.nan
    made.cases.add("a", "s", replace(scan, voxels=voxels))
    np.testing.assert_array_equal(made.cases.voxels("a"), voxels)


def test_levels_are_coarser_and_lazy(tmp_path):
    made, scan = study(tmp_path, 0), _large()
    made.cases.add("a", "s", scan)
    levels = made.cases.levels("a")
    assert [x.shape for x in levels] == [(2, 70, 130, 150), (2, 70, 65, 75), (2, 70, 33, 38), (2, 35, 17, 19)]
    assert levels[0].chunks == (1, 64, 64, 64)
    assert levels[0].shards == (1, 128, 192, 192)
    np.testing.assert_array_equal(levels[1][...], scan.voxels[:, :, ::2, ::2])


def test_it_is_an_ome_zarr_image(tmp_path):
    made = study(tmp_path, 0)
    made.cases.add("a", "s", _large())
    image = Image.from_zarr(zarr.open_group(made.path / "cases.zarr" / "a" / "image", mode="r"))
    (multiscale,) = image.ome_attributes.multiscales
    assert [a.name for a in multiscale.axes] == ["c", "z", "y", "x"]
    assert multiscale.datasets[1].coordinateTransformations[0].scale == [1.0, 5.0, 1.4, 1.4]


@pytest.mark.parametrize(
    "case_id", ["", ".", "..", "../x", "a/b", "-a", ".a", "a" * 101, "a b", "é", "CON", "zarr.json", "a."]
)
def test_ids_that_are_no_folder_name_are_refused(tmp_path, case_id):
    with pytest.raises(InputError, match="case id"):
        study(tmp_path, 0).cases.add(case_id, "s", volume())


def test_doubles_are_refused_whatever_their_case(tmp_path):
    made = study(tmp_path)
    for case_id in ("c1", "C1"):
        with pytest.raises(InputError, match="already"):
            made.cases.add(case_id, "s", volume())


@pytest.mark.parametrize("case_id", ["nope", "../models", ""])
def test_an_unknown_case_is_told(tmp_path, case_id):
    made = study(tmp_path)
    for read in (made.cases.info, made.cases.voxels, made.cases.levels):
        with pytest.raises(InputError, match="no case"):
            read(case_id)


@pytest.mark.parametrize("allowed", [0, 1, 4, 7])
def test_a_full_disk_adds_nothing(tmp_path, monkeypatch, allowed):
    made = study(tmp_path)
    with monkeypatch.context() as patch:
        fail_from(patch, "zarr.storage._local._put", allowed)
        with pytest.raises(StorageError, match="disk is full"):
            made.cases.add("c2", "s", volume())
    assert made.cases.ids() == ("c1",)
    assert not [p for p in made.cases.root.iterdir() if p.name.startswith(".")]
    assert finish(check(made.path)) == ()
    made.cases.add("c2", "s", volume())


def test_leftovers_of_other_programs_are_passed_over(tmp_path):
    made = study(tmp_path)
    (made.cases.root / ".c2.12345678.aside").mkdir()
    (made.cases.root / ".DS_Store").touch()
    assert made.cases.ids() == ("c1",)
    assert finish(check(made.path)) == ()


def test_a_lost_or_damaged_file_is_never_read_as_zeros(tmp_path):
    made = study(tmp_path, 2)
    for case_id, harm in (("c1", "unlink"), ("c2", "flip")):
        chunk = next(p for p in (made.cases.root / case_id / "image" / "0" / "c").rglob("*") if p.is_file())
        data = bytearray(chunk.read_bytes())
        chunk.unlink()
        if harm == "flip":
            data[len(data) // 2] ^= 0xFF
            chunk.write_bytes(data)
        with pytest.raises(StudyError, match="damaged"):
            made.cases.voxels(case_id)
    assert len(finish(check(made.path))) == 2


def test_a_folder_that_is_no_case_is_told(tmp_path):
    made = study(tmp_path)
    (made.cases.root / "c2" / "image").mkdir(parents=True)
    with pytest.raises(StudyError, match="image/zarr"):
        made.cases.info("c2")
    assert finish(check(made.path))
