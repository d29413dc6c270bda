"""An encoder of lossless JPEG, the compression of most CT archives, that no library here has."""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def lossless_jpeg(pixels: NDArray[np.unsignedinteger]) -> bytes:
    """Pixels (row, column), uint8 or uint16, predicted from the left (ISO/IEC 10918-1, annex H, selection value 1).

    The Huffman table gives each of the 17 categories of differences 5 bits: not small, but right.
    """
    bits = 8 * pixels.dtype.itemsize
    rows, columns = pixels.shape
    frame = struct.pack(">BHHB3B", bits, rows, columns, 1, 1, 0x11, 0)
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    packed = "".join(_codes(pixels.astype(np.int64), bits))
    packed += "1" * (-len(packed) % 8)
    data = int(packed, 2).to_bytes(len(packed) // 8, "big").replace(b"\xff", b"\xff\0")
    scan = struct.pack(">B2B3B", 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8" + _part(0xC3, frame) + _part(0xC4, table) + _part(0xDA, scan) + data + b"\xff\xd9"


def _part(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _codes(pixels: NDArray[np.int64], bits: int) -> Iterator[str]:
    guess = np.empty_like(pixels)
    guess[:, 1:] = pixels[:, :-1]
    guess[1:, 0] = pixels[:-1, 0]
    guess[0, 0] = 1 << (bits - 1)
    off = (pixels - guess) % 65536
    for step in np.where(off > 32768, off - 65536, off).ravel().tolist():
        size = abs(step).bit_length()
        yield f"{size:05b}"
        if 0 < size < 16:  # category 16 is 32768 and nothing else
            yield f"{step if step > 0 else step + (1 << size) - 1:0{size}b}"
