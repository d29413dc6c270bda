"""Label maps made elsewhere, against what a case showed before."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE, volume, write_nifti
from builders import study as make_study
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.errors import GeometryError, InputError
from napari_apprentice.loop.correcting import import_correction, store_label_map
from napari_apprentice.loop.history import case_history
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.store.study import Study
from real_data import real_data


def test_what_was_known_stays_known_where_the_newest_model_says_the_same(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    study: Study = make_study(tmp_path)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2] = 1
    status = np.zeros(SHAPE, np.uint8)
    status[2], status[3] = 2, 1
    study.revisions.save("c1", labels, status, Provenance("ann"))
    study.predictions.write("c1", "v0001", Prediction(labels, np.zeros(SHAPE, np.uint8), {}))
    monkeypatch.setattr(study.models, "active", lambda: "v0001")
    labels[4] = 2
    revision = store_label_map(study, "c1", labels, accept="edited", author="bob")
    stored = study.revisions.read("c1", revision.name)[1]
    assert [int(stored[z].max()) for z in range(SHAPE[0])] == [0, 0, 2, 1, 2, 0]
    assert (revision.provenance.parent, revision.provenance.model) == ("r0001", "v0001")


def _nifti(path: Path, voxels: np.ndarray, shift: float = 0.0) -> Path:
    geometry = volume().geometry
    affine = geometry.source_affine.copy()
    affine[0, 3] += shift
    return write_nifti(path, np.asfortranarray(geometry.to_source(voxels)), affine)


def test_a_label_map_comes_in_with_notes_of_what_was_decided(tmp_path: Path) -> None:
    study: Study = make_study(tmp_path)
    labels = np.zeros(SHAPE, np.uint8)
    labels[1], labels[2], labels[3] = 1, 2, 255
    imported = import_correction(study, "c1", _nifti(tmp_path / "a.nii.gz", labels), accept="all", author="ann")
    stored, status = study.revisions.read("c1", imported.revision.name)
    np.testing.assert_array_equal(stored, np.where(labels == 255, 0, labels))
    np.testing.assert_array_equal(status == 0, labels == 255)
    assert imported.notes == ("a.nii.gz: 255 was taken for unknown; its 80 voxels stay unseen.",)
    # Where the next file is not sure, what is known stays.
    labels[3], labels[1] = 2, 255
    second = import_correction(study, "c1", _nifti(tmp_path / "b.nii.gz", labels), accept="all", author="bob")
    stored, status = study.revisions.read("c1", second.revision.name)
    assert (stored[1] == 1).all()
    assert (status[1] == 1).all()
    assert (stored[3] == 2).all()


def test_a_label_map_made_elsewhere_says_how_much_of_each_label_it_changed(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    before = np.zeros(SHAPE, np.uint8)
    before[1, 2:4, 3:6] = 1
    study.revisions.save("c1", before, np.ones(SHAPE, np.uint8), Provenance("ann"))
    after = before.copy()
    after[1, 2, 3:6] = 2
    after[4, 0, 0] = 1
    revision = store_label_map(study, "c1", after, accept="all", author="bob", origin="import")
    assert revision.voxels_edited == 4
    assert case_history(study, "c1")[-1].changed == {"one": 4, "two": 3}


def test_what_somebody_else_saved_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study: Study = make_study(tmp_path)
    labels, assign = np.ones(SHAPE, np.uint8), study.split.assign

    def while_read(subject: str) -> str:
        study.revisions.save("c1", labels, labels, Provenance("Bo"))
        return assign(subject)

    monkeypatch.setattr(study.split, "assign", while_read)
    imported = import_correction(study, "c1", _nifti(tmp_path / "a.nii.gz", labels), accept="all", author="ann")
    assert imported.revision.name == "r0002"
    assert imported.notes[-1] == "Bo saved c1/r0001 in the meantime. Both are kept."


def test_another_grid_is_resampled_only_when_asked(tmp_path: Path) -> None:
    study: Study = make_study(tmp_path)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2:5, 3:7] = 1
    path = _nifti(tmp_path / "moved.nii.gz", labels, 0.45)
    with pytest.raises(GeometryError, match=r"moved\.nii\.gz does not fit.*--resample.*Nothing was stored in case c1"):
        import_correction(study, "c1", path, accept="all", author="ann")
    assert study.revisions.newest("c1") is None
    imported = import_correction(study, "c1", path, accept="all", author="ann", resample=True)
    assert "was resampled to the scan's grid" in imported.notes[0]
    assert study.revisions.read("c1", imported.revision.name)[0].any()


def test_strange_labels_store_nothing(tmp_path: Path) -> None:
    study: Study = make_study(tmp_path)
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, 0] = 7
    with pytest.raises(InputError, match=r"7 \(1 voxel\)"):
        import_correction(study, "c1", _nifti(tmp_path / "a.nii", labels), accept="all", author="ann")
    assert study.revisions.newest("c1") is None


@pytest.mark.data
def test_a_case_from_dicom_takes_a_seg_by_the_name_of_its_segment(tmp_path: Path) -> None:
    folder = real_data("dicom", "dcmqi_segmentations", "23x38x3")
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["spleen", "liver"]))
    study.cases.add("c1", "s1", read_volume(folder / "image"))
    imported = import_correction(study, "c1", folder / "seg" / "label.seg", accept="all", author="ann")
    stored = study.revisions.read("c1", imported.revision.name)[0]
    assert imported.notes == ("label.seg: 1 Liver became 2 liver.",)
    plain = read_label_map(folder / "nrrd" / "label.nrrd")
    np.testing.assert_array_equal(stored == 2, fit(plain, study.cases.info("c1").geometry, "label.nrrd").voxels == 1)


@pytest.mark.data
def test_a_case_from_dicom_takes_contours(tmp_path: Path) -> None:
    folder = tmp_path / "ct"
    folder.mkdir()
    for name in ("ct_1.dcm", "ct_2.dcm"):
        shutil.copy(real_data("dicom", "rtstruct_rtutils", "mock_data", name), folder)
    contours = real_data("dicom", "rtstruct_rtutils", "mock_data", "invalid_reference_rt.dcm")
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["other", "ROI-1", "ROI-3"]))
    study.cases.add("c1", "s1", read_volume(folder))
    with pytest.raises(InputError, match="2 ROI-2"):
        import_correction(study, "c1", contours, accept="all", author="ann", settings=ReadSettings(overlap="smallest"))
    imported = import_correction(
        study, "c1", contours, accept="all", author="ann", settings=ReadSettings(segments="ROI-1,ROI-3", overlap="last")
    )
    stored = study.revisions.read("c1", imported.revision.name)[0]
    assert sorted(np.unique(stored)) == [0, 2, 3]
    assert "invalid_reference_rt.dcm: 1 ROI-1 became 2 ROI-1." in imported.notes
    assert any("outside of the scan left out" in note for note in imported.notes)


def test_a_folder_of_masks_is_refused_at_the_first_that_the_study_lacks(tmp_path: Path) -> None:
    study: Study = make_study(tmp_path)
    masks = tmp_path / "masks"
    masks.mkdir()
    _nifti(masks / "aorta.nii.gz", np.ones(SHAPE, np.uint8))
    (masks / "one.nii.gz").write_bytes(b"as long to read as a hundred others")
    with pytest.raises(InputError, match="masks has masks of aorta, which this study does not have"):
        import_correction(study, "c1", masks, accept="all", author="ann")
    with pytest.raises(InputError, match="no prediction to compare with"):
        import_correction(study, "c1", masks / "one.nii.gz", accept="edited", author="ann")
    assert study.revisions.names("c1") == ()
