import gzip

import nibabel as nib
import numpy as np
import pytest

from builders import OBLIQUE
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.reader import expand, read_label_map, read_volume
from real_data import real_data

VOXELS = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)


def _pair(folder, kind=nib.Nifti1Pair):
    image = kind(VOXELS, OBLIQUE)
    nib.save(image, folder / "a.img")
    return folder / "a.hdr", folder / "a.img"


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair])
@pytest.mark.parametrize("named", [0, 1])
@pytest.mark.parametrize("zipped", ["", "hdr", "img", "hdr img"])
def test_either_half_opens_the_pair(tmp_path, kind, named, zipped):
    paths = list(_pair(tmp_path, kind))
    reference = nib.load(paths[0])
    expected, affine = np.asarray(reference.dataobj), reference.affine
    for n, path in enumerate(paths):
        if path.suffix[1:] in zipped:
            paths[n] = path.with_name(path.name + ".gz")
            paths[n].write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    found = read_volume(paths[named])
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels)[0], expected)
    assert found.geometry.source_affine.tobytes() == affine.tobytes()
    assert found.warnings == ()


def test_a_half_without_the_other_is_told(tmp_path):
    header, image = _pair(tmp_path)
    image.unlink()
    with pytest.raises(ScanError, match=r"a\.hdr is one half .*a\.img"):
        read_volume(header)
    _pair(tmp_path)
    header.unlink()
    with pytest.raises(ScanError, match=r"a\.img is one half .*a\.hdr"):
        read_volume(image)
    assert [p.name for p in expand([tmp_path])] == ["a.img"]


def test_a_folder_holds_a_pair_once(tmp_path):
    _pair(tmp_path)
    assert [p.name for p in expand([tmp_path])] == ["a.hdr"]


def test_a_cut_half_is_refused(tmp_path):
    header, image = _pair(tmp_path)
    image.write_bytes(image.read_bytes()[:-10])
    with pytest.raises(ScanError, match=r"a\.img is cut off"):
        read_volume(header)


def test_the_digest_is_of_both_halves(tmp_path):
    header, image = _pair(tmp_path)
    first = read_volume(header).source_digest
    assert read_volume(image).source_digest == first
    image.write_bytes(bytes(len(image.read_bytes())))
    assert read_volume(header).source_digest != first


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage, nib.Spm2AnalyzeImage])
@pytest.mark.parametrize("order", ["<", ">"])
def test_analyze_is_where_nibabel_has_it_and_warns(tmp_path, kind, order):
    header = kind.header_class(endianness=order)
    header.set_data_dtype("i2")
    header.set_data_shape(VOXELS.shape)
    header.set_zooms((0.5, 0.7, 3.0))
    image = kind(VOXELS, None, header)
    names = {"header": "a.hdr", "image": "a.img", "mat": "a.mat"}
    image.to_file_map({part: nib.FileHolder(str(tmp_path / names[part])) for part in image.file_map})
    found = read_volume(tmp_path / "a.hdr")
    reference = nib.load(tmp_path / "a.hdr")
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels)[0], np.asarray(reference.dataobj))
    np.testing.assert_allclose(np.abs(found.geometry.source_affine[:3, :3]), np.diag([0.5, 0.7, 3.0]), atol=1e-6)
    assert "Analyze" in found.warnings[0]


@pytest.mark.data
@pytest.mark.parametrize("name", ["air.hdr.gz", "air2.hdr.gz", "minimal.hdr.gz", "minimal.img.gz", "nv_ras.hdr"])
def test_real_pairs_are_what_nibabel_reads(name):
    path = real_data("odd", "real", name)
    found, reference = read_volume(path), nib.load(path)
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels)[0], np.asarray(reference.dataobj))
    assert found.geometry.source_affine.tobytes() == reference.affine.astype(float).tobytes()


def test_a_label_map_in_two_files(tmp_path):
    header, _ = _pair(tmp_path)
    assert read_label_map(header).voxels.dtype == np.uint8
