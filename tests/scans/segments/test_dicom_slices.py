"""Single slices of DICOM objects on the grids of cases, in all 48 orientations."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.segments.slices import slices_of

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def _header(affine, shape, k):
    """A slice (i right, j down) of a grid in LPS as DICOM would say it."""
    columns, rows, _ = shape
    sizes = np.linalg.norm(affine[:3, :2], axis=0)
    header = Dataset()
    header.Rows, header.Columns = rows, columns
    header.ImagePositionPatient = [f"{v:.9f}"[:16] for v in (affine @ [0, 0, k, 1])[:3]]
    header.ImageOrientationPatient = [f"{v:.12f}"[:16] for v in (affine[:3, :2] / sizes).T.ravel()]
    header.PixelSpacing = [f"{sizes[1]:.9f}", f"{sizes[0]:.9f}"]
    return header


def _affine(orientation, angle, shear):
    permutation, signs = orientation
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(permutation)] * signs * (0.7, 1.3, 2.9)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 2] += shear * affine[:3, 1]
    affine[:3, 3] = (-101.5, 33.25, 7.125)
    return affine


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.floats(-0.6, 0.6),
    st.sampled_from([0.0, 0.0, 0.3]),
    st.data(),
)
def test_a_slice_finds_its_pixels_in_any_orientation(orientation, shape, angle, shear, data):
    affine = _affine(orientation, angle, shear)
    geometry = Geometry.from_source(shape, LPS @ affine)
    source = np.arange(np.prod(shape)).reshape(shape)
    voxels = geometry.to_canonical(source).copy()
    k = data.draw(st.integers(0, shape[2] - 1))
    (one,) = slices_of(_header(affine, shape, k), "a.dcm")
    place = one.place_on(geometry)
    np.testing.assert_array_equal(place.view(voxels), source[:, :, k].T)
    place.view(voxels)[...] = -1
    assert (geometry.to_source(voxels)[:, :, k] == -1).all()
    assert np.count_nonzero(voxels == -1) == shape[0] * shape[1]


def test_a_slice_beside_the_grid_or_between_its_voxels_has_no_place():
    affine = _affine(ORIENTATIONS[0], 0.0, 0.0)
    geometry = Geometry.from_source((5, 4, 3), LPS @ affine)
    for k, found in ((0, True), (2, True), (3, False), (-1, False), (0.5, False)):
        (one,) = slices_of(_header(affine, (5, 4, 3), k), "a.dcm")
        assert (one.place_on(geometry) is not None) == found
    (wider,) = slices_of(_header(affine, (6, 4, 3), 1), "a.dcm")
    assert wider.place_on(geometry) is None
    turned = _affine(ORIENTATIONS[0], 0.05, 0.0)
    (leaning,) = slices_of(_header(turned, (5, 4, 3), 1), "a.dcm")
    assert leaning.place_on(geometry) is None


def test_a_picture_without_a_place_is_refused():
    header = _header(np.eye(4), (5, 4, 3), 0)
    del header.ImagePositionPatient
    with pytest.raises(ScanError, match=r"a\.dcm does not say where its slices lie"):
        slices_of(header, "a.dcm")
