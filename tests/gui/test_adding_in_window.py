"""Scans into a study at the window: data sets are shown, open questions asked, refusals listed."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from driving import Person
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication

from builders import OBLIQUE, volume, write_nifti
from napari_apprentice.gui.choice_dialog import ChoiceDialog
from napari_apprentice.gui.found_dialog import FoundDialog
from napari_apprentice.gui.refused_dialog import RefusedDialog
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window


@pytest.fixture
def opened(person: Person, study: Study) -> Iterator[Person]:
    """With a study of cases c1 and c2 open."""
    person.open_study(study.path)
    yield person
    # No event loop runs in a test, and only that deletes what was asked to be deleted later.
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def dialog(person: Person, kind: type) -> object:
    """Wait until a dialog of a kind is there."""
    person.wait(lambda: isinstance(person.desk.studies.adding.dialog, kind), 20)
    return person.desk.studies.adding.dialog


def series(path: Path, seed: int) -> Path:
    """A NIfTI file with so many volumes that it is asked about them."""
    voxels = np.random.default_rng(seed).integers(0, 90, (4, 5, 6, 40)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, OBLIQUE), path)
    return path


def test_open_questions_are_asked_once_for_all_alike(opened: Person, tmp_path: Path) -> None:
    files = [series(tmp_path / f"dyn{i}.nii.gz", i) for i in (1, 2)]
    opened.desk.studies.add_files([*files, write_nifti(tmp_path / "flat.nii.gz", volume(9).voxels[0].T)])
    asked = dialog(opened, ChoiceDialog)
    assert asked.all.isVisible()
    assert "1 more" in asked.all.text()
    asked.other.setText("70")
    opened.click(asked.read)
    opened.settle()
    assert opened.session.study.cases.ids() == ("c1", "c2", "flat")  # 70 does not exist: refused below
    assert "2 of 3 were not added" in opened.complaints[-1]
    opened.desk.studies.add_files(files)
    asked = dialog(opened, ChoiceDialog)
    asked.other.setText("0,2")
    opened.click(asked.read)
    opened.wait(lambda: len(opened.session.study.cases.ids()) == 5)
    opened.settle()
    info = opened.session.study.cases.info("dyn1")
    assert len(info.channels) == 2
    assert info.steps


def test_a_question_that_is_not_answered_leaves_the_scan_out(opened: Person, tmp_path: Path) -> None:
    opened.desk.studies.add_files([series(tmp_path / "dyn.nii.gz", 1)])
    asked = dialog(opened, ChoiceDialog)
    opened.click(asked.read)
    assert asked.isVisible()  # nothing was chosen yet
    assert "first" in asked.problem.text()
    asked.reject()
    opened.settle()
    assert opened.session.study.cases.ids() == ("c1", "c2")
    assert "Nothing was chosen" in opened.complaints[-1]


def test_refused_files_come_in_a_table_that_can_be_copied(opened: Person, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.nii.gz").write_text("<!doctype html>")
    write_nifti(tmp_path / "good.nii.gz", volume(9).voxels[0].T)
    opened.desk.studies.add_files(sorted(tmp_path.glob("*.gz")))
    table = dialog(opened, RefusedDialog)
    assert "good" in opened.session.study.cases.ids()
    assert table.table.rowCount() == 2
    opened.click(table.copy)
    text = QApplication.clipboard().text()
    assert text.count("web page") == 2
    assert "a.nii.gz\t" in text
    table.reject()


def test_a_data_set_is_shown_before_it_is_added(opened: Person, tmp_path: Path) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    (tmp_path / "set" / "dataset.json").write_text(
        '{"name": "tiny", "modality": {"0": "MRI"}, "labels": {"0": "background", "1": "one", "2": "two"},'
        '"training": [{"image": "./imagesTr/p1.nii.gz", "label": "./labelsTr/p1.nii.gz"}], "test": []}'
    )
    write_nifti(tmp_path / "set" / "imagesTr" / "p1.nii.gz", volume(9).voxels[0].T)
    write_nifti(tmp_path / "set" / "labelsTr" / "p1.nii.gz", np.ones(volume(9).voxels[0].T.shape, np.uint8))
    opened.desk.studies.add_files([tmp_path / "set"])
    shown = dialog(opened, FoundDialog)
    assert "1 case" in shown.text.text()
    assert "MRI" in shown.text.text()
    assert shown.table.item(0, 3).text() == "yes"
    shown.reject()
    opened.settle()
    assert opened.session.study.cases.ids() == ("c1", "c2")
    opened.desk.studies.add_files([tmp_path / "set"])
    shown = dialog(opened, FoundDialog)
    opened.click(shown.add)
    opened.wait(lambda: "p1" in opened.session.study.cases.ids())
    opened.settle()
    assert opened.session.study.revisions.newest("p1") is not None


def test_a_choice_is_asked_when_a_file_is_opened_in_napari(person: Person, tmp_path: Path) -> None:
    path = series(tmp_path / "dyn.nii.gz", 1)
    texts: list[str] = []

    def answer() -> None:
        asked = QApplication.activeModalWidget()
        if not isinstance(asked, ChoiceDialog):
            QTimer.singleShot(50, answer)
            return
        texts.append(asked.windowTitle())
        asked.other.setText("1")
        asked.read.click()

    QTimer.singleShot(100, answer)
    (layer,) = person.viewer.open(path, plugin="napari-apprentice")
    assert texts == ["How to read dyn.nii.gz"]
    assert layer.data.shape == tuple(layer.metadata["apprentice"]["geometry"]["source_shape"][p] for p in
                                     layer.metadata["apprentice"]["geometry"]["permutation"])  # fmt: skip
    notification_manager.records.clear()
