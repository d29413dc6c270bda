"""DICOM Segmentations out, read back by pydicom, by highdicom and by this program."""

import shutil

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest

from builders import OBLIQUE
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError, GeometryError, InputError, ScanError
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.scans.segments.seg_writer import SegOrigin, write_seg
from napari_apprentice.scans.writer import write_label_map
from real_data import real_data

pytestmark = pytest.mark.data
NAMES, COLOURS = {1: "liver", 2: "Läsion 病変"}, {1: "#e69f00", 2: "#56b4e9"}
SERIES = (
    "dcmqi_segmentations/23x38x3/image",
    "dcmqi_segmentations/23x38x3/multiframe",
    "dcmqi_segmentations/ct-3slice",
)


def _labels(geometry, seed=0):
    return np.random.default_rng(seed).integers(0, 3, geometry.shape).astype(np.uint8)


def _folder(name):
    return real_data("dicom", *name.split("/"))


@pytest.mark.parametrize("name", SERIES)
def test_what_is_written_reads_back_equal_and_refers_to_the_source(tmp_path, name):
    folder = _folder(name)
    case = read_volume(folder).geometry
    labels, path = _labels(case), tmp_path / "out.dcm"
    write_seg(path, labels, case, folder, names=NAMES, colours=COLOURS)
    again = read_label_map(path)
    assert case.difference(again.geometry) is None
    np.testing.assert_array_equal(again.voxels, labels)
    assert (again.names, again.colours) == (NAMES, COLOURS)
    sources = {f.SOPInstanceUID for f in map(pydicom.dcmread, folder.iterdir())}
    stored = pydicom.dcmread(path)
    referenced = {i.ReferencedSOPInstanceUID for i in stored.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == sources
    per_frame = {g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
                 for g in stored.PerFrameFunctionalGroupsSequence}  # fmt: skip
    assert per_frame == sources
    first = pydicom.dcmread(next(folder.iterdir()))
    assert stored.ReferencedSeriesSequence[0].SeriesInstanceUID == first.SeriesInstanceUID
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert stored.get(keyword) == first.get(keyword)


def test_every_pixel_lies_under_its_source_pixel(tmp_path):
    folder = _folder(SERIES[0])
    case = read_volume(folder).geometry
    labels = _labels(case, 1)
    write_seg(tmp_path / "out.dcm", labels, case, folder, names=NAMES)
    seg = hd.seg.segread(tmp_path / "out.dcm")
    uids, heights = [], []
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        uids.append(dataset.SOPInstanceUID)
        heights.append(float(dataset.ImagePositionPatient[2]))
    found = seg.get_pixels_by_source_instance(uids, combine_segments=True)
    for pixels, z in zip(found, heights, strict=True):
        for row, column in ((0, 0), (5, 20), (37, 3)):
            world = [-(46.4649 + 0.7 * column), -(5.01881 + 0.7 * row), z, 1]
            at = tuple(np.round(np.linalg.solve(case.affine, world)[:3]).astype(int))
            assert pixels[row, column] == labels[at]


def test_a_case_from_dicom_goes_to_nifti_and_to_seg_with_one_affine(tmp_path):
    folder = _folder(SERIES[2])
    case = read_volume(folder).geometry
    labels = _labels(case)
    write_label_map(tmp_path / "out.nii.gz", labels, case, NAMES)
    write_seg(tmp_path / "out.dcm", labels, case, folder, names=NAMES)
    nifti, seg = read_label_map(tmp_path / "out.nii.gz"), read_label_map(tmp_path / "out.dcm")
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii.gz").affine, case.source_affine, rtol=1e-7, atol=1e-5)
    assert nifti.geometry.difference(seg.geometry) is None
    np.testing.assert_array_equal(nifti.voxels, seg.voxels)
    np.testing.assert_array_equal(fit(nifti, case, "out.nii.gz").voxels, fit(seg, case, "out.dcm").voxels)


def test_a_tilted_gantry_keeps_every_voxel(tmp_path):
    folder = tmp_path / "tilted"
    folder.mkdir()
    for number in range(1, 7):  # the slices of this series that lie evenly
        shutil.copy(real_data("dicom", "ct_gantry_tilt_ge", f"{number:02}.dcm"), folder)
    case = read_volume(folder, ReadSettings(tilt="keep")).geometry
    labels = np.zeros(case.shape, np.uint8)
    labels[2, 100:140, 60:90], labels[4, 200:210, 300:340] = 1, 2
    write_seg(tmp_path / "out.dcm", labels, case, folder, names=NAMES)
    np.testing.assert_array_equal(read_label_map(tmp_path / "out.dcm", geometry=case).voxels, labels)
    with pytest.raises(ScanError, match="no common grid"):
        read_label_map(tmp_path / "out.dcm")
    straight = read_volume(folder, ReadSettings(tilt="straighten")).geometry
    with pytest.raises(GeometryError, match="resampled has no series"):
        write_seg(tmp_path / "b.dcm", np.zeros(straight.shape, np.uint8), straight, folder, names=NAMES)


def test_who_made_it_is_said(tmp_path):
    folder = _folder(SERIES[0])
    case = read_volume(folder).geometry
    for origin in (SegOrigin(), SegOrigin("SEMIAUTOMATIC", "v0003", "ann"), SegOrigin("AUTOMATIC", "v0003")):
        path = tmp_path / f"{origin.how}.dcm"
        write_seg(path, _labels(case), case, folder, names=NAMES, origin=origin)
        stored = pydicom.dcmread(path)
        segment = stored.SegmentSequence[1]
        assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("Läsion 病変", origin.how)
        assert segment.get("SegmentAlgorithmName", "") == ("" if origin.how == "MANUAL" else "Apprentice")
        assert str(stored.get("ContentCreatorName") or "") == origin.author
        if origin.model:
            assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "v0003"


def test_names_that_dicom_has_no_room_for_come_back_and_are_one_plain_value(tmp_path):
    folder = _folder(SERIES[0])
    case = read_volume(folder).geometry
    names = {1: "GTV\\core", 2: "left\nkidney", 3: "x" * 64 + "1", 4: "x" * 64 + "2"}
    write_seg(tmp_path / "out.dcm", _labels(case), case, folder, names=names, origin=SegOrigin(author="WARD\\ann"))
    stored = pydicom.dcmread(tmp_path / "out.dcm")
    assert [s.SegmentLabel for s in stored.SegmentSequence] == ["GTV/core", "left kidney", "x" * 64, "x" * 64]
    assert stored.ContentCreatorName == "WARD/ann"
    assert read_label_map(tmp_path / "out.dcm").names == names


def test_segments_count_from_one_and_absent_labels_have_no_frames(tmp_path):
    folder = _folder(SERIES[0])
    case = read_volume(folder).geometry
    labels = np.where(_labels(case) == 2, 300, 0).astype(np.uint16)
    write_seg(tmp_path / "out.dcm", labels, case, folder, names={4: "never", 300: "there"})
    again = read_label_map(tmp_path / "out.dcm")
    assert again.names == {1: "never", 2: "there"}
    np.testing.assert_array_equal(again.voxels == 2, labels == 300)
    assert not (again.voxels == 1).any()


def test_a_label_map_without_any_label_can_be_written(tmp_path):
    folder = _folder(SERIES[0])
    case = read_volume(folder).geometry
    write_seg(tmp_path / "out.dcm", np.zeros(case.shape, np.uint8), case, folder, names=NAMES)
    again = read_label_map(tmp_path / "out.dcm")
    assert again.names == NAMES
    assert not again.voxels.any()


def test_a_series_on_another_grid_is_refused_and_nothing_is_written(tmp_path):
    case = read_volume(_folder(SERIES[0])).geometry
    with pytest.raises(GeometryError, match="No series in image has the grid of the case, 3 x 38 x 23"):
        write_seg(tmp_path / "a.dcm", _labels(case), case, _folder("dcmqi_segmentations/24x38x3/image"), names=NAMES)
    affine = case.source_affine.copy()
    affine[0, 3] += 0.35
    moved = Geometry.from_source(case.source_shape, affine)
    with pytest.raises(GeometryError, match="No series in image"):
        write_seg(tmp_path / "a.dcm", _labels(case), moved, _folder(SERIES[0]), names=NAMES)
    assert not list(tmp_path.iterdir())


def test_a_lost_slice_is_noticed(tmp_path):
    folder = tmp_path / "lost"
    shutil.copytree(_folder(SERIES[0]), folder)
    case = read_volume(folder).geometry
    (folder / "IMG0003.dcm").unlink()
    with pytest.raises(GeometryError, match="No series in lost"):
        write_seg(tmp_path / "a.dcm", _labels(case), case, folder, names=NAMES)


def test_a_copy_of_a_slice_does_no_harm(tmp_path):
    folder = tmp_path / "copies"
    shutil.copytree(_folder(SERIES[0]), folder)
    shutil.copy(folder / "IMG0002.dcm", folder / "COPY.dcm")
    case = read_volume(folder).geometry
    labels = _labels(case)
    write_seg(tmp_path / "a.dcm", labels, case, folder, names=NAMES)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.dcm").voxels, labels)


def test_of_two_series_on_one_grid_the_one_that_was_added_is_taken(tmp_path):
    folder = tmp_path / "two"
    shutil.copytree(_folder(SERIES[0]), folder)
    volume = read_volume(folder)
    case = volume.geometry
    for file in sorted(folder.iterdir()):
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID = "1.2.3"
        dataset.SeriesNumber = 77
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
        dataset.save_as(folder / f"second_{file.name}")
    with pytest.raises(ChoiceError, match="2 series on the case's grid") as caught:
        write_seg(tmp_path / "a.dcm", _labels(case), case, folder, names=NAMES)
    assert "77" in [key for key, _ in caught.value.choices]
    write_seg(tmp_path / "a.dcm", _labels(case), case, folder, names=NAMES, digests=[volume.source_digest])
    assert pydicom.dcmread(tmp_path / "a.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID != "1.2.3"
    write_seg(tmp_path / "b.dcm", _labels(case), case, folder, names=NAMES, series="77")
    assert pydicom.dcmread(tmp_path / "b.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"


def test_what_cannot_be_written_is_refused_in_plain_words(tmp_path):
    folder = _folder(SERIES[0])
    case = read_volume(folder).geometry
    with pytest.raises(InputError, match="label 2 has no name"):
        write_seg(tmp_path / "a.dcm", _labels(case), case, folder, names={1: "liver"})
    with pytest.raises(GeometryError, match="do not fit the grid"):
        write_seg(tmp_path / "a.dcm", np.zeros((2, 2, 2), np.uint8), case, folder, names=NAMES)
    with pytest.raises(ScanError, match="nowhere does not exist"):
        write_seg(tmp_path / "a.dcm", _labels(case), case, tmp_path / "nowhere", names=NAMES)
    frameless = _folder("rtstruct_rtutils/one_slice_data")
    single = read_volume(frameless).geometry
    with pytest.raises(InputError, match=r"cannot refer to this series: .*Frame Of Reference"):
        write_seg(tmp_path / "a.dcm", _labels(single), single, frameless, names=NAMES)
    (tmp_path / "a.dcm").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists already"):
        write_seg(tmp_path / "a.dcm", _labels(case), case, folder, names=NAMES)
    assert (tmp_path / "a.dcm").read_bytes() == b"mine"
    oblique = Geometry.from_source((4, 3, 2), OBLIQUE)
    with pytest.raises(GeometryError, match="No series"):
        write_seg(tmp_path / "b.dcm", _labels(oblique), oblique, folder, names=NAMES)


def _series(folder, seed):
    """A CT series of a few small slices in any orientation, oblique too, in a shuffled order of files."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] if seed % 2 else np.eye(3)[:, rng.permutation(3)]
    turn *= rng.choice([-1.0, 1.0], 3)
    turn[:, 2] = np.cross(turn[:, 0], turn[:, 1])
    folder.mkdir()
    template = pydicom.dcmread(_folder(SERIES[0]) / "IMG0001.dcm")
    for k in rng.permutation(4):
        template.Rows, template.Columns = 7, 5
        template.PixelSpacing, template.SliceThickness = [1.25, 0.75], 2.5
        template.ImageOrientationPatient = [f"{v:.13f}"[:16] for v in turn[:, :2].T.ravel()]
        template.ImagePositionPatient = [f"{v:.9f}"[:16] for v in (-20.5, 31.0, 7.25) + turn[:, 2] * 2.5 * k]
        template.InstanceNumber = int(k) + 1
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{seed}.{k + 1}"
        template.PixelData = rng.integers(0, 200, (7, 5)).astype(np.int16).tobytes()
        template.save_as(folder / f"{rng.integers(1 << 30)}.dcm")
    return folder


@pytest.mark.parametrize("seed", range(10))
def test_series_of_any_orientation_get_their_labels_back(tmp_path, seed):
    folder = _series(tmp_path / "ct", seed)
    volume = read_volume(folder)
    labels = _labels(volume.geometry, seed)
    write_seg(tmp_path / "a.dcm", labels, volume.geometry, folder, names=NAMES)
    again = read_label_map(tmp_path / "a.dcm")
    np.testing.assert_array_equal(fit(again, volume.geometry, "a.dcm").voxels, labels)
    seg = hd.seg.segread(tmp_path / "a.dcm")
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        (pixels,) = seg.get_pixels_by_source_instance([dataset.SOPInstanceUID], combine_segments=True)
        across, down = np.reshape([float(v) for v in dataset.ImageOrientationPatient], (2, 3))
        world = np.array([float(v) for v in dataset.ImagePositionPatient]) + across * 0.75 * 4 + down * 1.25 * 2
        at = np.linalg.solve(volume.geometry.affine, [-world[0], -world[1], world[2], 1])[:3]
        assert pixels[2, 4] == labels[tuple(np.round(at).astype(int))]
