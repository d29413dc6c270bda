"""Whatever is wrong with a file, it ends in a sentence that names it: never in a crash, and never in a hang."""

import time

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.scans.reader import read_label_map, read_volume

VOXELS = np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8)
GIVEN = ReadSettings(spacing="1,1,1", volumes="all")
NAMES = ("a.nii", "a.nii.gz", "a.mgh", "a.nrrd", "a.mha", "a.tif", "a.png", "a.jpg")
# Numbers that make a header lie.
LIES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff" * 4, b"9999", b"-1 ", b"nan ")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    for name in ("a.nii", "a.nii.gz"):
        nib.save(nib.Nifti1Image(VOXELS, np.eye(4)), folder / name)
    nib.save(nib.MGHImage(VOXELS.astype(np.float32), np.eye(4)), folder / "a.mgh")
    for name in ("a.nrrd", "a.mha"):
        sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(folder / name), True)
    tifffile.imwrite(folder / "a.tif", VOXELS)
    for name in ("a.png", "a.jpg"):
        Image.fromarray(VOXELS[0].astype(np.uint8)).save(folder / name)
    return {name: (folder / name).read_bytes() for name in NAMES}


@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.integers(0, 700), st.sampled_from(LIES)), min_size=1, max_size=4),
    st.one_of(st.none(), st.integers(1, 900)),
    st.booleans(),
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_ends_in_a_sentence(tmp_path_factory, sound, name, lies, cut, labels):
    content = bytearray(sound[name])
    for at, lie in lies:
        at %= len(content)
        content[at : at + len(lie)] = lie
    path = tmp_path_factory.mktemp("d") / name
    path.write_bytes(content[:cut])
    began, found = time.monotonic(), _read(path, labels=labels)
    assert time.monotonic() - began < 5
    assert name in found if isinstance(found, str) else found.voxels.size <= 1032 * len(content)


def _read(path, *, labels):
    """What was read, or the sentence that says why not; anything else fails the test."""
    try:
        return (read_label_map if labels else read_volume)(path, GIVEN)
    except ApprenticeError as error:
        return str(error)
