import json
import time

import nibabel as nib
import numpy as np
import pytest

from napari_apprentice.errors import ApprenticeError, ChoiceError, ScanError
from napari_apprentice.scans.reader import read_label_map, read_volume
from real_data import real_data

pytestmark = pytest.mark.data

# Of every file in the manifest it is known what must become of it: it loads unless it is named here.
REFUSED = {
    "made/.DS_Store": "no format",
    "made/bad_magic.nii": "magic",
    "made/bz2.nii.bz2": "bunzip2",
    "made/dcm_no_position/": "ImagePositionPatient",
    "made/dtype_complex64.nii.gz": "complex",
    "made/header_only.nii": "more than the file can hold",
    "made/huge_dim.nii": "more than the file can hold",
    "made/label/4d_onehot.nii.gz": "argmax",
    "made/label/float_interp.nii.gz": "whole numbers",
    "made/label/nan.nii.gz": "no numbers (NaN or infinite)",
    "made/label/rgb_mask.nii.gz": "colours",
    "made/nan_sform.nii": "not numbers",
    "made/orphan.hdr": "orphan.img",
    "made/pair.img": "pair.hdr",  # which is not in the set
    "made/singular_affine.nii": "singular",
    "made/truncated_half.nii.gz": "no end",
    "made/vox_offset_past_end.nii": "more than the file can hold",
    "real/avg152T1_LR_nifti.hdr.gz": "missing",
    "real/complex64.nii": "complex",
    "real/fuzz_crash-1.nii": "no NIfTI",
    "real/fuzz_crash-d03c6346fe83a026738f6b8cd2a9335a3f8cb158": "no NIfTI",
    "real/minimal2.hdr": "missing",
    "real/nib_nifti1.hdr": "missing",
    "real/nib_phantom_truncated.REC": "dcm2niix",
    "real/nib_phantom_varscale.REC": "dcm2niix",
    "real/nib_tiny.mnc": "mnc2nii",
    "real/nifti-rs_4D.nii": "coloured volumes",
    "real/nrrd_BallBinary30x30x30.nhdr": "BallBinary30x30x30.raw, which is missing",
    "real/nrrd_BallBinary30x30x30_byteskip_minus_five.nhdr": "missing",
    "real/nrrd_BallBinary30x30x30_byteskip_minus_one_nifti.nhdr": "BallBinary30x30x30.nii.gz, which is missing",
    "real/nrrd_test1d_ascii.nrrd": "1 axes",
    "real/nrrd_test_customFields.nrrd": "1 axes",
    "real/nv_complex_image.nii.gz": "complex",
}
ASKED = {"made/dcm_two_series/": "series", "real/nib_functional.nii": "volumes"}
WARNED = {
    "made/constant_zero.nii.gz": "same value",
    "made/huge_spacing.nii.gz": "1000 x 1000 x 1000 mm",
    "made/label/all_foreground.nii.gz": "no background",
    "made/micron_spacing.nii.gz": "check the unit",
    "made/nan_voxels.nii.gz": "27 voxels that are not numbers",
    "made/no_form.nii.gz": "left and right",
    "made/trailing_garbage.nii.gz": "after its gzip stream",
    "made/units_micron.nii.gz": "micrometres",
    "made/dcm_duplicate_slice/": "copy of one slice",
}


def test_every_odd_file_is_loaded_exactly_or_refused_in_a_sentence():
    root = real_data("odd")
    seen = []
    for entry in json.loads((root / "manifest.json").read_text()):
        name, path, began = entry["file"], root / entry["file"], time.monotonic()
        found = _read(path)
        assert time.monotonic() - began < 10, name
        seen.append(name)
        if name in ASKED:
            assert isinstance(found, ChoiceError), name
            assert found.setting == ASKED[name]
        elif name in REFUSED:
            assert isinstance(found, ScanError), name
            assert REFUSED[name] in str(found), str(found)
            assert _names(path, str(found)), str(found)
        else:
            assert not isinstance(found, ApprenticeError), str(found)
            assert WARNED.get(name, "") in " ".join(found.warnings), name
            _equals_nibabel(path, found)
    assert {*REFUSED, *ASKED, *WARNED} <= set(seen)


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
    if expected.dtype.names:  # colours, which are channels here
        expected = np.stack([expected[n] for n in expected.dtype.names], axis=-1)
    np.testing.assert_array_equal(voxels.reshape(expected.shape), expected.astype(voxels.dtype))
    assert found.geometry.source_affine.tobytes() == image.affine.astype(float).tobytes()


def test_a_header_that_claims_too_much_takes_no_memory():
    with pytest.raises(ScanError, match="more than the file can hold"):
        read_volume(real_data("odd", "made", "huge_dim.nii"))
