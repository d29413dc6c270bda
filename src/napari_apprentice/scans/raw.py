"""Bytes of a file, unzipped to the trailer, without trusting what its header claims."""

import hashlib
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from isal import igzip_lib
from numpy.typing import NDArray

from napari_apprentice.errors import ScanError

GZIP = b"\x1f\x8b"
# Pieces small enough for a processor's cache: what is unzipped is copied to its place from there.
_BLOCK = 1 << 18
_PIECE = 1 << 20
# Deflate cannot shrink further than this, so that a header claiming more than it is a lie.
RATIO = 1032
_TRAILING = 16 << 20
_FAULT = cast(type[Exception], igzip_lib.error)  # its stub calls it an instance


class RawFile:
    """Streams a file's content once, plain or gzip by its first bytes, and hashes the file on the way.

    Hashing runs in a thread beside the unzipping; both let go of Python's lock.

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
        self._hasher = ThreadPoolExecutor(1)
        self._hashing: Future[None] | None = None
        size = path.stat().st_size
        self._file = path.open("rb")
        self.zipped = self._file.peek(2)[:2] == GZIP
        self.most = size * RATIO if self.zipped else size
        self._content = self._unzip() if self.zipped else self._blocks()
        self._left = memoryview(b"")

    def __enter__(self) -> "RawFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._content.close()
        self._hasher.shutdown()
        self._file.close()

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes read so far; of the whole file after `finish`."""
        if self._hashing is not None:
            self._hashing.result()
        return self._sha.hexdigest()

    def check(self, count: int, what: str) -> None:
        """Refuse a promise of more bytes than the file's size allows, before any memory is taken.

        Raises
        ------
        ScanError
            The file cannot hold as many.
        """
        if count > self.most:
            raise ScanError(
                f"{self.name} is cut off or damaged: its header promises {what} of {count:,} bytes, more than "
                "the file can hold. Fetch it again."
            )

    def read(self, count: int, what: str) -> bytes:
        """Read exactly `count` bytes, of a header.

        Raises
        ------
        ScanError
            The file is shorter; decided before any memory is taken where its size tells.
        """
        self.check(count, what)
        data = np.empty(count, np.uint8)
        self.fill(data, what)
        return data.tobytes()

    def fill(self, array: NDArray[Any], what: str) -> None:
        """Read on into a C-contiguous array, each byte of it, without a second copy of it.

        Raises
        ------
        ScanError
            The file is shorter.
        """
        view, filled = array.reshape(-1).view(np.uint8).data, 0
        while filled < len(view):
            block = self._next()
            if not block:
                raise ScanError(f"{self.name} is cut off: {what} ends after {filled:,} of {len(view):,} bytes.")
            taken = block[: len(view) - filled]
            view[filled : filled + len(taken)] = taken
            filled += len(taken)
            self._left = block[len(taken) :]

    def skip(self, count: int, what: str) -> None:
        """Pass over `count` bytes, checked and hashed like any other.

        Raises
        ------
        ScanError
            The file is shorter.
        """
        self.check(count, what)
        passed = 0
        while passed < count:
            block = self._next()
            if not block:
                raise ScanError(f"{self.name} is cut off: {what} ends after {passed:,} of {count:,} bytes.")
            taken = min(len(block), count - passed)
            passed += taken
            self._left = block[taken:]

    def finish(self, *, footer: bool = False) -> None:
        """Read on to the end, so that gzip's checksum speaks for the voxels; a `footer` may follow them."""
        extra = len(self._left)
        self._left = memoryview(b"")
        for block in self._content:
            extra += len(block)
            if extra > _TRAILING:
                raise ScanError(f"{self.name} goes on far beyond its voxels; it is no intact scan.")
        if extra and not footer:
            self.warnings.append(f"{self.name} goes on for {extra} bytes after its voxels; they were ignored.")

    def _next(self) -> memoryview:
        return self._left if len(self._left) else memoryview(next(self._content, b""))

    def _blocks(self) -> Generator[bytes, None, None]:
        while block := self._file.read(_BLOCK):
            if self._hashing is not None:
                self._hashing.result()
            self._hashing = self._hasher.submit(self._sha.update, block)
            yield block

    def _unzip(self) -> Generator[bytes, None, None]:
        member, carried = None, b""
        for read in self._blocks():
            block, carried = carried + read, b""
            while block:
                if member is None or member.eof:
                    if block == GZIP[:1]:  # the rest of the next member's sign is in the next block
                        carried = block
                        break
                    if member is not None and not block.startswith(GZIP):
                        self._ignore(block)
                        return
                    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
                yield from self._pieces(member, block)
                block = member.unused_data if member.eof else b""
        if member is None or not member.eof:
            raise ScanError(f"{self.name} is cut off: its gzip stream has no end. Fetch it again.")

    def _pieces(self, member: Any, block: bytes) -> Generator[bytes, None, None]:
        """What a block of the file unzips to, at most a piece at a time."""
        while True:
            try:
                out = member.decompress(block, _PIECE)
            except _FAULT as error:
                raise ScanError(f"{self.name} is damaged: its gzip checksum does not hold.") from error
            if out:
                yield out
            if member.eof or member.needs_input:
                return
            block = b""

    def _ignore(self, block: bytes) -> None:
        if block.strip(b"\0"):
            self.warnings.append(f"{self.name} holds bytes after its gzip stream; they were ignored.")
        for _ in self._blocks():  # for the digest
            pass
