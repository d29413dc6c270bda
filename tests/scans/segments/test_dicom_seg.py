"""DICOM Segmentations in, against SimpleITK and against the same label maps in other formats."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ApprenticeError, ChoiceError, GeometryError, InputError, ScanError
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.scans.segments.seg import read_seg
from real_data import real_data

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
pytestmark = pytest.mark.data


def _nrrd(*parts):
    """Voxels (z, y, x) and geometry of a NRRD, without this program's reader of it."""
    image = sitk.ReadImage(str(real_data("dicom", "dcmqi_segmentations", *parts)))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    geometry = Geometry.from_source(image.GetSize(), LPS @ affine)
    return geometry.to_canonical(sitk.GetArrayFromImage(image).T), geometry


def _seg(*parts):
    return real_data("dicom", *parts)


@pytest.mark.parametrize(
    ("seg", "nrrd"),
    [
        ("liver.dcm", "liver_seg.nrrd"),
        ("23x38x3/seg/label.seg", "23x38x3/nrrd/label.nrrd"),
        ("24x38x3/seg/label.seg", "24x38x3/nrrd/label.nrrd"),
        ("sparse-labelmap-noppv.dcm", "sparse_labelmap_noppv_seg.nrrd"),
    ],
)
def test_a_seg_is_the_same_label_map_as_its_nrrd(seg, nrrd):
    voxels, geometry = _nrrd(*nrrd.split("/"))
    labels = read_seg(_seg("dcmqi_segmentations", *seg.split("/")))
    assert geometry.difference(labels.geometry) is None
    np.testing.assert_array_equal(labels.voxels, voxels)
    assert labels.names == {1: "Liver"}
    assert labels.colours == {1: "#dd8265"}
    assert labels.warnings == ()


def test_padding_is_no_label():
    labels = read_seg(_seg("dcmqi_segmentations", "sparse-labelmap-ppv5.dcm"))
    voxels, _ = _nrrd("sparse_labelmap_ppv5_seg.nrrd")
    np.testing.assert_array_equal(labels.voxels, np.where(voxels == 5, 0, voxels))


def test_overlapping_segments_are_asked_about_with_their_names():
    path = _seg("dcmqi_segmentations", "partial_overlaps.dcm")
    with pytest.raises(ChoiceError, match=r"GREEN and ORANGE share 3017 voxels; .*first, last or smallest") as caught:
        read_seg(path)
    assert caught.value.setting == "overlap"
    assert [c for c, _ in caught.value.choices] == ["first", "last", "smallest"]


def test_who_wins_an_overlap_is_as_asked():
    path = _seg("dcmqi_segmentations", "partial_overlaps.dcm")
    masks = {}
    for part, ids in (("1", (1, 4, 5)), ("2", (2,)), ("3", (3,))):
        voxels, _ = _nrrd(f"partial_overlaps-{part}.nrrd")
        masks.update({i: voxels == i for i in ids})
    by_size = sorted(masks, key=lambda i: masks[i].sum())
    for overlap, order in (("last", [1, 2, 3, 4, 5]), ("first", [5, 4, 3, 2, 1]), ("smallest", by_size[::-1])):
        expected = np.zeros(masks[1].shape, np.uint8)
        for i in order:
            expected[masks[i]] = i
        labels = read_seg(path, settings=ReadSettings(overlap=overlap))
        np.testing.assert_array_equal(labels.voxels, expected)
        assert f"share 50 voxels; the {overlap} one got them" in labels.warnings[0]


def test_segments_are_chosen_by_name_or_number():
    path = _seg("dcmqi_segmentations", "partial_overlaps.dcm")
    labels = read_seg(path, settings=ReadSettings(segments="green, 4"))
    assert sorted(np.unique(labels.voxels)) == [0, 1, 4]
    assert list(labels.names) == [1, 4]
    with pytest.raises(InputError, match="no segment liver; it has 1 GREEN, 2 ORANGE"):
        read_seg(path, settings=ReadSettings(segments="liver"))


def test_fractions_count_from_one_half_on():
    whole = read_seg(_seg("highdicom_test_files", "seg_image_ct_binary_fractional.dcm"))
    plain = read_seg(_seg("highdicom_test_files", "seg_image_ct_binary.dcm"))
    np.testing.assert_array_equal(whole.voxels, plain.voxels)
    assert whole.warnings == ()
    path = _seg("highdicom_test_files", "seg_image_ct_true_fractional.dcm")
    labels, stored = read_seg(path), pydicom.dcmread(path)
    assert np.count_nonzero(labels.voxels) == np.count_nonzero(stored.pixel_array / 255 >= 0.5)
    assert "holds fractions: 661 voxels" in labels.warnings[0]


def test_frames_with_gaps_between_them_go_to_their_slices():
    path = _seg("highdicom_test_files", "seg_image_ct_binary_overlap.dcm")
    labels = read_seg(path, settings=ReadSettings(overlap="last"))
    assert labels.voxels.shape == (165, 16, 16)
    stored = pydicom.dcmread(path)
    second = [n for n, f in enumerate(stored.PerFrameFunctionalGroupsSequence)
              if f.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2]  # fmt: skip
    assert np.count_nonzero(labels.voxels == 2) == np.count_nonzero(stored.pixel_array[second])
    heights = {float(f.PlanePositionSequence[0].ImagePositionPatient[2])
               for f in stored.PerFrameFunctionalGroupsSequence}  # fmt: skip
    seen = np.flatnonzero(labels.voxels.any(axis=(1, 2)))
    np.testing.assert_allclose(
        sorted((labels.geometry.affine @ [z, 0, 0, 1])[2] for z in seen), sorted(heights), atol=1e-3
    )


def test_some_slices_of_a_case_are_embedded_on_its_grid():
    path = _seg("dcmqi_segmentations", "liver.dcm")
    labels = read_seg(path)
    affine = labels.geometry.source_affine.copy()
    affine[:3, 3] = (affine @ [0, 0, -4, 1])[:3]
    case = Geometry.from_source((512, 512, 9), affine)
    fitted = fit(labels, case, path.name)
    assert np.count_nonzero(fitted.voxels) == np.count_nonzero(labels.voxels)
    np.testing.assert_array_equal(read_seg(path, case).voxels, fitted.voxels)
    far = Geometry.from_source((512, 512, 9), affine @ np.diag([1.0, 1.0, 0.9, 1.0]))
    with pytest.raises(GeometryError, match=r"liver\.dcm does not fit"):
        fit(read_seg(path, far), far, path.name)


def test_frames_at_uneven_distances_need_the_case(tmp_path):
    stored = pydicom.dcmread(_seg("dcmqi_segmentations", "liver.dcm"))
    heights = (-126.69, -128.69, -131.69)
    for groups, z in zip(stored.PerFrameFunctionalGroupsSequence, heights, strict=True):
        groups.PlanePositionSequence[0].ImagePositionPatient = [-235.2, -226.8, z]
    stored.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 2.0
    stored.save_as(tmp_path / "uneven.dcm")
    with pytest.raises(ScanError, match=r"uneven\.dcm.*no common grid"):
        read_seg(tmp_path / "uneven.dcm")
    whole = read_seg(_seg("dcmqi_segmentations", "liver.dcm"))
    affine = LPS @ np.array([[0.810547, 0, 0, -235.2], [0, 0.810547, 0, -226.8], [0, 0, 1, -133.69], [0, 0, 0, 1]])
    case = Geometry.from_source((512, 512, 10), affine)
    labels = read_seg(tmp_path / "uneven.dcm", case)
    assert sorted(np.flatnonzero(labels.voxels.any(axis=(1, 2)))) == [2, 5, 7]
    assert np.count_nonzero(labels.voxels) == np.count_nonzero(whole.voxels)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("seg_image_cr_binary.dcm", "does not say where it lies"),
        *[
            (f"seg_image_sm_{n}.dcm", "microscope slide")
            for n in ("control", "control_labelmap", "control_labelmap_palette_color", "dots", "dots_tiled_full",
                      "numbers")
        ],
    ],
)  # fmt: skip
def test_what_has_no_place_in_a_patient_is_refused(name, reason):
    with pytest.raises(ScanError, match=f"{name}.*{reason}"):
        read_seg(_seg("highdicom_test_files", name))


@pytest.mark.parametrize(
    ("seg", "scan"),
    [
        (("dcmqi_segmentations", "liver.dcm"), ("dcmqi_segmentations", "ct-3slice")),
        (("dcmqi_segmentations", "23x38x3", "seg", "label.seg"), ("dcmqi_segmentations", "23x38x3", "image")),
        (("dcmqi_segmentations", "23x38x3", "seg", "label.seg"), ("dcmqi_segmentations", "23x38x3", "multiframe")),
        (("dcmqi_segmentations", "24x38x3", "seg", "label.seg"), ("dcmqi_segmentations", "24x38x3", "image")),
        (("dcmqi_segmentations", "sparse-labelmap-ppv5.dcm"), ("dcmqi_segmentations", "24x38x3", "image")),
        (("highdicom_test_files", "seg_image_ct_binary_single_frame.dcm"), ("highdicom_test_files", "ct_image.dcm")),
    ],
)
def test_a_seg_lies_on_the_grid_of_the_series_it_was_drawn_on(seg, scan):
    case = read_volume(_seg(*scan)).geometry
    labels = read_label_map(_seg(*seg), geometry=case)
    fitted = fit(labels, case, seg[-1])
    assert fitted.geometry is case
    assert np.count_nonzero(fitted.voxels) == np.count_nonzero(read_label_map(_seg(*seg)).voxels) > 0
    assert fitted.warnings == ()


def test_every_file_becomes_a_label_map_or_a_sentence_that_names_it():
    files = [p for f in ("highdicom_test_files", "dcmqi_segmentations") for p in _seg(f).rglob("*") if p.is_file()]
    read, refused = [], {}
    for path in files:
        try:
            read.append((path.name, read_label_map(path)))
        except ApprenticeError as error:
            refused[path.name] = str(error)
    assert all(name in text for name, text in refused.items())
    assert all(labels.voxels.shape == labels.geometry.shape for _, labels in read)
    assert {"liver.dcm", "label.seg", "sparse-labelmap-noppv.dcm", "heart_seg.nrrd"} <= {name for name, _ in read}
    assert len(refused) > 10


def _damaged(path, **changes):
    """The liver's segmentation with attributes replaced."""
    stored = pydicom.dcmread(_seg("dcmqi_segmentations", "liver.dcm"))
    groups = stored.PerFrameFunctionalGroupsSequence[0]
    if "segment" in changes:
        groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber = changes.pop("segment")
    if "height" in changes:
        groups.PlanePositionSequence[0].ImagePositionPatient = [-235.2, -226.8, changes.pop("height")]
    stored.update(changes)
    stored.save_as(path)
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Rows": 60000, "Columns": 60000}, "claims 3 frames of 60000 x 60000"),
        ({"NumberOfFrames": 3000}, "claims 3,000 frames"),
        ({"segment": 9}, "holds segment 9, which it does not describe"),
        ({"height": -124.69 + 100000}, "would span 100,00. slices|no common grid"),
    ],
)
def test_damage_is_refused_before_anything_is_made_for_it(tmp_path, changes, reason):
    with pytest.raises(ScanError, match=f"bad.dcm.*({reason})"):
        read_seg(_damaged(tmp_path / "bad.dcm", **changes))


def test_a_file_cut_off_is_refused(tmp_path):
    content = _seg("dcmqi_segmentations", "liver.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(content[: len(content) // 2])
    with pytest.raises(ScanError, match=r"cut\.dcm is cut off or damaged"):
        read_label_map(tmp_path / "cut.dcm")
