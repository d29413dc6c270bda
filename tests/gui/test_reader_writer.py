"""File > Open and File > Save with napari's own plugin machinery, without a window: files, layers and back."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils.notifications import notification_manager
from npe2 import PluginManager

from builders import OBLIQUE, write_nifti
from napari_apprentice.core.geometry import CANONICAL
from napari_apprentice.gui.layer_volume import volume_from_layer
from napari_apprentice.gui.reader import get_reader
from napari_apprentice.gui.writer import write_labels
from real_data import real_data

SHAPE = (4, 5, 6)  # i, j, k
UPRIGHT = np.array([[0, 0, 3.0, -60], [0.9, 0, 0, 40.0], [0, -1.1, 0, 25], [0, 0, 0, 1]])
NAME = "napari-apprentice"


@pytest.fixture
def viewer() -> Iterator[ViewerModel]:
    """napari without its window; its plugins are those of this environment."""
    PluginManager.instance().discover()
    made = ViewerModel()
    notification_manager.records.clear()
    yield made
    made.layers.clear()


def said() -> list[str]:
    return [str(n.message) for n in notification_manager.records]


def scan(path: Path, affine: np.ndarray = UPRIGHT) -> Path:
    voxels = np.random.default_rng(0).integers(-90, 900, SHAPE).astype(np.int16)
    return write_nifti(path, voxels, affine)


def test_a_scan_lies_in_the_patient_with_unit_and_axes(viewer: ViewerModel, tmp_path: Path) -> None:
    (layer,) = viewer.open(scan(tmp_path / "head.nii.gz"), plugin=NAME)
    assert isinstance(layer, Image)
    assert layer.name == "head"
    assert [str(u) for u in layer.units] == ["millimeter"] * 3
    assert viewer.dims.axis_labels == ("z", "y", "x")
    for index in ((0, 0, 0), (3, 2, 1)):
        source = (UPRIGHT @ [*np.argwhere(volume_from_layer(layer).geometry.to_source(one(layer, index)))[0], 1])[:3]
        np.testing.assert_allclose(layer.data_to_world(index), CANONICAL @ source, atol=1e-6)
    assert said() == []


def one(layer: Image, index: tuple[int, int, int]) -> np.ndarray:
    voxels = np.zeros(layer.data.shape)
    voxels[index] = 1
    return voxels


@pytest.mark.parametrize("affine", [UPRIGHT, OBLIQUE])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_a_scan_turned_into_labels_is_saved_on_its_exact_grid(
    viewer: ViewerModel, tmp_path: Path, affine: np.ndarray, suffix: str
) -> None:
    source = nib.load(scan(tmp_path / "head.nii.gz", affine))
    (layer,) = viewer.open(tmp_path / "head.nii.gz", plugin=NAME)
    place = {name: getattr(layer, name) for name in ("scale", "translate", "metadata")}
    painted = viewer.add_labels(3 * (layer.data > 400), **place)
    viewer.layers.selection = {painted}
    out = str(tmp_path / f"out{suffix}")
    assert viewer.layers.save(out, selected=True, plugin=NAME) == [out]
    written = nib.load(tmp_path / f"out{suffix}")
    assert written.affine.tobytes() == source.affine.tobytes()
    for field in ("qform_code", "sform_code", "srow_x", "quatern_b", "qoffset_z", "pixdim"):
        np.testing.assert_array_equal(written.header[field], source.header[field])
    np.testing.assert_array_equal(np.asarray(written.dataobj), 3 * (np.asarray(source.dataobj) > 400))


def test_a_scan_is_saved_again_voxel_for_voxel(viewer: ViewerModel, tmp_path: Path) -> None:
    source = nib.load(scan(tmp_path / "head.nii.gz", OBLIQUE))
    (layer,) = viewer.open(tmp_path / "head.nii.gz", plugin=NAME)
    notification_manager.records.clear()
    layer.save(str(tmp_path / "out.nii"), plugin=NAME)
    written = nib.load(tmp_path / "out.nii")
    assert written.get_data_dtype() == source.get_data_dtype()
    assert written.affine.tobytes() == source.affine.tobytes()
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(source.dataobj))
    assert said() == []


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_layer_without_a_scan_is_saved_where_it_lies(viewer: ViewerModel, tmp_path: Path, suffix: str) -> None:
    labels = np.zeros((3, 4, 5), np.int32)
    labels[2, 1, 3] = 7
    layer = viewer.add_labels(labels, name="mine", scale=(3, 0.5, 0.8), translate=(10, -20, 30))
    layer.save(str(tmp_path / f"out{suffix}"), plugin=NAME)
    image = sitk.ReadImage(str(tmp_path / f"out{suffix}"))
    lps = image.TransformPhysicalPointToContinuousIndex((30 + 3 * 0.8, -20 + 0.5, 10 + 2 * 3.0))
    assert image.GetPixel([round(v) for v in lps]) == 7
    np.testing.assert_allclose(lps, np.round(lps), atol=1e-5)
    assert any("mine has no scan behind it" in text for text in said())


def test_rotation_and_shear_of_a_layer_go_along(tmp_path: Path) -> None:
    layer = Labels(np.ones((3, 4, 5), np.uint8), rotate=20, shear=(0, 0.1, 0), scale=(2, 1, 1), name="turned")
    write_labels(str(tmp_path / "a.nii"), *layer.as_layer_data_tuple()[:2])
    affine = nib.load(tmp_path / "a.nii").affine
    for index in np.ndindex(2, 2, 2):
        z, y, x = layer.data_to_world(index)
        written = {tuple(np.round((affine @ [*ijk, 1])[:3], 4)) for ijk in np.ndindex(5, 4, 3)}
        assert tuple(np.round((-x, -y, z), 4)) in written


def test_a_scan_that_was_moved_is_saved_where_it_was_moved_to(viewer: ViewerModel, tmp_path: Path) -> None:
    (layer,) = viewer.open(scan(tmp_path / "head.nii.gz"), plugin=NAME)
    layer.translate = np.add(layer.translate, (0, 0, 7))
    layer.save(str(tmp_path / "out.nii"), plugin=NAME)
    moved = nib.load(tmp_path / "out.nii").affine
    corners = [{tuple(np.round((a @ [*c, 1])[:3], 3)) for c in np.ndindex(s)} for a, s in
               ((moved, nib.load(tmp_path / "out.nii").shape), (UPRIGHT, SHAPE))]  # fmt: skip
    assert corners[0] == {(round(x - 7, 3), y, z) for x, y, z in corners[1]}
    assert any("does not lie on its source's grid any more" in text for text in said())


def test_a_piece_cut_out_of_an_oblique_scan_is_saved_where_it_is_in_the_patient(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    (layer,) = viewer.open(scan(tmp_path / "head.nii.gz", OBLIQUE), plugin=NAME)
    corner = layer.data_to_world((1, 2, 0))
    piece = Image(layer.data[1:4, 2:, :3], scale=layer.scale, translate=corner, metadata=layer.metadata, name="piece")
    piece.save(str(tmp_path / "piece.nii.gz"), plugin=NAME)
    written, source = nib.load(tmp_path / "piece.nii.gz"), nib.load(tmp_path / "head.nii.gz")
    assert written.shape != source.shape
    values = np.asarray(source.dataobj)
    for index, value in np.ndenumerate(np.asarray(written.dataobj)):
        found = np.linalg.solve(source.affine, written.affine @ [*index, 1])[:3]
        assert values[tuple(np.round(found).astype(int))] == value
        np.testing.assert_allclose(found, np.round(found), atol=1e-5)
    assert any("part of the grid of its source" in text for text in said())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".ome.zarr"])
def test_names_and_colours_of_labels_come_back(viewer: ViewerModel, tmp_path: Path, suffix: str) -> None:
    layer = viewer.add_labels(
        np.ones((3, 4, 5), np.uint8), features={"index": [0, 1], "label": ["background", "liver"]},
        colormap={None: "white", 0: "transparent", 1: "#112233"},
    )  # fmt: skip
    out = str(tmp_path / f"out{suffix}")
    layer.save(out, plugin=NAME)
    (back,) = viewer.open(out, plugin=NAME)
    assert isinstance(back, Labels)
    assert list(back.features["label"]) == ["background", "liver"]
    np.testing.assert_array_equal(back.data, layer.data)
    np.testing.assert_allclose(back.scale, layer.scale)
    np.testing.assert_allclose(back.get_color(1)[:3], np.array([0x11, 0x22, 0x33]) / 255, atol=1e-3)


def test_several_channels_become_several_layers(viewer: ViewerModel, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 9, (*SHAPE, 3), dtype=np.uint8)
    image = sitk.GetImageFromArray(voxels, isVector=True)
    sitk.WriteImage(image, str(tmp_path / "rgb.mha"))
    layers = viewer.open(tmp_path / "rgb.mha", plugin=NAME)
    assert len(layers) == 3
    assert len({layer.name for layer in layers}) == 3


def test_a_file_that_is_no_scan_is_told_in_a_sentence(viewer: ViewerModel, tmp_path: Path) -> None:
    (tmp_path / "page.nii.gz").write_text("<!doctype html>")
    assert viewer.open(tmp_path / "page.nii.gz", plugin=NAME) == []
    assert len(said()) == 1
    assert "web page" in said()[0]


def test_a_layer_of_four_axes_is_refused_in_a_sentence(viewer: ViewerModel, tmp_path: Path) -> None:
    layer = viewer.add_labels(np.ones((2, 3, 4, 5), np.uint8), name="four")
    with pytest.raises(Exception, match="Layer four has 4 axes"):
        layer.save(str(tmp_path / "out.nii.gz"), plugin=NAME)


@pytest.mark.data
def test_a_dicom_seg_opens_over_its_scan(viewer: ViewerModel) -> None:
    folder = real_data("dicom", "dcmqi_segmentations")
    (scan_layer,) = viewer.open(str(folder / "ct-3slice"), plugin=NAME)
    assert scan_layer.metadata["apprentice"]["modality"] == "CT"
    (labels,) = viewer.open(str(folder / "liver.dcm"), plugin=NAME)
    assert isinstance(labels, Labels)
    assert labels.data.any()
    assert list(labels.features["label"])[1].lower() == "liver"
    np.testing.assert_allclose(labels.translate[1:], scan_layer.translate[1:], atol=1e-3)
    np.testing.assert_allclose(labels.scale, scan_layer.scale, atol=1e-3)


@pytest.mark.data
def test_ct_mr_and_pet_of_one_patient_lie_over_each_other(viewer: ViewerModel) -> None:
    files = sorted(real_data("sarcoma").rglob("*.nii.gz"))
    first = [p for p in files if p.parent == files[0].parent]
    layers = [layer for p in first for layer in viewer.open(str(p), plugin=NAME)]
    for path, layer in zip(first, layers, strict=True):
        header = nib.load(path)
        ras = nib.affines.apply_affine(header.affine, np.array(header.shape) - 1)
        corner = layer.world_to_data(CANONICAL @ ras)
        inside = (np.abs(corner) < 1e-2) | (np.abs(corner - (np.array(layer.data.shape) - 1)) < 1e-2)
        assert inside.all(), path.name


def test_our_reader_takes_folders_with_dicom_or_zarr_only(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "zarr.json").write_text("{}")
    assert get_reader(str(tmp_path)) is not None


@pytest.mark.parametrize("name", ["a.nii", "b.NII.gz", "c.nrrd", "d.mha", "e.dcm", "f.mgz", "g.img"])
def test_the_manifest_offers_our_reader(name: str, tmp_path: Path) -> None:
    manager = PluginManager.instance()
    manager.discover()
    (tmp_path / name).touch()
    assert NAME in {r.plugin_name for r in manager.iter_compatible_readers(str(tmp_path / name))}
