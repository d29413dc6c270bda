import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.reader import read_label_map, read_volume

STACK = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
GIVEN = ReadSettings(spacing="3,0.5,0.25")


def test_imagej_says_its_voxel_size(tmp_path):
    facts = {"spacing": 3.0, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(4, 2), metadata=facts)
    found = read_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.voxels[0], STACK)
    np.testing.assert_allclose(found.geometry.spacing, (3e-3, 0.5e-3, 0.25e-3))
    assert found.voxels.dtype == np.uint16


@pytest.mark.parametrize("unit", ["µm", "mm"])
def test_ome_says_its_voxel_size_and_channels(tmp_path, unit):
    facts = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (3, 0.5, 0.25), strict=True)}
    facts |= {f"PhysicalSize{a}Unit": unit for a in "ZYX"}
    voxels = np.stack([STACK, STACK + 1], axis=1)
    names = {"Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", voxels, metadata={"axes": "ZCYX", **facts, **names})
    found = read_volume(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(found.voxels, voxels.swapaxes(0, 1))
    factor = {"µm": 1e-3, "mm": 1.0}[unit]
    np.testing.assert_allclose(found.geometry.spacing, (3 * factor, 0.5 * factor, 0.25 * factor))
    assert found.channels == ("DAPI", "GFP")


def test_what_does_not_say_its_voxel_size_is_asked_for(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, resolution=(100, 100), resolutionunit="CENTIMETER")
    with pytest.raises(ChoiceError) as caught:
        read_volume(tmp_path / "a.tif")
    assert caught.value.setting == "spacing"
    found = read_volume(tmp_path / "a.tif", GIVEN)
    np.testing.assert_array_equal(found.voxels[0], STACK)
    assert found.geometry.spacing == (3.0, 0.5, 0.25)


def test_colours_and_times(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.arange(6 * 7 * 3, dtype=np.uint8).reshape(6, 7, 3), photometric="rgb")
    found = read_volume(tmp_path / "rgb.tif", ReadSettings(spacing="1,1"))
    assert (found.channels, found.voxels.shape) == (("R", "G", "B"), (3, 1, 6, 7))
    with pytest.raises(ScanError, match="colours"):
        read_label_map(tmp_path / "rgb.tif", GIVEN)
    times = np.arange(9 * 2 * 6 * 7, dtype=np.uint16).reshape(9, 2, 6, 7)
    tifffile.imwrite(tmp_path / "t.tif", times, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(ChoiceError, match="9 volumes"):
        read_volume(tmp_path / "t.tif", GIVEN)
    found = read_volume(tmp_path / "t.tif", ReadSettings(spacing="1,1,1", volumes="8,0"))
    np.testing.assert_array_equal(found.voxels, times[[8, 0]])


def test_a_packed_tiff_is_read_exactly(tmp_path):
    Image.fromarray(STACK[0]).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    tifffile.imwrite(tmp_path / "zip.tif", STACK, compression="zlib")
    np.testing.assert_array_equal(read_volume(tmp_path / "lzw.tif", GIVEN).voxels[0, 0], STACK[0])
    np.testing.assert_array_equal(read_volume(tmp_path / "zip.tif", GIVEN).voxels[0], STACK)


def test_labels_are_read_as_whole_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif", GIVEN).voxels, STACK)


def test_what_is_damaged_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    good = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(good[:300])
    (tmp_path / "sign.tif").write_bytes(good[:6])
    for name in ("cut.tif", "sign.tif"):
        with pytest.raises(ScanError, match=name):
            read_volume(tmp_path / name, GIVEN)
    tifffile.imwrite(tmp_path / "complex.tif", STACK.astype(np.complex64))
    with pytest.raises(ScanError, match="complex64"):
        read_volume(tmp_path / "complex.tif", GIVEN)
