import gzip
import time

import nibabel as nib
import numpy as np
import pytest

from builders import OBLIQUE
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.reader import read_volume

VOXELS = np.arange(5 * 6 * 7).reshape(5, 6, 7)
TURNED = OBLIQUE.copy()
TURNED[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.diag([0.5, 0.7, 3.0])


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
def test_mgh_is_what_nibabel_reads(tmp_path, suffix, dtype):
    nib.save(nib.MGHImage(VOXELS.astype(dtype), TURNED), tmp_path / f"a{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    # nibabel leaves the file of an unpacked MGH open.
    reference = nib.MGHImage.from_bytes(content if suffix == ".mgh" else gzip.decompress(content))
    found = read_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels)[0], np.asarray(reference.dataobj))
    assert found.geometry.source_affine.tobytes() == reference.affine.tobytes()
    assert (found.voxels.dtype, found.warnings) == (np.dtype(dtype), ())


def test_frames_are_chosen(tmp_path):
    frames = np.arange(3 * 4 * 5 * 10, dtype=np.float32).reshape(3, 4, 5, 10)
    nib.save(nib.MGHImage(frames, TURNED), tmp_path / "a.mgz")
    with pytest.raises(ChoiceError, match="10 volumes"):
        read_volume(tmp_path / "a.mgz")
    found = read_volume(tmp_path / "a.mgz", ReadSettings(volumes="9,1"))
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels), np.moveaxis(frames[..., [9, 1]], 3, 0))


def test_a_cut_or_strange_mgh_is_refused(tmp_path):
    nib.save(nib.MGHImage(VOXELS.astype("i2"), TURNED), tmp_path / "a.mgh")
    good = (tmp_path / "a.mgh").read_bytes()
    (tmp_path / "cut.mgh").write_bytes(good[:500])
    (tmp_path / "cut.mgz").write_bytes(gzip.compress(good)[:-9])
    (tmp_path / "text.mgh").write_bytes(b"hello" * 100)
    for name in ("cut.mgh", "cut.mgz", "text.mgh"):
        with pytest.raises(ScanError, match=name):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("which", ["sizes", "volumes"])
def test_sizes_that_lie_take_neither_time_nor_memory(tmp_path, which):
    nib.save(nib.MGHImage(VOXELS.astype("i2"), TURNED), tmp_path / "a.mgh")
    lie = bytearray((tmp_path / "a.mgh").read_bytes())
    at = {"sizes": slice(8, 12), "volumes": slice(16, 20)}[which]
    lie[at] = b"\x7f\xff\xff\xff"
    (tmp_path / "a.mgh").write_bytes(lie)
    began = time.monotonic()
    with pytest.raises(ScanError, match="more than the file can hold"):
        read_volume(tmp_path / "a.mgh", ReadSettings(volumes="all"))
    assert time.monotonic() - began < 1


def test_a_scan_without_a_place_says_so(tmp_path):
    nib.save(nib.MGHImage(VOXELS.astype("i2"), TURNED), tmp_path / "a.mgh")
    content = bytearray((tmp_path / "a.mgh").read_bytes())
    content[28:30] = b"\0\0"
    (tmp_path / "a.mgh").write_bytes(content)
    assert "left and right" in read_volume(tmp_path / "a.mgh").warnings[0]
