"""Bytes of a file, unzipped to the trailer, without trusting what its header claims."""

import hashlib
import zlib
from collections.abc import Generator
from pathlib import Path

from napari_apprentice.errors import ScanError

GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20
# Deflate cannot shrink further than this, so that a header claiming more than it is a lie.
_RATIO = 1032
_TRAILING = 16 << 20


class RawFile:
    """Streams a file's content once, plain or gzip by its first bytes, and hashes the file on the way.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ScanError
        While reading: cut off, or a checksum does not hold.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.warnings: list[str] = []
        self._sha = hashlib.sha256()
        size = path.stat().st_size
        self._file = path.open("rb")
        zipped = self._file.peek(2)[:2] == GZIP
        self.most = size * _RATIO if zipped else size
        self._content = self._unzip() if zipped else self._blocks()
        self._left = b""

    def __enter__(self) -> "RawFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._content.close()
        self._file.close()

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes read so far; of the whole file after `finish`."""
        return self._sha.hexdigest()

    def read(self, count: int, what: str) -> bytearray:
        """Read exactly `count` bytes.

        Raises
        ------
        ScanError
            The file is shorter; decided before any memory is taken where its size tells.
        """
        if count > self.most:
            raise ScanError(
                f"{self.name} is cut off or damaged: its header promises {what} of {count:,} bytes, more than "
                "the file can hold. Fetch it again."
            )
        data = bytearray(count)
        filled = 0
        while filled < count:
            block = self._left or next(self._content, b"")
            if not block:
                raise ScanError(f"{self.name} is cut off: {what} ends after {filled:,} of {count:,} bytes.")
            taken = block[: count - filled]
            data[filled : filled + len(taken)] = taken
            filled += len(taken)
            self._left = block[len(taken) :]
        return data

    def finish(self) -> None:
        """Read on to the end, so that gzip's checksum speaks for the voxels."""
        extra = len(self._left)
        for block in self._content:
            extra += len(block)
            if extra > _TRAILING:
                raise ScanError(f"{self.name} goes on far beyond its voxels; it is no intact scan.")
        if extra:
            self.warnings.append(f"{self.name} goes on for {extra} bytes after its voxels; they were ignored.")

    def _blocks(self) -> Generator[bytes, None, None]:
        while block := self._file.read(_BLOCK):
            self._sha.update(block)
            yield block

    def _unzip(self) -> Generator[bytes, None, None]:
        member = zlib.decompressobj(31)
        for block in self._blocks():
            while block:
                if member.eof:
                    if not block.startswith(GZIP):
                        self._ignore(block)
                        return
                    member = zlib.decompressobj(31)
                try:
                    out = member.decompress(block, _BLOCK)
                except zlib.error as error:
                    raise ScanError(f"{self.name} is damaged: its gzip checksum does not hold.") from error
                block = member.unused_data if member.eof else member.unconsumed_tail
                if out:
                    yield out
        if not member.eof:
            raise ScanError(f"{self.name} is cut off: its gzip stream has no end. Fetch it again.")

    def _ignore(self, block: bytes) -> None:
        if block.strip(b"\0"):
            self.warnings.append(f"{self.name} holds bytes after its gzip stream; they were ignored.")
        for _ in self._blocks():  # for the digest
            pass
