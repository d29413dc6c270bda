from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, JPEG2000Lossless, RTStructureSetStorage, SegmentationStorage

from dicom_builder import enhanced_mr, header, items, one_slice, random_voxels, write_series
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.dicom.reader import (
    SeriesFinder,
    find_series,
    is_rtstruct,
    is_seg,
    read_dicom,
    series_files,
    sop_class,
)
from real_data import real_data

KEY = bytes(32)
SHAPE = (5, 6, 7)  # (slice, row, column)


def read(path: Path, **settings: object) -> Volume:
    return read_dicom(path, ReadSettings(**settings), KEY)


def in_file_order(volume: Volume) -> np.ndarray:
    """(slice, row, column) of channel 0."""
    return volume.geometry.to_source(volume.voxels[0]).transpose(2, 1, 0)


def test_a_series_is_read_voxel_for_voxel_whatever_its_files_are_called(tmp_path: Path):
    voxels = random_voxels(SHAPE)
    volume = read(write_series(tmp_path / "s", voxels, order=(3, 0, 4, 1, 2)))
    np.testing.assert_array_equal(in_file_order(volume), voxels)
    assert volume.voxels.dtype == np.int16
    assert volume.geometry.spacing == (2.5, 0.8, 0.7)
    assert volume.geometry.header["format"] == "dicom"
    expected = [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, 5], [0, 0, 0, 1]]
    np.testing.assert_array_equal(volume.geometry.source_affine, expected)
    assert (volume.channels, volume.modality, volume.warnings) == (("CT",), "CT", ())


def test_file_names_and_order_do_not_change_the_digest_but_a_voxel_does(tmp_path: Path):
    voxels = random_voxels(SHAPE)
    source = write_series(tmp_path / "s", voxels)
    (tmp_path / "t").mkdir()
    for n, path in enumerate(sorted(source.iterdir(), reverse=True)):
        (tmp_path / "t" / f"other{n}").write_bytes(path.read_bytes())
    same, other = read(source), read(tmp_path / "t")
    assert same.source_digest == other.source_digest
    last = tmp_path / "t" / "other0"
    data = bytearray(last.read_bytes())
    data[-2] ^= 1
    last.write_bytes(data)
    assert read(tmp_path / "t").source_digest != same.source_digest


def test_files_in_the_order_of_their_slices(tmp_path: Path):
    folder = write_series(tmp_path / "s", random_voxels(SHAPE), order=(3, 0, 4, 1, 2))
    heights = [float(dcmread(p).ImagePositionPatient[2]) for p in series_files(folder, ReadSettings())]
    assert heights == [5.0, 7.5, 10.0, 12.5, 15.0]


def test_several_series_are_asked_about_and_chosen_by_number_uid_or_description(tmp_path: Path):
    first, second = random_voxels(SHAPE, seed=1), random_voxels((3, 6, 7), seed=2)
    write_series(tmp_path, first, prefix="A")
    more = {"SeriesNumber": 8, "SeriesInstanceUID": "1.2.9", "SeriesDescription": "Lung kernel"}
    write_series(tmp_path, second, prefix="B", **more)
    with pytest.raises(ChoiceError, match="2 DICOM series") as caught:
        read(tmp_path)
    assert caught.value.setting == "series"
    assert caught.value.choices == (("3", "Thorax, CT, 5 slices"), ("8", "Lung kernel, CT, 3 slices"))
    for wanted in ("8", "1.2.9", "lung"):
        np.testing.assert_array_equal(in_file_order(read(tmp_path, series=wanted)), second)
    with pytest.raises(ChoiceError, match="none of them 'liver'"):
        read(tmp_path, series="liver")


def test_series_without_numbers_can_be_chosen_by_their_keys(tmp_path: Path):
    for n, uid in enumerate(("", "1.2.9", "1.2.10")):
        more = {"SeriesNumber": None, "SeriesInstanceUID": uid}
        write_series(tmp_path, random_voxels((2 + n, 6, 7)), prefix="ABC"[n], **more)
    found = find_series(tmp_path)
    assert len({s.key for s in found}) == 3
    assert {len(read(tmp_path, series=s.key).voxels[0]) for s in found} == {2, 3, 4}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"PatientID": "P-2"}, "2 DICOM series of 2 persons;"),
        ({"SeriesInstanceUID": None, "StudyInstanceUID": "1.2.9"}, "2 DICOM series;"),
        ({"SeriesInstanceUID": None, "SeriesNumber": 4}, "2 DICOM series;"),
    ],
)
def test_slices_of_several_persons_are_never_one_scan(tmp_path: Path, other: dict[str, object], said: str):
    voxels = random_voxels((6, 6, 7))
    same = {"SeriesInstanceUID": None} if "SeriesInstanceUID" in other else {}
    write_series(tmp_path, voxels[:3], **same)
    write_series(tmp_path, voxels[3:], origin=(-10, -20, 12.5), prefix="Z", **other)
    with pytest.raises(ChoiceError, match=said) as caught:
        read(tmp_path)
    assert ("of 2 persons" in str(caught.value)) == ("PatientID" in other)
    keys = [key for key, _ in caught.value.choices]
    np.testing.assert_array_equal(in_file_order(read(tmp_path, series=keys[0])), voxels[:3])
    np.testing.assert_array_equal(in_file_order(read(tmp_path, series=keys[1])), voxels[3:])


def test_a_series_whose_slices_have_a_study_each_is_one(tmp_path: Path):
    voxels = random_voxels((3, 6, 7))
    for k in range(3):  # as SimpleITK writes them
        place = (-10, -20, 2.5 * k)
        write_series(tmp_path, voxels[k : k + 1], origin=place, prefix=f"{k}", StudyInstanceUID=f"1.2.{k + 7}")
    np.testing.assert_array_equal(in_file_order(read(tmp_path)), voxels)


def test_files_of_old_writers_without_preamble_and_suffix_are_known_by_content(tmp_path: Path):
    voxels = random_voxels(SHAPE)
    write_series(tmp_path, voxels)
    for path in list(tmp_path.iterdir()):
        data = dcmread(path)
        data.file_meta, data.preamble = FileMetaDataset(), None
        path.unlink()
        data.save_as(path.with_suffix(""), implicit_vr=True, little_endian=True, enforce_file_format=False)
    (tmp_path / "voxels.raw").write_bytes(np.arange(8, 500, dtype="<i2").tobytes())
    (tmp_path / "zeros.raw").write_bytes(b"\x08\0\0\0\x04\0\0\0" + b"\0" * 500)
    np.testing.assert_array_equal(in_file_order(read(tmp_path)), voxels)


def test_an_overview_picture_within_the_series_is_a_series_of_its_own(tmp_path: Path):
    write_series(tmp_path, random_voxels(SHAPE), ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    overview = one_slice(
        random_voxels((9, 9)),
        (0, 0, 0),
        directions=((0, 1, 0), (0, 0, -1)),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    overview.save_as(tmp_path / "scout.dcm", enforce_file_format=True)
    assert [(s.count, s.key) for s in find_series(tmp_path)] == [(5, "3.1"), (1, "3.2")]
    assert len(read(tmp_path, series="3.1").voxels[0]) == 5


def test_a_series_in_three_planes_is_three(tmp_path: Path):
    turns = (((1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, -1)), ((1, 0, 0), (0, 0, -1)))
    steps = ((0, 0, 4), (4, 0, 0), (0, 4, 0))
    for n, (directions, step) in enumerate(zip(turns, steps, strict=True)):
        write_series(tmp_path, random_voxels((3, 6, 6)), prefix="ABC"[n], directions=directions, step=step)
    assert [s.count for s in find_series(tmp_path)] == [3, 3, 3]


def test_copies_of_a_slice_are_left_out_with_a_warning(tmp_path: Path):
    voxels = random_voxels(SHAPE)
    folder = write_series(tmp_path / "s", voxels)
    (folder / "copy.dcm").write_bytes((folder / "IM002.dcm").read_bytes())
    volume = read(folder)
    np.testing.assert_array_equal(in_file_order(volume), voxels)
    assert any("a copy of one slice" in w for w in volume.warnings)


def test_a_whole_series_that_is_there_twice_is_read_once(tmp_path: Path):
    voxels = random_voxels(SHAPE)
    folder = write_series(tmp_path / "s", voxels)
    write_series(folder, voxels, prefix="again")
    volume = read(folder)
    assert volume.voxels.shape[0] == 1
    assert any("copies of 5 slices" in w for w in volume.warnings)


def test_volumes_of_one_place_are_asked_about_and_become_channels(tmp_path: Path):
    one, two = random_voxels(SHAPE, seed=1), random_voxels(SHAPE, seed=2)
    write_series(tmp_path, one, prefix="B", EchoTime="4.6", Modality="MR")
    write_series(tmp_path, two, prefix="A", EchoTime="9.2", Modality="MR")
    with pytest.raises(ChoiceError) as caught:
        read(tmp_path)
    assert caught.value.setting == "volumes"
    assert caught.value.choices[1] == ("1", "echo time 9.2, 5 slices")
    np.testing.assert_array_equal(in_file_order(read(tmp_path, volumes="1")), two)
    both = read(tmp_path, volumes="all")
    assert both.channels == ("MR echo time 4.6", "MR echo time 9.2")
    assert both.steps[0].kind == "volumes"
    assert both.source_digest == read(tmp_path, volumes="1").source_digest


def test_time_points_that_contradict_each_other_are_warned_about(tmp_path: Path):
    voxels = random_voxels(SHAPE)
    for time in (1, 2, 3):
        write_series(tmp_path, voxels + time, TemporalPositionIdentifier=time, prefix=f"T{time}_")
    assert not read(tmp_path, volumes="all").warnings
    path = tmp_path / "T1_002.dcm"
    data = dcmread(path)
    data.TemporalPositionIdentifier = 3
    data.save_as(path)
    assert any("the time point of its slices differs" in w for w in read(tmp_path, volumes="0").warnings)


def test_triggers_that_rise_from_slice_to_slice_are_no_contradiction(tmp_path: Path):
    voxels = random_voxels((6, 6, 7))
    for k in range(3):
        for phase in range(2):
            place = (-10, -20, 5 + 2.5 * k)
            trigger = {"TriggerTime": 100 * phase + 7 * k}
            write_series(tmp_path, voxels[3 * phase + k :][:1], origin=place, prefix=f"{1 - phase}_{k}_", **trigger)
    volume = read(tmp_path, volumes="1")
    np.testing.assert_array_equal(in_file_order(volume), voxels[3:])
    assert not volume.warnings


def test_pictures_that_were_lost_are_missed(tmp_path: Path):
    volume = read(write_series(tmp_path, random_voxels(SHAPE), ImagesInAcquisition=60))
    assert any("one of 60 pictures; 5 are here" in w for w in volume.warnings)


def test_different_slices_at_some_places_only_are_refused(tmp_path: Path):
    folder = write_series(tmp_path / "s", random_voxels(SHAPE))
    one_slice(random_voxels(SHAPE[1:], seed=9), (-10, -20, 10)).save_as(folder / "odd.dcm", enforce_file_format=True)
    with pytest.raises(ScanError, match="several different slices at some places"):
        read(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ImagePositionPatient": None}, "does not say where its slice lies"),
        ({"PixelSpacing": ["0.9", "0.7"]}, "its voxels are of 0.9 x 0.7 mm"),
        ({"ImageOrientationPatient": ["1", "0", "0", "0", "0", "1"]}, "turned another way"),
        ({"Rows": 4}, "4 x 7 voxels"),
    ],
)
def test_a_slice_that_does_not_fit_the_others_is_refused_by_name(tmp_path: Path, change: dict[str, object], said: str):
    folder = write_series(tmp_path / "s", random_voxels(SHAPE))
    path = folder / "IM003.dcm"
    data = dcmread(path)
    for keyword, value in change.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data.save_as(path)
    with pytest.raises(ScanError, match=said) as caught:
        read(folder)
    assert "IM003.dcm" in str(caught.value)


def test_an_uneven_gap_is_asked_about_and_never_squared(tmp_path: Path):
    folder = write_series(tmp_path / "s", random_voxels((6, 6, 7)), places=(0, 1, 2, 4, 5, 6))
    for tilt in ("ask", "keep"):
        with pytest.raises(ChoiceError, match=r"2\.5 to 5 mm, 2\.5 mm mostly \(a slice may be missing\)") as caught:
            read(folder, tilt=tilt)
        assert [value for value, _ in caught.value.choices] == ["straighten"]


def test_rounded_positions_are_no_uneven_gaps(tmp_path: Path):
    folder = write_series(tmp_path / "s", random_voxels((6, 6, 7)), places=(0, 1.002, 1.999, 3.001, 4, 5))
    assert read(folder).voxels.shape == (1, 6, 6, 7)


def test_a_tilted_gantry_is_asked_about_and_kept_exactly_when_told(tmp_path: Path):
    voxels = random_voxels(SHAPE)
    folder = write_series(tmp_path / "s", voxels, step=(0.0, 0.75, 2.5))
    with pytest.raises(ChoiceError, match=r"tilted by 16\.7 degrees") as caught:
        read(folder)
    assert (caught.value.setting, [v for v, _ in caught.value.choices]) == ("tilt", ["keep", "straighten"])
    volume = read(folder, tilt="keep")
    np.testing.assert_array_equal(in_file_order(volume), voxels)
    np.testing.assert_array_equal(volume.geometry.source_affine[:3, 2], [0, -0.75, 2.5])
    assert any("the sheared grid was kept" in w for w in volume.warnings)


def test_a_tilt_that_only_the_header_knows_is_warned_about(tmp_path: Path):
    volume = read(write_series(tmp_path / "s", random_voxels(SHAPE), GantryDetectorTilt="12"))
    assert any("tilted by 12 degrees" in w for w in volume.warnings)


def test_one_slice_is_a_scan(tmp_path: Path):
    pixels = random_voxels((6, 7))
    path = tmp_path / "one.dcm"
    one_slice(pixels, (1, 2, 3), SliceThickness="4").save_as(path, enforce_file_format=True)
    volume = read(path)
    np.testing.assert_array_equal(in_file_order(volume)[0], pixels)
    assert volume.geometry.spacing == (4.0, 0.8, 0.7)


def test_a_radiograph_without_voxel_size_asks_for_it(tmp_path: Path):
    data = one_slice(random_voxels((6, 7)), None, Modality="DX")
    del data.PixelSpacing, data.ImageOrientationPatient
    data.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    with pytest.raises(ChoiceError) as caught:
        read(tmp_path / "x.dcm")
    assert caught.value.setting == "spacing"
    volume = read(tmp_path / "x.dcm", spacing="0.2,0.3")
    assert volume.geometry.spacing[1:] == (0.2, 0.3)
    assert any("does not say where it lies" in w for w in volume.warnings)


def test_colours_become_channels_or_grey(tmp_path: Path):
    pixels = random_voxels((6, 7, 3), np.uint8)
    path = tmp_path / "rgb.dcm"
    one_slice(
        pixels, (0, 0, 0), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, SliceThickness=1
    ).save_as(path, enforce_file_format=True)
    volume = read(path)
    assert volume.channels == ("R", "G", "B")
    np.testing.assert_array_equal(volume.geometry.to_source(volume.voxels)[..., 0].transpose(2, 1, 0), pixels)
    grey = read(path, colour="grey")
    assert (grey.voxels.shape[0], [s.kind for s in grey.steps]) == (1, ["colour", "deidentify"][::-1])


@pytest.mark.parametrize(
    ("uid", "said"),
    [
        (SegmentationStorage, "DICOM SEG: a label map"),
        (RTStructureSetStorage, "RTSTRUCT: contours"),
        (ComprehensiveSRStorage, "without a picture"),
    ],
)
def test_objects_that_are_no_scans_say_what_they_are_and_are_passed_over_beside_one(
    tmp_path: Path, uid: str, said: str
):
    path = tmp_path / "object.dcm"
    header(SOPClassUID=uid).save_as(path, enforce_file_format=True)
    with pytest.raises(ScanError, match=said) as caught:
        read(path)
    assert "object.dcm" in str(caught.value)
    assert sop_class(path) == uid
    assert (is_seg(path), is_rtstruct(path)) == (uid == SegmentationStorage, uid == RTStructureSetStorage)
    write_series(tmp_path, random_voxels(SHAPE))
    assert read(tmp_path).voxels.shape == (1, *SHAPE)


def test_folders_below_a_dicomdir_belong_to_it(tmp_path: Path):
    write_series(tmp_path / "DICOM" / "S1", random_voxels(SHAPE))
    header(SOPClassUID="1.2.840.10008.1.3.10").save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    assert read(tmp_path).voxels.shape == (1, *SHAPE)


@pytest.mark.parametrize(
    "content", [b"<html>no</html>", b"", b"\0" * 3_000_000, b"\0" * 128 + b"DICM" + b"\0" * 3_000_000]
)
def test_rubbish_named_dcm_is_refused_in_a_sentence(tmp_path: Path, content: bytes):
    write_series(tmp_path, random_voxels(SHAPE))
    (tmp_path / "bad.dcm").write_bytes(content)
    with pytest.raises(ScanError, match=r"bad\.dcm"):
        read(tmp_path)


def test_frames_of_one_file_are_slices_sorted_by_place(tmp_path: Path):
    voxels = random_voxels((4, 6, 7), np.uint16)
    path = tmp_path / "multi.dcm"
    enhanced_mr(voxels, (9, 3, 6, 0)).save_as(path, enforce_file_format=True)
    volume = read(path)
    np.testing.assert_array_equal(in_file_order(volume), voxels[[3, 1, 2, 0]])
    assert volume.geometry.spacing == (3.0, 0.8, 0.7)
    assert volume.acquisition["SliceThickness"] == 2.0


def test_echoes_within_one_file_are_volumes(tmp_path: Path):
    voxels = random_voxels((6, 6, 7), np.uint16)
    path = tmp_path / "multi.dcm"
    enhanced_mr(voxels, (0, 0, 3, 3, 6, 6), (9, 5, 9, 5, 9, 5)).save_as(path, enforce_file_format=True)
    with pytest.raises(ChoiceError, match="2 volumes"):
        read(path)
    np.testing.assert_array_equal(in_file_order(read(path, volumes="0")), voxels[1::2])


def test_magnitude_and_phase_within_one_file_are_told_apart_in_any_order(tmp_path: Path):
    voxels = random_voxels((6, 6, 7), np.uint16)
    data = enhanced_mr(voxels, (0, 0, 3, 3, 6, 6))
    for kind, frame in zip("MPPMMP", data.PerFrameFunctionalGroupsSequence, strict=True):
        frame.MRImageFrameTypeSequence = items(FrameType=["ORIGINAL", "PRIMARY", kind, "NONE"])
    data.save_as(tmp_path / "multi.dcm", enforce_file_format=True)
    with pytest.raises(ChoiceError) as caught:
        read(tmp_path)
    assert caught.value.choices[0][1].startswith("M")
    np.testing.assert_array_equal(in_file_order(read(tmp_path, volumes="0")), voxels[[0, 3, 4]])


def test_a_film_is_no_scan(tmp_path: Path):
    data = enhanced_mr(random_voxels((4, 6, 7), np.uint16), (0, 1, 2, 3))
    del data.PerFrameFunctionalGroupsSequence
    data.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    with pytest.raises(ScanError, match="do not say where they lie"):
        read(tmp_path / "film.dcm")


def test_slices_miles_apart_are_refused_before_memory_is_asked_for(tmp_path: Path):
    for axis in range(3):
        folder = write_series(tmp_path / str(axis), random_voxels(SHAPE))
        far = [-10.0, -20.0, 100.0]
        far[axis] = 4e6
        path = folder / "far.dcm"
        one_slice(random_voxels(SHAPE[1:], seed=9), far, InstanceNumber=9).save_as(path, enforce_file_format=True)
        with pytest.raises(ScanError, match="too far from each other"):
            read(folder, tilt="straighten")


@pytest.fixture(scope="module")
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("sound")
    plain = one_slice(random_voxels((40, 40)), (0, 0, 0), SliceThickness=1)
    packed = one_slice(random_voxels((40, 40)), (0, 0, 0), SliceThickness=1)
    packed.compress(JPEG2000Lossless)
    several = enhanced_mr(random_voxels((3, 8, 9), np.uint16), (0, 2, 4))
    for n, data in enumerate((plain, packed, several)):
        data.save_as(folder / f"{n}.dcm", enforce_file_format=True)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@given(data=st.data())
@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_is_read_or_refused_in_a_sentence(tmp_path: Path, sound_files: list[bytes], data):
    content = bytearray(data.draw(st.sampled_from(sound_files)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content), 3000) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.dcm"
    path.write_bytes(content[: data.draw(st.integers(1, 2 * len(content)))])
    told = "x.dcm"
    try:
        read(path, tilt="straighten", volumes="all")
    except ScanError as error:
        told = str(error)
    assert "x.dcm" in told


@pytest.mark.data
def test_real_series():
    made = real_data("odd", "made")
    volume = read(made / "dcm_ok")
    shuffled, doubled = read(made / "dcm_shuffled"), read(made / "dcm_duplicate_slice")
    first = dcmread(made / "dcm_ok" / "000.dcm")
    np.testing.assert_array_equal(in_file_order(volume)[0], first.pixel_array.astype(int) - 1024)
    np.testing.assert_array_equal(shuffled.voxels, volume.voxels)
    np.testing.assert_array_equal(doubled.voxels, volume.voxels)
    with pytest.raises(ChoiceError, match="2 DICOM series"):
        read(made / "dcm_two_series")
    with pytest.raises(ScanError, match=r"003\.dcm does not say where"):
        read(made / "dcm_no_position")


@pytest.mark.data
def test_a_real_multi_frame_file_equals_the_files_it_was_made_of():
    folder = real_data("dicom", "dcmqi_segmentations", "23x38x3")
    single, multi = read(folder / "image"), read(folder / "multiframe")
    np.testing.assert_array_equal(single.voxels, multi.voxels)
    np.testing.assert_array_equal(single.geometry.affine, multi.geometry.affine)


def test_many_series_of_one_folder_are_found_once(tmp_path: Path):
    for n in range(4):
        write_series(tmp_path, random_voxels((3, 6, 7), seed=n), SeriesInstanceUID=f"1.2.{n}", prefix=f"{n}_")
    find = SeriesFinder()
    keys = [series.key for series in find(tmp_path)]
    before = find(tmp_path)
    for n, key in enumerate(keys):
        volume = read_dicom(tmp_path, ReadSettings(series=key), KEY, find)
        np.testing.assert_array_equal(in_file_order(volume), random_voxels((3, 6, 7), seed=n))
    assert find(tmp_path) is before
    write_series(tmp_path / "other", random_voxels((3, 6, 7)))
    assert len(find(tmp_path / "other")) == 1
