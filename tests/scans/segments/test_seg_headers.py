"""DICOM Segmentations of series whose headers lack what highdicom wants of them."""

from copy import deepcopy

import numpy as np
import pydicom
import pytest

from dicom_builder import enhanced_mr, random_voxels, write_series
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import InputError
from napari_apprentice.scans.dicom.file import quiet_pydicom
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.scans.segments.seg_writer import write_seg

NAMES = {1: "liver", 7: "tumour"}


def _round_trip(folder, out, settings=None):
    """Labels written for a series, and the file; they come back on the series' grid, voxel for voxel."""
    case = read_volume(folder, settings).geometry
    labels = np.random.default_rng(0).integers(0, 3, case.shape).astype(np.uint8)
    write_seg(out, np.array([0, 1, 7], np.uint8)[labels], case, folder, names=NAMES)
    again = read_label_map(out)
    assert case.difference(again.geometry) is None
    np.testing.assert_array_equal(again.voxels, labels)  # segments count from 1
    return pydicom.dcmread(out)


@pytest.mark.parametrize(
    "attributes",
    [
        {},  # as SimpleITK writes slices: no SliceThickness
        {"SliceThickness": ""},  # type 2: may be empty
        {"SliceThickness": "5", "StudyDate": "00000000", "StudyTime": "anon", "PatientBirthDate": "XXXXXXXX"},
    ],
)
def test_what_scanners_and_anonymisers_leave_out_is_filled_in(tmp_path, attributes):
    with quiet_pydicom():
        folder = write_series(tmp_path / "series", random_voxels((4, 5, 6)), **attributes)
    stored = _round_trip(folder, tmp_path / "out.dcm")
    measures = stored.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == float(attributes.get("SliceThickness") or 2.5)
    assert (stored.StudyDate, stored.PatientBirthDate) == ("", "")


def test_slices_turned_alike_but_for_the_last_digit_are_one_series(tmp_path):
    folder = write_series(tmp_path / "series", random_voxels((4, 5, 6)), SliceThickness="2.5")
    dataset = pydicom.dcmread(folder / "IM002.dcm")
    dataset.ImageOrientationPatient = [1, 0, "0.0000001", 0, 1, 0]
    dataset.save_as(folder / "IM002.dcm")
    _round_trip(folder, tmp_path / "out.dcm")


def test_frames_that_say_for_themselves_how_they_lie_are_cited_one_by_one(tmp_path):
    """As Philips writes enhanced MR; here with two echoes at each place, and two slices across before them."""
    voxels = random_voxels((10, 5, 6))
    source = enhanced_mr(voxels, [50, 60, *range(4), *range(4)], echoes=[1, 1, *[2] * 4, *[4] * 4])
    shared = source.SharedFunctionalGroupsSequence[0]
    for frame in source.PerFrameFunctionalGroupsSequence:
        for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            setattr(frame, name, deepcopy(shared[name].value))
    for frame in source.PerFrameFunctionalGroupsSequence[:2]:
        frame.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    del shared.PixelMeasuresSequence, shared.PlaneOrientationSequence
    folder = tmp_path / "series"
    folder.mkdir()
    source.save_as(folder / "a.dcm", enforce_file_format=True)
    stored = _round_trip(folder, tmp_path / "out.dcm", ReadSettings(series="3.1", volumes="all"))
    for group in stored.PerFrameFunctionalGroupsSequence:
        cited = {i.ReferencedFrameNumber for i in group.DerivationImageSequence[0].SourceImageSequence}
        height = int(group.PlanePositionSequence[0].ImagePositionPatient[2])
        assert cited == {height + 3, height + 7}  # the same place in both echoes


def test_what_cannot_be_filled_in_is_named(tmp_path):
    folder = write_series(tmp_path / "series", random_voxels((3, 5, 6)), StudyInstanceUID=None)
    case = read_volume(folder).geometry
    with pytest.raises(InputError, match="its files lack StudyInstanceUID"):
        write_seg(tmp_path / "out.dcm", np.ones(case.shape, np.uint8), case, folder, names={1: "a"})


def test_a_segmentation_without_a_slice_thickness_is_read(tmp_path):
    folder = write_series(tmp_path / "series", random_voxels((4, 5, 6)), SliceThickness="2.5")
    stored = _round_trip(folder, tmp_path / "out.dcm")
    case, labels = read_volume(folder).geometry, read_label_map(tmp_path / "out.dcm").voxels
    measures = stored.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness = ""
    stored.save_as(tmp_path / "empty.dcm")
    del measures.SliceThickness
    stored.save_as(tmp_path / "none.dcm")
    for name in ("empty.dcm", "none.dcm"):
        np.testing.assert_array_equal(read_label_map(tmp_path / name, geometry=case).voxels, labels)
