"""File > Save Selected Layers as DICOM SEG."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from driving import Person

import dicom_builder
from builders import study as make_study
from napari_apprentice.errors import ChoiceError, InputError
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map, read_volume

pytestmark = pytest.mark.window
NAME = "napari-apprentice"


def test_labels_drawn_on_an_open_series_are_saved_as_a_segmentation_of_it(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series, out, viewer = tmp_path / "series", tmp_path / "drawn.dcm", person.viewer
    dicom_builder.write_series(series, dicom_builder.random_voxels((3, 6, 5)), SliceThickness=2.5)
    (scan,) = viewer.open(series, plugin=NAME)
    drawn = np.zeros(scan.data.shape, np.uint8)
    drawn[1, 2:4, 1:4], drawn[0, 0, 0] = 2, 1
    labels = viewer.add_labels(drawn, scale=scan.scale, translate=scan.translate, units=scan.units)
    assert labels.save(str(out), plugin=NAME)
    again = fit(read_label_map(out), read_volume(series).geometry, out.name)  # a SEG leaves empty slices out
    np.testing.assert_array_equal(again.voxels, drawn)
    (cited,) = pydicom.dcmread(out).ReferencedSeriesSequence
    assert {r.ReferencedSOPInstanceUID for r in cited.ReferencedInstanceSequence} == {
        pydicom.dcmread(f).SOPInstanceUID for f in series.iterdir()
    }
    viewer.layers.remove(scan)
    monkeypatch.setattr("napari_apprentice.gui.seg_saving._asked_for", lambda: None)  # the dialog is closed
    with pytest.raises(InputError, match="open their folder"):
        labels.save(str(tmp_path / "none.dcm"), plugin=NAME)


def test_of_two_persons_on_one_grid_nobody_is_taken_by_chance(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, bert = (
        dicom_builder.write_series(tmp_path / name, dicom_builder.random_voxels((3, 6, 5), seed=seed), PatientName=name)
        for seed, name in enumerate(("Anna", "Bert"))
    )
    for series in (anna, bert):
        (scan,) = person.viewer.open(series, plugin=NAME)
    drawn = person.viewer.add_labels(np.ones(scan.data.shape, np.uint8), scale=scan.scale, translate=scan.translate)
    monkeypatch.setattr("napari_apprentice.gui.seg_saving._asked_for", lambda: bert)
    assert drawn.save(str(tmp_path / "drawn.dcm"), plugin=NAME)
    assert pydicom.dcmread(tmp_path / "drawn.dcm").PatientName == "Bert"
    # The layers of a case know whose files it came from.
    study = make_study(tmp_path, cases=0)
    study.cases.add("c1", "s1", read_volume(anna))
    person.viewer.layers.clear()
    person.open_study(study.path)
    person.open_case("c1")
    labels = person.desk.layers.labels
    asked = []
    monkeypatch.setattr("napari_apprentice.gui.choice_dialog.ask_about", lambda *question: asked.append(question[1]))
    with pytest.raises(ChoiceError, match="another person"):
        labels.save(str(tmp_path / "case.dcm"), plugin=NAME)
    assert len(asked) == 1
    monkeypatch.setattr("napari_apprentice.gui.seg_saving._asked_for", lambda: anna)
    assert labels.save(str(tmp_path / "case.dcm"), plugin=NAME)
    assert pydicom.dcmread(tmp_path / "case.dcm").PatientName == "Anna"
