import shutil

import numpy as np
import ome_zarr_models
import pytest
import zarr

from builders import OBLIQUE, study, volume
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import ChoiceError, InputError, ScanError
from napari_apprentice.scans.reader import expand, read_label_map, read_volume
from napari_apprentice.scans.writer import write_label_map, write_scalar

GEOMETRY = Geometry.from_source((4, 3, 2), OBLIQUE)
LABELS = np.arange(24, dtype=np.uint8).reshape(GEOMETRY.shape)


def _axis(name):
    if name in "tc":
        return {"name": name, "type": {"t": "time", "c": "channel"}[name]}
    return {"name": name, "type": "space", "unit": "micrometer"}


def _write(path, voxels, axes="czyx", version=2, scale=None, shift=None, **more):
    """What other programs write: an image of two levels, in version 0.4 (Zarr 2) or 0.5 (Zarr 3)."""
    scale = scale or [1.0] * (len(axes) - 3) + [2000.0, 500.0, 250.0][-len(axes) :]
    steps = [{"type": "scale", "scale": scale}]
    steps += [{"type": "translation", "translation": shift}] if shift else []
    levels = [{"path": p, "coordinateTransformations": steps} for p in ("full", "half")]
    ome = {"multiscales": [{"name": "x", "axes": [_axis(a) for a in axes], "datasets": levels}], **more}
    group = zarr.create_group(store=str(path), zarr_format=version)
    for name, part in (("full", voxels), ("half", voxels[..., ::2, ::2])):
        group.create_array(name, data=part, chunks=tuple(min(2, n) for n in part.shape))
    if version == 2:
        ome["multiscales"][0]["version"] = "0.4"
        group.attrs.update(ome)
    else:
        group.attrs.update({"ome": {"version": "0.5", **ome}})
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_an_image_of_another_program_is_where_it_says(tmp_path, version):
    voxels = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    channels = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    shift = [0.0, 4000.0, 1000.0, 500.0]
    found = read_volume(_write(tmp_path / "a.ome.zarr", voxels, version=version, shift=shift, omero=channels))
    np.testing.assert_array_equal(found.voxels, voxels)
    assert found.geometry.spacing == (2.0, 0.5, 0.25)
    np.testing.assert_allclose(found.geometry.affine @ [0, 0, 0, 1], [-0.5, -1.0, 4.0, 1.0])
    np.testing.assert_allclose(found.geometry.affine @ [1, 0, 0, 0], [0, 0, 2, 0])
    np.testing.assert_allclose(found.geometry.affine @ [0, 1, 0, 0], [0, -0.5, 0, 0])
    assert found.channels == ("DAPI", "GFP")
    assert "orientation" in " ".join(found.warnings)
    assert len(found.source_digest) == 64


def test_flat_images_and_times(tmp_path):
    flat = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert read_volume(_write(tmp_path / "flat.zarr", flat, "yx", scale=[1.0, 1.0])).voxels.shape == (1, 1, 4, 5)
    series = np.arange(10 * 4 * 5, dtype=np.uint8).reshape(10, 4, 5)
    path = _write(tmp_path / "times.zarr", series, "tyx", scale=[1.0, 1.0, 1.0])
    with pytest.raises(ChoiceError, match="10 volumes") as caught:
        read_volume(path)
    assert caught.value.setting == "volumes"
    found = read_volume(path, ReadSettings(volumes="7,2"))
    np.testing.assert_array_equal(found.voxels[:, 0], series[[7, 2]])
    assert (found.channels, found.steps[0].kind) == (("c7", "c2"), "volumes")


def test_an_archive_reads_as_its_folder(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    folder = _write(tmp_path / "a.zarr", voxels, version=3)
    archive = shutil.make_archive(str(tmp_path / "b.ome.zarr"), "zip", folder)
    np.testing.assert_array_equal(read_volume(tmp_path / "b.ome.zarr.zip").voxels, voxels)
    assert archive.endswith("b.ome.zarr.zip")


def test_a_case_of_a_study_and_its_revision_keep_the_exact_grid(tmp_path):
    made, scan = study(tmp_path), volume(1)
    labels = np.ones(scan.geometry.shape, np.uint8)
    made.revisions.save("c1", labels, labels, Provenance("me"))
    image = tmp_path / "test.study" / "cases.zarr" / "c1" / "image"
    found = read_volume(image)
    np.testing.assert_array_equal(found.voxels, scan.voxels)
    assert found.geometry.source_affine.tobytes() == scan.geometry.source_affine.tobytes()
    assert found.warnings == ()
    again = read_label_map(next((image / "labels").glob("r*")))
    np.testing.assert_array_equal(again.voxels, labels)
    assert again.geometry.source_affine.tobytes() == scan.geometry.source_affine.tobytes()


def test_a_label_map_comes_back_with_names_colours_and_its_exact_grid(tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_label_map(path, LABELS, GEOMETRY, {1: "one", 2: "zwei"}, {1: "#ff8000", 2: "#0080ff"})
    ome_zarr_models.v05.image_label.ImageLabel.from_zarr(zarr.open_group(str(path), mode="r"))
    found = read_label_map(path)
    np.testing.assert_array_equal(found.voxels, LABELS)
    assert found.geometry.source_affine.tobytes() == OBLIQUE.tobytes()
    assert (found.names, found.colours) == ({1: "one", 2: "zwei"}, {1: "#ff8000", 2: "#0080ff"})


@pytest.mark.parametrize("names", [{}, {1: "one"}, {1: "one", 2: "zwei"}])
@pytest.mark.parametrize("colours", [{}, {2: "#0080ff"}, {1: "#ff8000", 2: "#0080ff"}])
def test_names_for_some_labels_and_colours_for_others_are_valid_too(tmp_path, names, colours):
    path = tmp_path / "a.ome.zarr"
    write_label_map(path, LABELS, GEOMETRY, names, colours)
    ome_zarr_models.v05.image_label.ImageLabel.from_zarr(zarr.open_group(str(path), mode="r"))
    found = read_label_map(path)
    white = {n: "#ffffff" for n in names if colours}
    assert (found.names, found.colours) == (names, {**white, **colours})


def test_a_person_who_knows_the_unit_that_a_file_leaves_out_is_heard(tmp_path):
    path = _write(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), axes="zyx", scale=[4, 2, 2], shift=[8, 2, 0])
    group = zarr.open_group(str(path))
    described = group.attrs["multiscales"]
    for axis in described[0]["axes"]:
        axis.pop("unit", None)
    group.attrs["multiscales"] = described
    silent = read_volume(path)
    assert silent.geometry.spacing == (4, 2, 2)
    assert "as spacing" in " ".join(silent.warnings)
    told = read_volume(path, ReadSettings(spacing="0.004,0.002,0.002"))
    assert told.geometry.spacing == (0.004, 0.002, 0.002)
    np.testing.assert_allclose(told.geometry.affine @ [0, 0, 0, 1], [0, -0.002, 0.008, 1], atol=1e-12)
    assert "millimetres" not in " ".join(told.warnings)


def test_values_are_an_image_that_any_tool_understands(tmp_path):
    path = tmp_path / "a.zarr"
    write_scalar(path, LABELS.astype(np.float32), GEOMETRY)
    image = ome_zarr_models.v05.Image.from_zarr(zarr.open_group(str(path), mode="r"))
    assert [a.name for a in image.ome_attributes.multiscales[0].axes] == ["z", "y", "x"]
    scale, shift = image.ome_attributes.multiscales[0].datasets[0].coordinateTransformations
    assert tuple(scale.scale) == GEOMETRY.spacing
    x, y, z, _ = GEOMETRY.affine @ [0, 0, 0, 1]
    np.testing.assert_allclose(shift.translation, [z, -y, -x])


def test_writing_over_replaces_the_whole_folder_and_nothing_else(tmp_path):
    path = tmp_path / "a.zarr"
    write_label_map(path, LABELS, GEOMETRY)
    with pytest.raises(InputError, match="exists already"):
        write_label_map(path, LABELS, GEOMETRY)
    write_label_map(path, LABELS[::-1], GEOMETRY, overwrite=True)
    np.testing.assert_array_equal(read_label_map(path).voxels, LABELS[::-1])
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="did not write"):
        write_label_map(tmp_path / "mine.zarr", LABELS, GEOMETRY, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "mine.zarr"]


def test_label_maps_beside_an_image_are_found_or_asked_for(tmp_path):
    path = _write(tmp_path / "a.zarr", np.zeros((1, 2, 3, 4), np.uint8))
    labels = zarr.create_group(store=str(path / "labels"), zarr_format=2)
    for n in ("cells", "nuclei"):
        _write(path / "labels" / n, np.full((2, 3, 4), 5, np.uint8), "zyx", **{"image-label": {"colors": []}})
        labels.attrs["labels"] = [*labels.attrs.get("labels", []), n]
        if n == "cells":
            assert read_label_map(path).voxels.max() == 5
    with pytest.raises(ScanError, match="2 label maps"):
        read_label_map(path)
    assert read_label_map(path / "labels" / "nuclei").voxels.max() == 5


def _lose(path, pattern):
    for found in sorted(path.glob(pattern)):
        shutil.rmtree(found) if found.is_dir() else found.unlink()


def test_what_is_no_image_is_told(tmp_path):
    def refused(name, words):
        with pytest.raises(ScanError, match=words):
            read_volume(tmp_path / name)

    zarr.create_array(store=str(tmp_path / "bare.zarr"), data=np.zeros((2, 2)))
    refused("bare.zarr", "bare Zarr array")
    zarr.create_group(store=str(tmp_path / "empty.zarr"))
    refused("empty.zarr", "without OME-Zarr metadata")
    plate = zarr.create_group(store=str(tmp_path / "many.zarr"))
    plate.create_group("0")
    refused("many.zarr", "many.zarr/0")
    _lose(_write(tmp_path / "lost.zarr", np.ones((1, 2, 3, 4)), version=3), "full/c")
    refused("lost.zarr", "holds no voxels")
    _lose(_write(tmp_path / "half.zarr", np.ones((1, 2, 3, 4)), version=3), "full")
    refused("half.zarr", "missing")
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    refused("broken.zarr", "broken.zarr is damaged")
    group = zarr.create_group(store=str(tmp_path / "huge.zarr"))
    group.create_array("0", shape=(30000,) * 3, dtype="f8", chunks=(64,) * 3)[:1, :1, :1] = 1
    step = {"type": "scale", "scale": [1, 1, 1]}
    levels = [{"path": "0", "coordinateTransformations": [step]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": [*map(_axis, "zyx")], "datasets": levels}]}
    refused("huge.zarr", "more than this computer's memory")


def test_a_folder_of_zarrs_is_as_many_scans(tmp_path):
    for name in ("b.zarr", "a.ome.zarr"):
        _write(tmp_path / name, np.ones((1, 2, 3, 4)))
    assert [p.name for p in expand([tmp_path])] == ["a.ome.zarr", "b.zarr"]
    assert [p.name for p in expand([tmp_path / "b.zarr"])] == ["b.zarr"]
