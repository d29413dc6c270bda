"""The fields of a NIfTI header that say where voxels are: kept as JSON, written back exactly."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from napari_apprentice.core.geometry import Geometry

FORMAT = "nifti"
# Not descrip, aux_file, db_name, intent_name: they may hold names of people.
_NUMBERS = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
            "qoffset_x", "qoffset_y", "qoffset_z", "xyzt_units")  # fmt: skip
_LISTS = ("pixdim", "srow_x", "srow_y", "srow_z")
INTENT_LABEL = 1002  # NIFTI_INTENT_LABEL: voxels are indices into a list of labels


def grid_fields(header: Nifti1Header) -> dict[str, Any]:
    """Geometric fields as JSON values; what is not finite becomes text."""
    fields: dict[str, Any] = {"format": FORMAT, "version": 2 if isinstance(header, Nifti2Header) else 1}
    fields["axes"] = min(3, int(header["dim"][0]))
    fields |= {name: _out(header[name].item()) for name in _NUMBERS}
    fields |= {name: [_out(v) for v in header[name].tolist()] for name in _LISTS}
    return fields


def header_for(geometry: Geometry, dtype: np.dtype[Any]) -> Nifti1Header:
    """A little-endian header for a file on the source's exact grid.

    For a source that was no NIfTI the affine goes into the s-form (float32, as the format has it), and
    into the q-form where it has no shear.
    """
    fields = geometry.header
    ours = fields.get("format") == FORMAT
    header = Nifti2Header(endianness="<") if ours and fields["version"] == 2 else Nifti1Header(endianness="<")
    axes = int(fields.get("axes", 3))
    header.set_data_shape(geometry.source_shape[: max(2, axes)])
    header.set_data_dtype(dtype)
    if ours:
        _restore(header, fields)
    else:
        _from_affine(header, geometry)
    header["magic"] = b"n+2" if isinstance(header, Nifti2Header) else b"n+1"
    header["scl_slope"], header["scl_inter"] = 1, 0
    return header


def _restore(header: Nifti1Header, fields: Mapping[str, Any]) -> None:
    for name in _NUMBERS:
        header[name] = float(fields[name])
    for name in _LISTS:
        header[name] = [float(v) for v in fields[name]]


def _from_affine(header: Nifti1Header, geometry: Geometry) -> None:
    affine = geometry.source_affine
    header.set_xyzt_units("mm")
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header.set_sform(affine, code=1)
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.allclose(columns.T @ columns, np.eye(3), atol=1e-5):
        header.set_qform(affine, code=1)


def _out(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
