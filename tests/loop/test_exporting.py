"""Label maps and uncertainty out of a study."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813

from builders import SHAPE, write_nifti
from builders import study as make_study
from learn.small import make_plan
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.errors import GeometryError, InputError
from napari_apprentice.loop.evaluating import evaluate
from napari_apprentice.loop.exporting import export
from napari_apprentice.loop.opening import load_case
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.store.study import Study
from networks import add_version
from real_data import real_data


def _with_labels(study: Study, case_id: str = "c1", **provenance: str) -> np.ndarray:
    shape = study.cases.info(case_id).shape
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    study.revisions.save(case_id, labels, np.ones(shape, np.uint8), Provenance("ann", **provenance))
    return labels


def test_a_seg_needs_its_source_and_only_a_seg(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    _with_labels(study)
    with pytest.raises(InputError, match=r"a\.dcm: .* --source"):
        export(study, "c1", tmp_path / "a.dcm")
    with pytest.raises(InputError, match="--source goes with a DICOM Segmentation"):
        export(study, "c1", tmp_path / "a.nii.gz", source=tmp_path)
    with pytest.raises(InputError, match=r"write uncertainty as \.nii\.gz"):
        export(study, "c1", tmp_path / "a.dcm", "uncertainty", source=tmp_path)
    with pytest.raises(InputError, match="--what takes"):
        export(study, "c1", tmp_path / "a.nii", "model")


def test_names_and_colours_go_with_the_label_map(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    labels = _with_labels(study)
    for suffix in (".nii.gz", ".nrrd", ".ome.zarr"):
        again = read_label_map(export(study, "c1", tmp_path / f"a{suffix}"))
        np.testing.assert_array_equal(again.voxels, labels)
        assert again.names == {1: "one", 2: "two"}
        assert again.colours == {x.id: x.colour for x in study.schema.labels}


def test_uncertainty_of_a_prediction_goes_out_on_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path)
    uncertainty = np.random.default_rng(1).integers(0, 255, SHAPE).astype(np.uint8)
    study.predictions.write("c1", "v0001", Prediction(np.zeros(SHAPE, np.uint8), uncertainty, {}))
    monkeypatch.setattr(study.models, "active", lambda: "v0001")
    out = export(study, "c1", tmp_path / "u.nii.gz", "uncertainty")
    np.testing.assert_array_equal(read_volume(out).voxels[0], uncertainty)


@pytest.mark.data
def test_a_case_from_dicom_goes_out_as_seg_and_as_nifti(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = real_data("dicom", "dcmqi_segmentations", "23x38x3", "image")
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["liver", "cyst"]))
    study.cases.add("c1", "s1", read_volume(folder))
    labels = _with_labels(study)
    seg = export(study, "c1", tmp_path / "a.dcm", source=folder)
    nifti = export(study, "c1", tmp_path / "a.nii.gz")
    again, plain = read_label_map(seg), read_label_map(nifti)
    np.testing.assert_array_equal(again.voxels, labels)
    np.testing.assert_array_equal(plain.voxels, labels)
    assert again.geometry.difference(plain.geometry) is None
    assert again.names == {1: "liver", 2: "cyst"}
    assert pydicom.dcmread(seg).SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    with pytest.raises(GeometryError, match="No series in image"):
        export(study, "c1", tmp_path / "b.dcm", source=folder.parents[1] / "24x38x3" / "image")
    # Corrected by hand again, but on what a model version once proposed.
    _with_labels(study, parent="r0001", model="v0002")
    _with_labels(study, parent="r0002")
    export(study, "c1", seg, source=folder, overwrite=True)
    assert pydicom.dcmread(seg).SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    study.predictions.write("c1", "v0002", Prediction(labels, np.zeros(labels.shape, np.uint8), {}))
    monkeypatch.setattr(study.models, "active", lambda: "v0002")
    export(study, "c1", tmp_path / "p.dcm", "prediction", source=folder)
    segment = pydicom.dcmread(tmp_path / "p.dcm").SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "v0002"


SOURCES = {
    "nifti": ("odd", "real", "nv_shear.nii.gz"),
    "nrrd": ("nrrd", "brain1.nrrd"),
    "dicom": ("dicom", "dcmqi_segmentations", "23x38x3", "image"),
    "multiframe": ("dicom", "dcmqi_segmentations", "23x38x3", "multiframe"),
    "turned": ("dicom", "rtstruct_rtutils", "oriented_data"),
}


@pytest.mark.data
@pytest.mark.parametrize("kind", SOURCES)
def test_a_scan_of_any_format_gives_label_maps_on_its_grid_in_every_format(tmp_path: Path, kind: str) -> None:
    scan = read_volume(real_data(*SOURCES[kind]), ReadSettings())
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["one", "two"]))
    study.cases.add("c1", "s1", scan)
    labels = _with_labels(study)
    source = scan.geometry.source_affine
    for suffix in (".nii.gz", ".nrrd", ".mha", ".ome.zarr"):
        out = export(study, "c1", tmp_path / f"a{suffix}")
        again = read_label_map(out)
        np.testing.assert_array_equal(again.voxels, labels)
        assert scan.geometry.difference(again.geometry) is None
        assert again.geometry.source_shape == scan.geometry.source_shape
        np.testing.assert_allclose(again.geometry.source_affine, source, rtol=1e-6, atol=1e-4)
    image = nib.load(tmp_path / "a.nii.gz")
    if kind == "nifti":
        assert image.affine.tobytes() == nib.load(real_data(*SOURCES[kind])).affine.tobytes()
    else:  # single precision is all that a NIfTI header holds
        np.testing.assert_array_equal(image.affine, source.astype(np.float32))
    if kind == "nrrd":
        written, read = (sitk.ReadImage(str(p)) for p in (tmp_path / "a.nrrd", real_data(*SOURCES[kind])))
        assert written.GetOrigin() == read.GetOrigin()
        assert written.GetSpacing() == read.GetSpacing()
        assert written.GetDirection() == read.GetDirection()


def test_a_prediction_of_other_weights_that_had_the_name_before_is_nobodys(tmp_path: Path) -> None:
    """A model version was removed by hand, and another one imported under its name."""
    study = make_study(tmp_path)
    add_version(study, "v0001", make_plan(), seed=1)
    study.models.activate("v0001", "made by hand")
    shape = study.cases.info("c1").shape
    by = {"weights": study.models.digests("v0001")}
    found = Prediction(np.full(shape, 2, np.uint8), np.zeros(shape, np.uint8), {2: 0.5}, made=by)
    study.predictions.write("c1", "v0001", found)
    assert load_case(study, "c1").model == "v0001"
    (study.models.root / "v0001" / "model.json").write_text("{")  # who made it is not told by a damaged one
    assert load_case(study, "c1").model == "v0001"
    shutil.rmtree(study.models.root / "v0001")
    add_version(study, "v0001", make_plan(), seed=2)
    case = load_case(study, "c1")
    assert case.model is None
    assert not case.canvas.labels.any()
    for what in ("prediction", "uncertainty"):
        with pytest.raises(InputError, match="another model version that was called v0001; predict it again"):
            export(study, "c1", tmp_path / "out.nii.gz", what=what)
    (tmp_path / "references").mkdir()
    write_nifti(tmp_path / "references" / "c1.nii.gz", np.ones(shape[::-1], np.uint8))
    with pytest.raises(InputError, match="was predicted by v0001"):
        evaluate(study, tmp_path / "references")
