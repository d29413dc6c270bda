import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_builder import header, one_slice, put_pixels, random_voxels, write_series
from jpeg_lossless import lossless_jpeg
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.reader import read_dicom
from napari_apprentice.scans.reader import read_volume
from real_data import real_data

SHAPE = (4, 40, 36)


def read(path: Path) -> Volume:
    return read_dicom(path, ReadSettings(), bytes(32))


def in_file_order(volume: Volume) -> np.ndarray:
    return volume.geometry.to_source(volume.voxels[0]).transpose(2, 1, 0)


def rewrite(folder: Path, uid: str) -> None:
    """Write each file of a folder in another transfer syntax, with pydicom's encoders."""
    for path in folder.iterdir():
        data = dcmread(path)
        if uid in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
            data.compress(uid)
        else:
            data.file_meta.TransferSyntaxUID = uid
        implicit = uid == ImplicitVRLittleEndian
        data.save_as(path, implicit_vr=implicit, enforce_file_format=True)


@pytest.mark.parametrize(
    "uid",
    [
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_transfer_syntaxes_give_the_same_voxels(tmp_path: Path, uid: str):
    voxels = random_voxels(SHAPE)
    folder = write_series(tmp_path / "s", voxels, RescaleIntercept=-24)
    rewrite(folder, uid)
    volume = read(folder)
    np.testing.assert_array_equal(in_file_order(volume), voxels - 24)
    assert volume.voxels.dtype == np.int16


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.uint8])
def test_lossless_jpeg_gives_the_same_voxels(tmp_path: Path, kind: type):
    voxels = random_voxels(SHAPE, kind)
    voxels[0, :2, :2] = [[np.iinfo(kind).min, np.iinfo(kind).max]] * 2
    folder = write_series(tmp_path / "s", voxels, RescaleIntercept=-24)
    for path, pixels in zip(sorted(folder.iterdir()), voxels, strict=True):
        data = dcmread(path)
        data.PixelData = encapsulate([lossless_jpeg(pixels.view(f"u{pixels.itemsize}"))])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        data.save_as(path, enforce_file_format=True)
    np.testing.assert_array_equal(in_file_order(read(folder)), voxels.astype(np.int32) - 24)


def test_big_endian_files_are_read(tmp_path: Path):
    pixels = random_voxels((5, 6))
    data = one_slice(pixels.astype(">i2"), (0, 0, 0), SliceThickness=1)
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data.set_original_encoding(False, False)
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(in_file_order(read(tmp_path / "a.dcm"))[0], pixels)


@pytest.mark.data
@pytest.mark.parametrize("uid", [RLELossless, JPEGLSLossless])
def test_a_real_series_compressed_otherwise_is_the_same(tmp_path: Path, uid: str):
    source = real_data("odd", "made", "dcm_ok")
    for path in sorted(source.iterdir())[:3]:
        data = dcmread(path)
        data.decompress()
        data.SOPInstanceUID = f"1.2.{path.stem.lstrip('0') or 9}"
        data.compress(uid, generate_instance_uid=False)
        data.save_as(tmp_path / path.name)
    whole = in_file_order(read(source))
    np.testing.assert_array_equal(in_file_order(read(tmp_path)), whole[:3])


@pytest.mark.parametrize(
    ("kind", "slope", "intercept", "expected"),
    [
        (np.int16, 1, 0, np.int16),
        (np.uint16, 1, 0, np.uint16),
        (np.uint8, 1, 0, np.uint8),
        (np.uint16, 1, -1024, np.int16),
        (np.uint8, 1, -30, np.int16),
        (np.uint16, 2, 0, np.float32),
        (np.int16, 1, 0.5, np.float32),
        (np.uint32, 1, 0, np.uint32),
    ],
)
def test_real_values_are_whole_where_the_rescaling_is(
    tmp_path: Path, kind: type, slope: float, intercept: float, expected: type
):
    voxels = random_voxels(SHAPE, kind)
    volume = read(write_series(tmp_path / "s", voxels, RescaleSlope=slope, RescaleIntercept=intercept))
    np.testing.assert_array_equal(in_file_order(volume), voxels.astype(np.float64) * slope + intercept)
    assert volume.voxels.dtype == expected


def test_values_beyond_16_bits_are_not_wrapped(tmp_path: Path):
    voxels = np.full(SHAPE, 65535, np.uint16)
    voxels[0, 0, 0] = 0
    volume = read(write_series(tmp_path / "s", voxels, RescaleIntercept=-1024))
    assert (volume.voxels.min(), volume.voxels.max()) == (-1024, 64511)


def test_each_slice_has_its_own_rescaling(tmp_path: Path):
    voxels = random_voxels(SHAPE, np.uint16)
    folder = write_series(tmp_path / "s", voxels)
    slopes = (0.5, 0.25, 2.0, 1.0)
    for path, slope in zip(sorted(folder.iterdir()), slopes, strict=True):
        data = dcmread(path)
        data.RescaleSlope = slope
        data.save_as(path)
    np.testing.assert_array_equal(in_file_order(read(folder)), voxels * np.array(slopes)[:, None, None])


def test_signed_and_unsigned_slices_of_one_series_are_read_together(tmp_path: Path):
    signed, unsigned = random_voxels((16, 18)), random_voxels((16, 18), np.uint16)
    one_slice(signed, (0, 0, 0)).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    one_slice(unsigned, (0, 0, 2)).save_as(tmp_path / "b.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(in_file_order(read(tmp_path)), np.stack([signed, unsigned]))


def test_bits_that_are_not_stored_do_not_count(tmp_path: Path):
    pixels = np.array([[5, 7 | 0xF000]], np.uint16)
    data = one_slice(pixels, (0, 0, 0), SliceThickness=1)
    data.BitsStored, data.HighBit = 12, 11
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(in_file_order(read(tmp_path / "a.dcm"))[0], [[5, 7]])


def test_a_palette_is_looked_up(tmp_path: Path):
    pixels = np.array([[0, 1], [2, 1]], np.uint8)
    data = one_slice(pixels, (0, 0, 0), SliceThickness=1, PhotometricInterpretation="PALETTE COLOR")
    for n, colour in enumerate(("Red", "Green", "Blue")):
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 8])
        setattr(data, f"{colour}PaletteColorLookupTableData", bytes([n * 10, n * 10 + 1, n * 10 + 2, 0]))
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    volume = read(tmp_path / "a.dcm")
    assert volume.channels == ("R", "G", "B")
    source = volume.geometry.to_source(volume.voxels)[..., 0].transpose(0, 2, 1)
    np.testing.assert_array_equal(source, [pixels, pixels + 10, pixels + 20])


def test_fractions_are_kept_and_nan_is_named(tmp_path: Path):
    data = header(SliceThickness=1, ImagePositionPatient=[0, 0, 0], PixelSpacing=[1, 1])
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    put_pixels(data, np.zeros((2, 2), np.int32))
    del data.PixelData, data.PixelRepresentation, data.BitsStored, data.HighBit
    data.FloatPixelData = np.array([[0.5, 1.5], [np.nan, 2.5]], np.float32).tobytes()
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    volume = read_volume(tmp_path / "a.dcm")
    np.testing.assert_array_equal(in_file_order(volume)[0], [[0.5, 1.5], [np.nan, 2.5]])
    assert any("1 voxels that are not numbers" in w for w in volume.warnings)


@pytest.mark.parametrize("uid", [None, RLELossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("part", [0.97, 0.5, 0.2])
def test_half_a_download_is_refused_by_name(tmp_path: Path, uid: str | None, part: float):
    folder = write_series(tmp_path / "s", random_voxels((3, 64, 64)))
    if uid:
        rewrite(folder, uid)
    path = folder / "IM001.dcm"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ScanError, match=r"IM001\.dcm"):
        read(folder)


def test_a_header_that_claims_too_much_allocates_nothing(tmp_path: Path):
    path = tmp_path / "a.dcm"
    data: Any = one_slice(random_voxels((16, 18)), (0, 0, 0))
    data.Rows = data.Columns = 65535
    data.save_as(path, enforce_file_format=True)
    tracemalloc.start()
    try:
        with pytest.raises(ScanError, match="claims 8,589,672,450 bytes"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_an_unknown_compression_is_named(tmp_path: Path):
    path = tmp_path / "a.dcm"
    data = one_slice(random_voxels((16, 18)), (0, 0, 0))
    data.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    with pytest.raises(ScanError, match=r"a\.dcm is compressed in a way that is not read"):
        read(path)


@pytest.mark.parametrize("slope", [1, 1.5])
def test_memory_stays_below_three_volumes(tmp_path: Path, slope: float):
    folder = write_series(tmp_path / "s", random_voxels((40, 128, 128), np.uint16), RescaleSlope=slope)
    tracemalloc.start()
    try:
        volume = read(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * volume.voxels.nbytes + 2e6
