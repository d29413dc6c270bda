import json
import time

import nibabel as nib
import numpy as np
import pytest

from napari_apprentice.errors import ApprenticeError, ScanError
from napari_apprentice.scans.reader import read_label_map, read_volume
from real_data import real_data

pytestmark = pytest.mark.data

# What must load although it is odd; files outside the two lists may also be refused.
WARNED = (
    "constant_zero.nii.gz",
    "huge_spacing.nii.gz",
    "micron_spacing.nii.gz",
    "nan_voxels.nii.gz",
    "no_form.nii.gz",
    "trailing_garbage.nii.gz",
    "units_micron.nii.gz",
)
LOADED = (
    *WARNED,
    "2d.nii.gz",
    "4d_single.nii.gz",
    "UPPER.NII.GZ",
    "big_endian.nii.gz",
    "dtype_int16.nii.gz",
    "dtype_int64.nii.gz",
    "dtype_uint32.nii.gz",
    "dtype_uint8.nii.gz",
    "left_handed.nii.gz",
    "negative_pixdim.nii",
    "one_slice.nii.gz",
    "qform_only.nii.gz",
    "really_gz.nii",
    "sform_only.nii.gz",
    "slope_zero.nii",
    "zero_pixdim.nii",
    "label/ok.nii.gz",
    "label/shift_1e-5.nii.gz",
)


def test_every_odd_file_is_loaded_exactly_or_refused_in_a_sentence():
    root = real_data("odd")
    for entry in json.loads((root / "manifest.json").read_text()):
        path, began = root / entry["file"], time.monotonic()
        found = _read(path)
        assert time.monotonic() - began < 10, entry
        if isinstance(found, ApprenticeError):
            assert _names(path, str(found)), entry
            assert entry["expect"] != "load correctly" or path.is_dir() or path.suffix == ".img", str(found)
        else:
            # Whether it fits its scan is for whoever holds both to say.
            assert not entry["expect"].startswith("reject,") or "transposed" in entry["file"], entry
            _equals_nibabel(path, found)


def _names(path, text):
    """Whether a sentence names a file, or one of a folder's."""
    return any(p.name in text for p in (path, *(path.iterdir() if path.is_dir() else ())))


def _read(path):
    read = read_label_map if path.parent.name == "label" else read_volume
    try:
        return read(path)
    except ApprenticeError as error:
        return error


def _equals_nibabel(path, found):
    if ".nii" not in path.name.lower() or path.name == "really_gz.nii":
        return  # nibabel reads neither
    image = nib.load(path)
    voxels = found.geometry.to_source(found.voxels)
    voxels = voxels if voxels.ndim == 3 else np.moveaxis(voxels, 0, -1)
    expected = np.asarray(image.dataobj)
    np.testing.assert_array_equal(voxels.reshape(expected.shape), expected.astype(voxels.dtype))
    assert found.geometry.source_affine.tobytes() == image.affine.astype(float).tobytes()


@pytest.mark.parametrize("name", LOADED)
def test_what_is_odd_but_sound_loads(name):
    read_volume(real_data("odd", "made", *name.split("/")))


@pytest.mark.parametrize("name", WARNED)
def test_what_deserves_a_look_says_so(name):
    warnings = read_volume(real_data("odd", "made", name)).warnings
    assert warnings
    assert all(name in w for w in warnings)


def test_a_header_that_claims_too_much_takes_no_memory():
    with pytest.raises(ScanError, match="more than the file can hold"):
        read_volume(real_data("odd", "made", "huge_dim.nii"))
