"""What goes in comes out: written by nibabel or SimpleITK, read, added, exported, and read by them again."""

import itertools
import re
from types import MappingProxyType

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Provenance
from napari_apprentice.loop.exporting import export
from napari_apprentice.scans.itk import LPS_TO_RAS
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.store.study import Study

GRID_FIELDS = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
               "qoffset_z", "srow_x", "srow_y", "srow_z", "pixdim", "xyzt_units")  # fmt: skip
# All 48: which axis goes where, and which way round.
ORIENTATIONS = tuple(itertools.product(itertools.permutations(range(3)), itertools.product((1.0, -1.0), repeat=3)))
NIFTI_KINDS = MappingProxyType(
    {
        ("1", ".nii"): nib.Nifti1Image,
        ("2", ".nii"): nib.Nifti2Image,
        ("1", ".nii.gz"): nib.Nifti1Image,
        ("2", ".nii.gz"): nib.Nifti2Image,
        ("1", ".img"): nib.Nifti1Pair,
        ("2", ".img"): nib.Nifti2Pair,
    }
)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def affines(draw, sheared=True):
    """Any of the 48 orientations, turned a little, with any spacing and offset, sheared or not."""
    (permutation, flips), spacing = draw(st.sampled_from(ORIENTATIONS)), st.floats(0.1, 6.0)
    matrix = np.zeros((3, 3))
    for axis, target in enumerate(permutation):
        matrix[target, axis] = flips[axis]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        angle = draw(st.floats(-0.6, 0.6))
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    if sheared and draw(st.booleans()):
        matrix = (np.eye(3) + np.triu(np.full((3, 3), draw(st.floats(-0.3, 0.3))), 1)) @ matrix
    affine = np.eye(4)
    affine[:3, :3] = matrix * [draw(spacing) for _ in range(3)]
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine


shapes = st.tuples(*[st.integers(1, 7)] * 3)
dtypes = st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])


def _exported(folder, source, suffix):
    """Add a scan to a study, accept labels on it, export them: the labels, the file, the stored scan's voxels."""
    volume = read_volume(source)
    study = Study.create(folder / "a.study", LabelSchema.from_names(["one", "two"]))
    info = study.cases.add("c", "s", volume)
    labels = np.random.default_rng(0).integers(0, 3, info.geometry.shape).astype(np.uint8)
    study.revisions.save("c", labels, np.ones_like(labels), Provenance("me"))
    out = export(study, "c", folder / f"out{suffix}")
    return labels, out, study.cases.voxels("c"), info.geometry


@given(st.sampled_from(sorted(NIFTI_KINDS)), shapes, affines(), dtypes, st.sampled_from("<>"), st.booleans())
@QUICK
def test_nifti_comes_out_as_it_went_in(tmp_path_factory, kind, shape, affine, dtype, order, with_q):
    folder = tmp_path_factory.mktemp("n")
    voxels = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    header = NIFTI_KINDS[kind].header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image = NIFTI_KINDS[kind](voxels, None, header)
    image.header.set_sform(affine, 2)
    if with_q:
        image.header.set_qform(affine, 1, strip_shears=True)
    source = folder / f"a{kind[1]}"
    nib.save(image, source)
    reference = nib.load(source)
    suffix = ".nii.gz" if kind[1] == ".nii.gz" else ".nii"
    labels, out, stored, geometry = _exported(folder, source, suffix)
    np.testing.assert_array_equal(geometry.to_source(stored)[0], np.asarray(reference.dataobj))
    assert geometry.source_affine.tobytes() == reference.affine.tobytes()
    written = nib.load(out)
    assert written.shape == reference.shape
    assert written.affine.tobytes() == reference.affine.tobytes()
    for name in GRID_FIELDS:
        assert reference.header[name].astype(">f8").tobytes() == written.header[name].astype(">f8").tobytes(), name
    np.testing.assert_array_equal(np.asarray(written.dataobj), geometry.to_source(labels))
    np.testing.assert_array_equal(read_label_map(out).voxels, labels)


@given(st.sampled_from([".nrrd", ".mha"]), shapes, affines(sheared=False), dtypes, st.booleans())
@QUICK
def test_nrrd_and_metaimage_come_out_as_they_went_in(tmp_path_factory, suffix, shape, affine, dtype, packed):
    folder = tmp_path_factory.mktemp("i")
    voxels = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    image = sitk.GetImageFromArray(voxels)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    source = folder / f"a{suffix}"
    sitk.WriteImage(image, str(source), packed)
    reference = sitk.ReadImage(str(source))
    labels, out, stored, geometry = _exported(folder, source, suffix)
    np.testing.assert_array_equal(geometry.to_source(stored)[0].T, voxels)
    written = sitk.ReadImage(str(out))
    assert written.GetSize() == reference.GetSize()
    for fact in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(written, fact)() == getattr(reference, fact)(), fact
    again = read_volume(out).geometry
    assert again.source_affine.tobytes() == geometry.source_affine.tobytes()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written).T, geometry.to_source(labels))


@given(shapes, affines())
@settings(QUICK, max_examples=15)
def test_a_sheared_grid_goes_out_as_nrrd_bit_for_bit(tmp_path_factory, shape, affine):
    folder = tmp_path_factory.mktemp("s")
    nib.save(nib.Nifti2Image(np.ones(shape, "u1"), affine), folder / "a.nii")
    labels, out, _, geometry = _exported(folder, folder / "a.nii", ".nrrd")
    head = out.read_bytes().split(b"\n\n")[0].decode()
    vectors = re.search(r"space directions: \((.*)\) \((.*)\) \((.*)\)", head)
    columns = np.array([[float(v) for v in text.split(",")] for text in vectors.groups()]).T
    np.testing.assert_array_equal(columns, LPS_TO_RAS[:3, :3] @ geometry.source_affine[:3, :3])
    np.testing.assert_array_equal(read_label_map(out).voxels, labels)


@given(shapes, affines(), dtypes)
@settings(QUICK, max_examples=15)
def test_any_source_goes_out_as_ome_zarr_and_back_bit_for_bit(tmp_path_factory, shape, affine, dtype):
    folder = tmp_path_factory.mktemp("z")
    nib.save(nib.Nifti2Image(np.ones(shape, dtype), affine, dtype=np.dtype(dtype)), folder / "a.nii")
    labels, out, _, geometry = _exported(folder, folder / "a.nii", ".ome.zarr")
    found = read_label_map(out)
    np.testing.assert_array_equal(found.voxels, labels)
    assert found.geometry.to_json() == geometry.to_json()
