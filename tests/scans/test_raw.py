import gzip
import hashlib
import tracemalloc

import numpy as np
import pytest

from builders import write_nifti
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.raw import RawFile
from napari_apprentice.scans.reader import read_volume

# Longer than what is read, and what is unzipped, at a time.
CONTENT = np.random.default_rng(0).integers(0, 50, 3_000_001).astype(np.uint8).tobytes()


def _whole(path):
    with RawFile(path) as raw:
        out = np.empty(len(CONTENT), np.uint8)
        raw.fill(out, "it")
        raw.finish()
        return out.tobytes(), raw.digest, raw.warnings


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_content_and_digest_are_those_of_the_file(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack(CONTENT))
    content, digest, warnings = _whole(tmp_path / "a")
    assert content == CONTENT
    assert digest == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    assert warnings == []


def test_members_may_begin_anywhere_in_the_file(tmp_path):
    """Also where the two bytes of a member's sign are read in two pieces."""
    block = 1 << 18
    first = gzip.compress(CONTENT[:1], mtime=0)
    for cut in (block - 2, block - 1, block, block + 1):
        padding = cut - len(first)
        stored = gzip.compress(bytes(0), mtime=0)
        packed = first + stored * (padding // len(stored))
        # The file name in a gzip header may be of any length, and moves the next member to where it is wanted.
        left = cut - len(packed)
        named = bytearray(stored)
        named[3] = 8
        packed = packed[: len(packed) - len(stored)] + bytes(named[:10]) + b"x" * (left - 1) + b"\0" + stored[10:]
        assert len(packed) == cut
        (tmp_path / "a").write_bytes(packed + gzip.compress(CONTENT[1:]))
        assert _whole(tmp_path / "a")[0] == CONTENT


def test_what_is_passed_over_is_checked_and_hashed(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(CONTENT))
    with RawFile(tmp_path / "a") as raw:
        raw.skip(1_500_000, "the space")
        assert raw.read(8, "it") == CONTENT[1_500_000:1_500_008]
        raw.skip(len(CONTENT) - 1_500_008, "the rest")
        with pytest.raises(ScanError, match="the end ends after 0 of 1"):
            raw.skip(1, "the end")
        raw.finish()
        assert raw.digest == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    bad = bytearray(gzip.compress(CONTENT))
    bad[-6] ^= 1
    (tmp_path / "a").write_bytes(bad)
    with pytest.raises(ScanError, match="checksum"):
        _whole(tmp_path / "a")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("scaled", [False, True])
def test_reading_takes_little_more_memory_than_the_volume(tmp_path, suffix, scaled):
    import nibabel as nib

    voxels = np.random.default_rng(0).integers(0, 99, (128, 128, 256)).astype(">i2")
    path = write_nifti(tmp_path / f"a{suffix}", voxels)
    if scaled:
        image = nib.Nifti1Image(voxels.astype("<i2"), np.eye(4))
        image.header.set_slope_inter(2.0, 1.0)
        nib.save(image, path)
    tracemalloc.start()
    try:
        volume = read_volume(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.3 * volume.voxels.nbytes + (8 << 20)
