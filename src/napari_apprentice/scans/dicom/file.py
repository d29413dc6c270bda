"""One DICOM file in: parsed with pydicom, kept from running away over a damaged one, and quietly."""

import io
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom.config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from napari_apprentice.errors import ApprenticeError, ScanError

# Groups 7FE0 and above: pixel data, and what trails it.
PIXELS = 0x7FE00000
# A real header has some hundreds of top-level elements, and some hundred thousand in those of a thousand
# frames; a block of zeros looks like millions of empty ones.
MOST_ELEMENTS = 20_000
MOST_READS = 3_000_000
# Deflated files of up to this many bytes inside, or this many times their size, are believed.
MOST_INFLATED = 64 * 2**20
MOST_RATIO = 100


class CountedFile(io.BufferedReader):
    """A file for pydicom to read that gives up on a header without an end."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path), 2**16)
        self._title = path.name
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's; ScanError after `MOST_READS` calls."""
        self._reads += 1
        if self._reads > MOST_READS:
            raise endless(self._title)
        return super().read(size)


def endless(name: str) -> ScanError:
    """The error for a header that goes on and on."""
    return ScanError(f"{name} is damaged: its header does not end. Fetch it again.")


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom from warning about values that break the standard's rules.

    Its warnings also go to a log, with the value in them: it may be a person's name.
    """
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises over a damaged file, at once or when a value is first looked at, into a sentence."""
    try:
        yield
    except (ApprenticeError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # the disk's, not the file's
            raise
        raise ScanError(f"{path.name} is damaged or no DICOM file; fetch it again.") from error


def read_header(path: Path, keywords: tuple[str, ...]) -> Dataset:
    """Parse a file up to its voxels and keep the attributes named.

    Raises
    ------
    ScanError
        Empty or damaged.
    """
    with CountedFile(path) as file:
        return _parse(file, path, keywords, pixels=False)


def read_whole(file: CountedFile, path: Path) -> Dataset:
    """Parse an open file with its voxels; `path` is only named in errors and looked at for its compression."""
    return _parse(file, path, (), pixels=True)


def _parse(file: CountedFile, path: Path, keywords: tuple[str, ...], *, pixels: bool) -> Dataset:
    seen = 0

    def stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal seen
        seen += 1
        if seen > MOST_ELEMENTS:
            raise endless(path.name)
        return not pixels and tag >= PIXELS

    tags: list[BaseTag | int] | None = [Tag(tag_for_keyword(k) or 0) for k in keywords] or None
    with naming(path):
        _check_deflated(path)
        parsed: Dataset = read_partial(file, stop_when=stop, force=True, specific_tags=tags)
    return parsed


def _check_deflated(path: Path) -> None:
    """Refuse a deflated file that would fill the memory; the rest of pydicom inflates it in one go."""
    with path.open("rb") as file:
        if DeflatedExplicitVRLittleEndian.encode() not in file.read(2048):
            return
        meta = read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        file.seek(144 + int(meta.FileMetaInformationGroupLength))
        allowed = max(MOST_INFLATED, MOST_RATIO * path.stat().st_size)
        inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while packed := file.read(2**16):
            total += len(inflater.decompress(packed))
            if total > allowed:
                raise ScanError(f"{path.name} is damaged: unpacked, it would fill {total:,} bytes and more.")


def text_of(header: Dataset | Mapping[str, Any], keyword: str) -> str:
    """An attribute as text, several values joined by backslashes; "" when missing or unreadable."""
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 - conversion of a damaged value may raise anything
        return ""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip().strip("\0").strip()
    if isinstance(value, bytes):
        return ""
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(str(v) for v in value).strip()
    return str(value).strip()


def numbers_of(header: Dataset | Mapping[str, Any], keyword: str) -> tuple[float, ...]:
    """An attribute as numbers; empty when missing or when one of its values is no finite number."""
    text = text_of(header, keyword)
    try:
        found = tuple(float(part) for part in text.split("\\")) if text else ()
    except ValueError:
        return ()
    return found if all(abs(n) < float("inf") for n in found) else ()


def number_of(header: Dataset | Mapping[str, Any], keyword: str, default: float = float("nan")) -> float:
    """The first number of an attribute, or `default`."""
    found = numbers_of(header, keyword)
    return found[0] if found else default
