"""What a compressed picture says of its own size: looked at before a decoder asks for that much memory."""

import math
import struct

# ISO/IEC 15444-1, A.5.1: start of codestream, then the SIZ marker.
_J2K = b"\xff\x4f\xff\x51"
# ISO/IEC 10918-1, table B.1, and 14495-1: start of frame, in all its kinds.
_FRAMES = (*(m for m in range(0xC0, 0xD0) if m not in (0xC4, 0xC8, 0xCC)), 0xF7)
_MOST_TILES = 65535  # a tile's number has 16 bits
_NEAR = 4096


def claimed_voxels(stream: bytes) -> float | None:
    """Voxels that a JPEG, JPEG-LS or JPEG 2000 stream claims to hold.

    Returns
    -------
    Their number; infinite where the claim cannot be meant; None when the stream is of none of these kinds.
    """
    place = stream[:_NEAR].find(_J2K)
    if place >= 0:
        return _of_j2k(stream[place + 4 :])
    return _of_jpeg(stream) if stream[:2] == b"\xff\xd8" else None


def _of_j2k(siz: bytes) -> float:
    if len(siz) < 38:
        return math.inf
    across, down, _, _, tile_across, tile_down, left, top, parts = struct.unpack(">4x8IH", siz[:38])
    if not tile_across or not tile_down or not 1 <= parts <= 4 or left >= across or top >= down:
        return math.inf
    tiles = math.ceil((across - left) / tile_across) * math.ceil((down - top) / tile_down)
    return math.inf if tiles > _MOST_TILES else float(across) * down


def _of_jpeg(stream: bytes) -> float:
    place = 2
    while place + 9 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker in _FRAMES:
            size = stream[place + 5 : place + 9]
            return float(int.from_bytes(size[:2], "big") * int.from_bytes(size[2:], "big"))
        if marker == 0xFF:  # filling
            place += 1
            continue
        place += 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
    return math.inf
