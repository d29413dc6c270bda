import errno
import itertools
import sys

import nibabel as nib
import numpy as np
import pytest

from builders import OBLIQUE, write_nifti
from faults import fail_from
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.errors import GeometryError, InputError, StorageError
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.scans.writer import WRITABLE, write_label_map, write_scalar
from real_data import real_data

FIELDS = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
          "qoffset_z", "srow_x", "srow_y", "srow_z", "pixdim", "xyzt_units")  # fmt: skip
GEOMETRY = Geometry.from_source((4, 3, 2), OBLIQUE)
LABELS = np.arange(24, dtype=np.uint8).reshape(GEOMETRY.shape)


def _same_grid(source, written):
    a, b = nib.load(source), nib.load(written)
    assert a.shape == b.shape
    assert a.affine.tobytes() == b.affine.tobytes()
    assert type(a) is type(b)
    for name in FIELDS:
        np.testing.assert_array_equal(a.header[name], b.header[name], err_msg=name)


def _forms(kind, qform, sform, flips, shape=(4, 5, 6)):
    affine = OBLIQUE @ np.diag([*flips, 1.0])
    turned = np.diag([1.5, 2.0, 2.5, 1.0]) @ np.diag([*flips, 1.0])
    turned[:2, :2] = turned[:2, :2] @ [[0.8, -0.6], [0.6, 0.8]]
    header = kind.header_class()
    header.set_data_shape(shape)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][4:8] = 2.5
    if qform:
        header.set_qform(turned, qform, strip_shears=True)
    if sform:
        header.set_sform(affine, sform)
    return kind(np.arange(np.prod(shape)).reshape(shape).astype(np.uint8), None, header)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(("qform", "sform"), [(0, 0), (1, 0), (0, 2), (1, 4), (3, 1)])
def test_an_export_has_the_sources_exact_grid(tmp_path, kind, qform, sform):
    for number, flips in enumerate(itertools.product((1.0, -1.0), repeat=3)):
        source, written = tmp_path / f"{number}.nii.gz", tmp_path / f"{number}_out.nii.gz"
        nib.save(_forms(kind, qform, sform, flips), source)
        labels = read_label_map(source)
        write_label_map(written, labels.voxels, labels.geometry)
        _same_grid(source, written)
        np.testing.assert_array_equal(np.asarray(nib.load(source).dataobj), np.asarray(nib.load(written).dataobj))


@pytest.mark.data
@pytest.mark.parametrize("number", range(5))
def test_a_real_label_map_comes_out_as_it_went_in(tmp_path, number):
    source = sorted(real_data("hippocampus", "labelsTr").glob("hipp*.nii.gz"))[number]
    scan, written = read_volume(real_data("hippocampus", "imagesTr", source.name)), tmp_path / "out.nii.gz"
    labels = read_label_map(source)
    assert scan.geometry.difference(labels.geometry) is None
    write_label_map(written, labels.voxels, scan.geometry, {1: "anterior", 2: "posterior"})
    _same_grid(source, written)
    np.testing.assert_array_equal(np.asarray(nib.load(source).dataobj), np.asarray(nib.load(written).dataobj))
    assert read_label_map(written).names == {1: "anterior", 2: "posterior"}


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["real/nv_shear.nii.gz", "made/left_handed.nii.gz", "made/2d.nii.gz", "made/negative_pixdim.nii"]
)
def test_odd_grids_come_out_as_they_went_in(tmp_path, name):
    source = real_data("odd", *name.split("/"))
    written = tmp_path / source.name
    geometry = read_volume(source).geometry
    write_label_map(written, np.zeros(geometry.shape, np.uint8), geometry)
    _same_grid(source, written)


@pytest.mark.parametrize("source", WRITABLE)
@pytest.mark.parametrize("target", WRITABLE)
def test_between_formats_each_voxel_stays_where_it_was(tmp_path, source, target):
    straight = Geometry.from_source((4, 3, 2), np.diag([-0.5, 0.7, 3.0, 1.0]))
    write_label_map(tmp_path / f"a{source}", LABELS, straight, {1: "one", 2: "zwei"})
    first = read_label_map(tmp_path / f"a{source}")
    write_label_map(tmp_path / f"b{target}", first.voxels, first.geometry, first.names)
    second = read_label_map(tmp_path / f"b{target}")
    np.testing.assert_array_equal(second.voxels, LABELS)
    assert second.geometry.difference(straight, 1e-5) is None
    if ".mha" not in (source, target):
        assert second.names == {1: "one", 2: "zwei"}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".ome.zarr"])
def test_names_and_colours_come_back(tmp_path, suffix):
    names, colours = {1: "one", 2: "zwei"}, {1: "#ff8000", 2: "#0080ff"}
    write_label_map(tmp_path / f"a{suffix}", LABELS, GEOMETRY, names, colours)
    found = read_label_map(tmp_path / f"a{suffix}")
    assert (found.names, found.colours) == (names, colours)


@pytest.mark.parametrize("name", ["A.MHA", "A.NRRD", "A.NII.GZ", "A.Nii"])
def test_suffixes_in_capitals(tmp_path, name):
    write_label_map(tmp_path / name, LABELS, GEOMETRY)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(read_label_map(tmp_path / name).voxels, LABELS)


def test_a_grid_without_a_file_goes_into_the_s_form(tmp_path):
    write_label_map(tmp_path / "a.nii", LABELS, GEOMETRY)
    again = read_label_map(tmp_path / "a.nii")
    assert again.geometry.difference(GEOMETRY, 1e-5) is None
    assert int(nib.load(tmp_path / "a.nii").header["qform_code"]) == 0, "a q-form cannot hold shear"


def test_scalars(tmp_path):
    values = LABELS.astype(np.float32) / 7
    for suffix in WRITABLE:
        write_scalar(tmp_path / f"a{suffix}", values, GEOMETRY)
        np.testing.assert_array_equal(read_volume(tmp_path / f"a{suffix}").voxels[0], values)
    with pytest.raises(InputError, match="float64"):
        write_scalar(tmp_path / "b.nii", values.astype(float), GEOMETRY)


def test_the_same_label_map_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_label_map(tmp_path / f"{name}.nii.gz", LABELS, GEOMETRY, {1: "x"})
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_nothing_is_written_over_unless_asked(tmp_path):
    path = write_nifti(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8))
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        write_label_map(path, LABELS, GEOMETRY)
    assert path.read_bytes() == before
    write_label_map(path, LABELS, GEOMETRY, overwrite=True)
    assert read_label_map(path).voxels.shape == GEOMETRY.shape


def test_what_cannot_be_written_is_told(tmp_path):
    for name in ("a.png", "a.tif", "a.hdr", "a.img", "a.mgz", "a.mhd", "a"):
        with pytest.raises(InputError, match=r"are written as \.nii"):
            write_label_map(tmp_path / name, LABELS, GEOMETRY)
    with pytest.raises(InputError, match="does not exist"):
        write_label_map(tmp_path / "no" / "a.nii", LABELS, GEOMETRY)
    with pytest.raises(InputError, match="int64"):
        write_label_map(tmp_path / "a.nii", LABELS.astype(np.int64), GEOMETRY)
    with pytest.raises(GeometryError):
        write_label_map(tmp_path / "a.nii", LABELS[1:], GEOMETRY)


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are for POSIX")
@pytest.mark.parametrize("room", [10, 100])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".nii", ".nii.gz"])
def test_a_disk_that_takes_a_part_leaves_what_was_there(tmp_path, suffix, room):
    import resource

    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"yesterday's")
    none = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, none[1]))
    try:
        with pytest.raises(StorageError, match="could not be written"):
            write_label_map(path, LABELS, GEOMETRY, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, none)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {path.name: b"yesterday's"}


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EIO, "could not be written")])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, code, words, overwrite):
    path = tmp_path / "a.nii.gz"
    if overwrite:
        write_nifti(path, np.ones((2, 2, 2), np.uint8))
    before = path.read_bytes() if overwrite else None
    fail_from(monkeypatch, "os.fsync", 0, code)
    with pytest.raises(StorageError, match=words):
        write_label_map(path, LABELS, GEOMETRY, overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == (["a.nii.gz"] if overwrite else [])
    assert not overwrite or path.read_bytes() == before
