"""Endings of file names by which kinds of files are told apart."""

from pathlib import Path

NIFTI = (".nii", ".nii.gz")
PAIR = (".hdr", ".hdr.gz", ".img", ".img.gz")
MGH = (".mgz", ".mgh", ".mgh.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
ZARR = (".ome.zarr", ".zarr", ".ome.zarr.zip", ".zarr.zip", ".ozx")
TIFF = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
PICTURE = (".png", ".jpg", ".jpeg")
DICOM = (".dcm",)
# Of files and folders; DICOM is told by content, since its files often have no suffix.
SUFFIXES = (*NIFTI, *PAIR, *MGH, *ITK, *ZARR, *TIFF, *PICTURE)


def suffix_of(path: Path) -> str:
    """A path's readable suffix in lower case, ".nii.gz" as one; "" when it has none."""
    name = path.name.lower()
    return next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(s)), "")


def stem_of(path: Path) -> str:
    """A path's name without its readable suffix."""
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.stem
