"""What a file is, by its first bytes; and what is often mistaken for a scan, named as what it is."""

import zlib
from pathlib import Path

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.kinds import is_dicom
from napari_apprentice.scans.raw import GZIP
from napari_apprentice.scans.suffixes import ITK, MGH, NIFTI, PAIR, PICTURE, TIFF, ZARR, suffix_of

_LENGTH = 1024
_READ = "NIfTI, Analyze, MGH, NRRD, MetaImage, DICOM, OME-Zarr, TIFF, PNG, JPEG"
_PAGE = "is a web page, not a scan; the download went wrong. Fetch it again."
# First bytes of what is often mistaken for a scan.
_SIGNS = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the scan itself; fetch it with git lfs pull."),
    (b"<!doctype", _PAGE),
    (b"<html", _PAGE),
    (b"<?xml", "is an XML document, not a scan; the download may have gone wrong. Fetch it again."),
    (b"bzh", "is packed with bzip2; unpack it first, for example with bunzip2."),
    (b"pk\x03\x04", "is a zip archive; unpack it first."),
    (b"7z\xbc\xaf", "is a 7-Zip archive; unpack it first."),
    (b"\xfd7zxz", "is packed with xz; unpack it first."),
    (b"rar!", "is a RAR archive; unpack it first."),
    (b"%pdf", "is a PDF document, not a scan."),
)
# Formats of others, by suffix, and what turns them into one that is read.
_FOREIGN = {
    ".mnc": "is a MINC file, which is not read; convert it to .nii, for example with mnc2nii.",
    ".rec": "is a Philips PAR/REC scan, which is not read; convert it to .nii, for example with dcm2niix.",
    ".par": "is a Philips PAR/REC scan, which is not read; convert it to .nii, for example with dcm2niix.",
    ".xml": "is an XML document, not a scan.",
    ".mif": "is an MRtrix file, which is not read; convert it to .nii, for example with mrconvert.",
    ".head": "is an AFNI file, which is not read; convert it to .nii, for example with 3dAFNItoNIFTI.",
    ".brik": "is an AFNI file, which is not read; convert it to .nii, for example with 3dAFNItoNIFTI.",
    ".v": "is an ECAT file, which is not read; convert it to .nii.",
    ".czi": "is a Zeiss CZI file, which is not read; convert it to OME-Zarr, as bioformats2raw does.",
    ".nd2": "is a Nikon ND2 file, which is not read; convert it to OME-Zarr, as bioformats2raw does.",
    ".lif": "is a Leica LIF file, which is not read; convert it to OME-Zarr, as bioformats2raw does.",
    ".svs": "is a whole-slide picture, which is not read; convert it to OME-Zarr.",
    ".raw": "holds voxels without a header; open the .mhd or .nhdr file that belongs to it.",
    ".bvec": "is a table of directions, not a scan.",
    ".part": "is a half download; wait for it to end, or fetch it again.",
    ".crdownload": "is a half download; wait for it to end, or fetch it again.",
    ".download": "is a half download; wait for it to end, or fetch it again.",
}  # fmt: skip


def kind_of(path: Path) -> str:
    """Kind of a file or folder: its content decides, its name only where the content leaves it open.

    Returns
    -------
    One of dicom, zarr, nifti, mgh, itk, tiff, picture.

    Raises
    ------
    ScanError
        It does not exist, is empty, or is known for something else than a scan.
    """
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.exists():
        raise ScanError(f"{path.name} does not exist.")
    if not path.is_file():  # a pipe would be waited for, without end
        raise ScanError(f"{path.name} is neither a file nor a folder, so it cannot be a scan.")
    with path.open("rb") as file:
        start = file.read(_LENGTH)
    if not start:
        raise ScanError(f"{path.name} is empty; fetch it again.")
    if is_dicom(path):
        return "dicom"
    suffix = suffix_of(path)
    if suffix in ZARR and start.startswith(b"PK\x03\x04"):
        return "zarr"
    _refuse_by_sight(path, start)
    kind = _kind_of_content(start, path) or _kind_of_suffix(suffix)
    if not kind:
        raise ScanError(f"{path.name} is of no format that is read ({_READ}); convert it to .nii.gz.")
    return kind


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group or array, version 2 or 3."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))


def _kind_of_folder(path: Path) -> str:
    if is_zarr(path):
        return "zarr"
    if is_dicom(path):
        return "dicom"
    raise ScanError(f"{path.name} is a folder: it holds no scan that can be read.")


def _refuse_by_sight(path: Path, start: bytes) -> None:
    plain = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for sign, sentence in _SIGNS:
        if plain.startswith(sign):
            raise ScanError(f"{path.name} {sentence}")
    packed = path.name.lower().removesuffix(".gz")
    for suffix, sentence in _FOREIGN.items():
        if packed.endswith(suffix):
            raise ScanError(f"{path.name} {sentence}")


def _kind_of_content(start: bytes, path: Path) -> str:
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if start.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")):
        return "picture"
    if start.startswith(b"NRRD000") and suffix_of(path) in (*ITK, ""):
        return "itk"
    if start.startswith(GZIP):
        start = _unzipped(start)
    nifti = start[344:347] in (b"n+1", b"ni1") or start[4:7] in (b"n+2", b"ni2")
    return "nifti" if nifti else ""


def _kind_of_suffix(suffix: str) -> str:
    kinds = {"nifti": (*NIFTI, *PAIR), "mgh": MGH, "itk": ITK, "tiff": TIFF, "picture": PICTURE}
    return next((kind for kind, suffixes in kinds.items() if suffix in suffixes), "")


def _unzipped(start: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(start, _LENGTH)
    except zlib.error:
        return b""
