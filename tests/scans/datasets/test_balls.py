import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

import data_sets
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.errors import InputError
from napari_apprentice.scans.datasets.balls import label_map_of
from napari_apprentice.scans.datasets.finding import find_scans
from napari_apprentice.scans.datasets.found import Ball
from napari_apprentice.scans.reader import read_volume

SHEARED = np.array([[-0.7, 0.1, 0.0, 9.0], [0.1, 0.8, 0.3, -4.0], [0.0, -0.2, 2.5, 8.0], [0.0, 0.0, 0.0, 1.0]])


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(0, n - 1) for n in (9, 20, 24)]), st.floats(0.1, 12))
def test_a_voxel_is_labelled_when_its_centre_lies_in_the_sphere(place, diameter):
    geometry = Geometry.from_source((24, 20, 9), SHEARED)
    centre = (geometry.affine @ [*place, 1])[:3]
    made = label_map_of([Ball(tuple(centre), diameter)], geometry)
    index = np.indices(geometry.shape).reshape(3, -1)
    world = geometry.affine[:3, :3] @ index + geometry.affine[:3, 3:]
    apart = np.linalg.norm(world - centre[:, None], axis=0).reshape(geometry.shape)
    expected = apart < diameter / 2
    differing = (made.voxels > 0) != expected
    # Several where the centre lies half-way between voxels.
    nearest = (np.abs(index - np.array(place)[:, None]).max(axis=0) <= 0.5 + 1e-6).reshape(geometry.shape)
    differing[nearest] = False
    assert made.voxels[nearest].any()
    assert not differing[np.abs(apart - diameter / 2) > 1e-6].any()


def test_a_sphere_outside_of_the_scan_is_told():
    made = label_map_of([Ball((1e4, 0, 0), 5.0)], Geometry.from_source((8, 8, 8), np.eye(4)))
    assert not made.voxels.any()
    assert "1 of 1" in made.warnings[0]


def test_annotations_in_lps_land_where_simpleitk_finds_them(tmp_path):
    uid = "1.3.6.1.4.1.14519.5.2.1"
    image = sitk.Image(30, 25, 12, sitk.sitkInt16)
    image.SetOrigin((-50.0, 20.0, -300.0))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    (tmp_path / "subset0").mkdir()
    sitk.WriteImage(image, str(tmp_path / "subset0" / f"{uid}.mhd"))
    point = image.TransformContinuousIndexToPhysicalPoint((11.0, 7.0, 5.0))
    rows = f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{uid},{','.join(map(str, point))},4.0\nabsent,1,1,1,3\n"
    (tmp_path / "annotations.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "candidates.csv").write_text("seriesuid,coordX,coordY,coordZ,class\n", encoding="utf-8")
    (tmp_path / "seg-lungs-LUNA16").mkdir()
    sitk.WriteImage(image, str(tmp_path / "seg-lungs-LUNA16" / f"{uid}.mhd"))
    found = find_scans([tmp_path])
    assert (found.kind, [c.case_id for c in found.cases]) == ("luna16", [uid])
    assert any("1 scans that annotations.csv names are not in this folder" in note for note in found.notes)
    geometry = read_volume(found.cases[0].channels[0].path).geometry
    voxels = geometry.to_source(label_map_of(found.cases[0].balls, geometry).voxels)
    np.testing.assert_allclose(np.argwhere(voxels).mean(axis=0), (11, 7, 5))


def test_a_damaged_annotation_names_its_line(tmp_path):
    (tmp_path / "annotations.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\nx,1,2,three,4\n", encoding="utf-8"
    )
    data_sets.scan(tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match="line 2"):
        find_scans([tmp_path])
