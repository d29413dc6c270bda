"""A DICOM SEG or contours of another person, dropped onto what is open: the window asks as the command line does."""

from pathlib import Path

import numpy as np
import pytest
from driving import Person
from napari.utils.notifications import notification_manager
from pydicom.uid import RTStructureSetStorage
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from builders import study as make_study
from dicom_builder import header, items, random_voxels, write_series
from napari_apprentice.gui.choice_dialog import ChoiceDialog
from napari_apprentice.scans.reader import read_volume
from napari_apprentice.scans.segments.seg_writer import write_seg
from napari_apprentice.scans.writer import write_label_map

pytestmark = pytest.mark.window
NAME = "napari-apprentice"
SHAPE = (3, 6, 5)
ANNA = {"PatientID": "P-1", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "FrameOfReferenceUID": "1.1.9"}
BERT = {"PatientID": "P-2", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1", "FrameOfReferenceUID": "1.2.9"}


def seg_of(folder: Path) -> Path:
    """A SEG of a series, on the one grid that all have here."""
    geometry = read_volume(folder).geometry
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1, 2:4, 1:4] = 1
    write_seg(folder.with_suffix(".dcm"), labels, geometry, folder, names={1: "liver"})
    return folder.with_suffix(".dcm")


def contours_of(folder: Path, uids: dict[str, str]) -> Path:
    """The outline of a square in a slice of a series, as contours; not in that of its SEG."""
    corners = np.array([[0, y, x, 1] for y, x in ((1, 1), (1, 3), (4, 3), (4, 1))])
    square = (corners @ read_volume(folder).geometry.affine.T)[:, :3] * (-1, -1, 1)  # DICOM's axes run to L and P
    contour = items(ContourGeometricType="CLOSED_PLANAR", ContourData=square.ravel().tolist())
    path = folder.with_suffix(".rt.dcm")
    header(
        SOPClassUID=RTStructureSetStorage, PatientName=None, **uids,
        StructureSetROISequence=items(ROINumber=1, ROIName="liver"),
        ROIContourSequence=items(ReferencedROINumber=1, ContourSequence=contour),
    ).save_as(path, enforce_file_format=True)  # fmt: skip
    return path


def answering(take: bool) -> list[str]:
    """Answer the next dialog; what it asked."""
    asked: list[str] = []

    def answer() -> None:
        dialog = next(
            (w for w in QApplication.topLevelWidgets() if isinstance(w, ChoiceDialog) and w.isVisible()), None
        )
        if dialog is None:
            QTimer.singleShot(20, answer)
            return
        asked.append(" ".join(x.text() for x in dialog.findChildren(object) if hasattr(x, "text") and x.text()))
        dialog.buttons.buttons()[0].setChecked(take)
        dialog.accept() if take else dialog.reject()

    QTimer.singleShot(20, answer)
    return asked


@pytest.fixture
def opened(person: Person, tmp_path: Path) -> Person:
    """With a case of Anna's open; Bert was on the same scanner."""
    anna = write_series(tmp_path / "anna", random_voxels(SHAPE), **ANNA)
    write_series(tmp_path / "bert", random_voxels(SHAPE, seed=1), **BERT)
    study = make_study(tmp_path, cases=0)
    study.cases.add("c1", "s1", read_volume(anna))
    person.open_study(study.path)
    person.open_case("c1")
    notification_manager.records.clear()
    return person


@pytest.mark.parametrize("kind", ["seg", "contours"])
def test_one_of_another_person_is_asked_about(opened: Person, tmp_path: Path, kind: str) -> None:
    path = seg_of(tmp_path / "bert") if kind == "seg" else contours_of(tmp_path / "bert", BERT)
    layers = list(opened.viewer.layers)
    asked = answering(take=False)
    assert opened.viewer.open(path, plugin=NAME) == []
    assert list(opened.viewer.layers) == layers
    assert f"{path.name} does not belong to this scan: its patient is sub-" in asked[0]
    answering(take=True)
    (layer,) = opened.viewer.open(path, plugin=NAME)
    assert layer.data.any()
    answering(take=False)  # also while the one that was taken is selected
    assert opened.viewer.open(path, plugin=NAME) == []


def test_ones_own_is_not_asked_about_also_beside_somebody_else_s(opened: Person, tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        if name == "bert":
            opened.viewer.open(tmp_path / name, plugin=NAME)
            opened.viewer.layers.selection.active = opened.desk.layers.labels
        (layer,) = opened.viewer.open(seg_of(tmp_path / name), plugin=NAME)
        assert layer.data.any()
    assert not [n for n in notification_manager.records if "belong" in str(n.message)]


def test_contours_are_drawn_on_the_scan_also_while_a_label_map_is_selected(opened: Person, tmp_path: Path) -> None:
    part = opened.session.case.info.geometry.part((1, 0, 0), (1, 6, 5))
    write_label_map(tmp_path / "part.nii.gz", np.ones(part.shape, np.uint8), part)
    (cropped,) = opened.viewer.open(tmp_path / "part.nii.gz", plugin=NAME)
    assert opened.viewer.layers.selection.active is cropped
    (layer,) = opened.viewer.open(contours_of(tmp_path / "anna", ANNA), plugin=NAME)
    assert layer.data.shape == opened.session.case.info.shape
    assert np.unique(np.nonzero(layer.data)[0]).tolist() == [0]
