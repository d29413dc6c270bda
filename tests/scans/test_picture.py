import itertools

import numpy as np
import pytest
from PIL import Image

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.reader import read_label_map, read_volume
from real_data import real_data

GIVEN = ReadSettings(spacing="0.5,0.25")
GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_picture_is_one_slice_seen_as_it_is(tmp_path, dtype):
    Image.fromarray(GREY.astype(dtype) * 3).save(tmp_path / "a.png")
    found = read_volume(tmp_path / "a.png", GIVEN)
    np.testing.assert_array_equal(found.voxels[0, 0], GREY * 3)
    assert (found.voxels.dtype, found.geometry.spacing, found.channels) == (dtype, (1.0, 0.5, 0.25), ("c0",))
    assert found.geometry.source_shape == (5, 4, 1)


def test_the_voxel_size_is_asked_for(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png", dpi=(300, 300))
    with pytest.raises(ChoiceError, match=r"a\.png does not say") as caught:
        read_volume(tmp_path / "a.png")
    assert caught.value.setting == "spacing"
    with pytest.raises(ScanError, match="not 'x'"):
        read_volume(tmp_path / "a.png", ReadSettings(spacing="x"))


def test_colours_are_channels_or_grey_and_opacity_is_left_out_with_a_word(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 255, (4, 5, 4)).astype(np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    found = read_volume(tmp_path / "a.png", GIVEN)
    np.testing.assert_array_equal(found.voxels[:, 0], np.moveaxis(rgba[..., :3], 2, 0))
    assert found.channels == ("R", "G", "B")
    assert "opaque" in found.warnings[0]
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "b.png")
    found = read_volume(tmp_path / "b.png", ReadSettings(spacing="1,1", colour="grey"))
    luma = np.rint(rgba[..., :3] @ [0.299, 0.587, 0.114]).astype(np.uint8)
    np.testing.assert_array_equal(found.voxels[0, 0], luma)
    assert (found.steps[0].kind, found.warnings, found.voxels.dtype) == ("colour", (), np.uint8)


def test_a_palette_is_colour_in_a_scan_and_labels_in_a_label_map(tmp_path):
    picture = Image.fromarray(GREY % 3).convert("P")
    picture = Image.fromarray(GREY % 3)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    assert read_volume(tmp_path / "a.png", GIVEN).voxels[:, 0, 0, 1].tolist() == [255, 0, 0]
    labels = read_label_map(tmp_path / "a.png", GIVEN)
    np.testing.assert_array_equal(labels.voxels[0], GREY % 3)
    assert labels.colours == {1: "#ff0000", 2: "#0000ff"}


def test_colours_are_no_label_map(tmp_path):
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ScanError, match="colours"):
        read_label_map(tmp_path / "a.png", GIVEN)


def test_a_label_picture_has_the_voxel_size_of_its_scan(tmp_path):
    Image.fromarray(GREY * 2).save(tmp_path / "scan.png")
    Image.fromarray(GREY).save(tmp_path / "labels.png")
    scan = read_volume(tmp_path / "scan.png", GIVEN)
    labels = read_label_map(tmp_path / "labels.png", geometry=scan.geometry)
    assert scan.geometry.difference(labels.geometry) is None


def test_a_jpeg_is_what_pillow_sees(tmp_path):
    Image.fromarray(np.full((16, 16, 3), (200, 30, 90), np.uint8)).save(tmp_path / "a.jpg")
    found = read_volume(tmp_path / "a.jpg", GIVEN)
    with Image.open(tmp_path / "a.jpg") as picture:
        np.testing.assert_array_equal(found.voxels[:, 0], np.moveaxis(np.asarray(picture), 2, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_shown_upright_and_its_file_keeps_its_grid(tmp_path, orientation):
    picture = Image.fromarray(np.arange(64 * 32, dtype=np.uint16).reshape(64, 32).astype(np.uint8))
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    found = read_volume(tmp_path / "a.png", ReadSettings(spacing="1,1"))
    from PIL import ImageOps

    with Image.open(tmp_path / "a.png") as stored:
        np.testing.assert_array_equal(found.voxels[0, 0], np.asarray(ImageOps.exif_transpose(stored)))
        np.testing.assert_array_equal(found.geometry.to_source(found.voxels)[0, :, :, 0].T, np.asarray(stored))


def test_what_would_lose_depth_or_eat_memory_is_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    good = (tmp_path / "a.png").read_bytes()
    deep = bytearray(good)
    deep[24], deep[25] = 16, 2
    (tmp_path / "deep.png").write_bytes(deep)
    with pytest.raises(ScanError, match=r"deep\.png"):
        read_volume(tmp_path / "deep.png", GIVEN)
    import struct
    import zlib

    chunk = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)
    bomb = good[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + good[33:]
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ScanError, match=r"bomb\.png claims far too many"):
        read_volume(tmp_path / "bomb.png", GIVEN)
    for cut in itertools.chain(range(9, len(good) - 16, 7)):
        (tmp_path / "cut.png").write_bytes(good[:cut])
        with pytest.raises(ScanError, match=r"cut\.png"):
            read_volume(tmp_path / "cut.png", GIVEN)


@pytest.mark.data
def test_real_microscopy_and_its_instances_lie_on_one_grid():
    image = min(real_data("nuclei", "images").glob("*.png"))
    labels = next(p for p in real_data("nuclei").rglob(f"{image.stem}*") if p != image)
    scan = read_volume(image, ReadSettings(spacing="1,1"))
    nuclei = read_label_map(labels, geometry=scan.geometry)
    assert scan.geometry.difference(nuclei.geometry) is None
    assert nuclei.voxels.max() > 1
