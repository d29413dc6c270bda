import math

import numpy as np
import pytest
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_builder import one_slice, random_voxels
from napari_apprentice.scans.dicom.codestream import claimed_voxels


def stream_of(uid: str) -> bytes:
    data = one_slice(random_voxels((40, 36)), (0, 0, 0))
    data.compress(uid)
    return get_frame(data.PixelData, 0, number_of_frames=1)


@pytest.mark.parametrize("uid", [JPEG2000Lossless, JPEGLSLossless])
def test_what_encoders_write_claims_its_true_size(uid: str):
    assert claimed_voxels(stream_of(uid)) == 40 * 36


def test_other_streams_claim_nothing():
    assert claimed_voxels(stream_of(RLELossless)) is None
    assert claimed_voxels(b"") is None


def test_a_claim_of_a_whole_disc_is_seen():
    stream = bytearray(stream_of(JPEG2000Lossless))
    place = stream.find(b"\xff\x51") + 6
    stream[place : place + 4] = (1_000_000).to_bytes(4, "big")
    assert claimed_voxels(bytes(stream)) == 40 * 1_000_000


@pytest.mark.parametrize("uid", [JPEG2000Lossless, JPEGLSLossless])
def test_streams_cut_short_before_their_size_are_not_believed(uid: str):
    claims = {claimed_voxels(stream_of(uid)[:length]) for length in (4, 5, 6)}
    assert claims <= {math.inf, None}
    assert math.inf in claims


def test_more_tiles_than_the_format_can_count_are_not_believed():
    stream = bytearray(stream_of(JPEG2000Lossless))
    place = stream.find(b"\xff\x51") + 6
    sizes = np.array([5000, 5000, 0, 0, 1, 1, 0, 0], ">u4").tobytes()
    stream[place : place + 32] = sizes
    assert claimed_voxels(bytes(stream)) == math.inf
