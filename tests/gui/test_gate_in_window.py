"""After a training run: the table, pictures of what changed, a person's own verdict, the way back, a note, a move."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import Person
from models import ONES, add_model
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_apprentice.core.gate import CaseScore, judge
from napari_apprentice.core.plane import plane_of_change
from napari_apprentice.core.records import Example, Provenance
from napari_apprentice.gui.move_dialog import MoveDialog
from napari_apprentice.loop.change_pictures import change_pictures
from napari_apprentice.loop.tuning import TuneReport
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window


def _examples(study: Study) -> list[Example]:
    found = []
    for case_id in study.cases.ids():
        info = study.cases.info(case_id)
        labels = np.zeros(info.shape, np.uint8)
        labels[2:5, 2:6, 2:7] = 1
        key = study.revisions.save(case_id, labels, np.ones_like(labels), Provenance("ann")).key
        study.split.assign(info.subject, side="validation")
        found.append(
            Example(key, info.subject, study.cases.voxels(case_id), labels, np.ones_like(labels), info.spacing)
        )
    return found


def _tuned(study: Study, folder: Path, name: str, *, better: bool) -> TuneReport:
    """A candidate with its verdict and its pictures, as a training run registers it."""
    examples = _examples(study)
    worse = [np.roll(e.labels, 3, axis=2) for e in examples]
    maps = [(w, e.labels) if better else (e.labels, w) for w, e in zip(worse, examples, strict=True)]
    dice = (0.6, 0.8) if better else (0.8, 0.6)
    before, after = (
        [CaseScore(e.revision, 1, d + 0.05 * i, False, e.subject) for i, e in enumerate(examples)] for d in dice
    )
    report = judge(before, after, {1: "one"})
    planes = [plane_of_change(e, *m) for e, m in zip(examples, maps, strict=True)]
    pictures, shown = change_pictures(report, planes, study.schema, (str(study.models.active()), name))
    first = study.models.info("v0001")
    version = replace(
        first, name=name, parent="v0001", gate=report, pictures=shown, temperature=1.4,
        metrics={"share": 0.8, "calibration": {"ece_before": 0.05, "ece_after": 0.02}},
    )  # fmt: skip
    study.models.register(version, folder / "w.safetensors", pictures)
    if better:
        study.models.activate(name, "passed the gate")
    return TuneReport("run", name, better, report, 250, 12.0)


@pytest.fixture
def ready(person: Person, study: Study, tmp_path: Path) -> Person:
    """A study with a model version that is active."""
    assert ONES
    add_model(study, tmp_path)
    person.open_study(study.path)
    return person


def _details(person: Person):
    panel = person.dock.tune_panel
    person.wait(lambda: panel.viewing.dialog is not None and panel.viewing.dialog.isVisible())
    return panel.viewing.dialog


def test_where_only_a_candidate_is_there_it_is_said_what_to_do_and_that_works(
    person: Person, study: Study, tmp_path: Path
) -> None:
    add_model(study, tmp_path, active=False)
    _examples(study)
    person.open_study(study.path)
    panel = person.dock.tune_panel
    assert panel.step.isVisibleTo(panel)
    assert panel.step.text() == (
        "No model version is active: select one in the list and press Activate, or train anew."
    )
    assert (panel.train_first.text(), panel.train_first.isEnabled()) == ("Train anew", True)
    panel.models.list.setCurrentRow(0)
    person.click(panel.models.activate)
    person.settle()
    assert "v0001" in person.dock.predict_panel.model.text()
    assert panel.fine_tune.isEnabled()
    assert "No model version" not in panel.step.text()


def test_table_and_pictures_after_a_run_and_a_refused_candidate_used_all_the_same(
    ready: Person, study: Study, tmp_path: Path
) -> None:
    panel = ready.dock.tune_panel
    assert not panel.details.isVisibleTo(panel)
    ready.desk.models.tuned.emit(_tuned(study, tmp_path, "v0002", better=False))
    ready.desk.facts.refresh()
    ready.wait(lambda: len(ready.desk.facts.now.models) == 2)
    assert "not active: held-out corrections get worse" in panel.verdict.text()
    assert [panel.table.item(0, c).text() for c in (0, 1, 4, 5)] == [
        "one", "2 corrections", "-0.200", "-0.200 to -0.200",
    ]  # fmt: skip
    assert panel.table.isColumnHidden(5)
    assert "95 % interval -0.200 to -0.200 (2 subjects)" in panel.verdict.text()
    ready.click(panel.details)
    dialog = _details(ready)
    assert not dialog.table.isColumnHidden(5)
    assert sorted(dialog.pictures) == ["best.png", "worst.png"]
    assert all(p.pixmap().width() > 600 for p in dialog.pictures.values())
    assert "too narrow" in dialog.caution.text()
    assert not dialog.use.isEnabled()
    dialog.why.setText("it finds the small ones")
    ready.click(dialog.use)
    ready.wait(lambda: ready.desk.facts.now.active == "v0002")
    assert "Since then v0002 was made active." in panel.verdict.text()
    turn = study.models.activations()[-1]
    assert (turn.overrules, turn.why) == ("v0002", "it finds the small ones")
    ready.wait(lambda: "against the gate" in dialog.origin.text())
    dialog.close()
    ready.click(panel.models.back)
    ready.wait(lambda: ready.desk.facts.now.active == "v0001")
    assert study.models.activations()[-1].reason.startswith("went back from v0002")
    assert "Since then" not in panel.verdict.text()
    assert ready.complaints == []


def test_a_candidate_that_passed_is_refused_and_a_note_is_kept(ready: Person, study: Study, tmp_path: Path) -> None:
    panel = ready.dock.tune_panel
    _tuned(study, tmp_path, "v0002", better=True)
    ready.desk.facts.refresh()
    ready.wait(lambda: ready.desk.facts.now.active == "v0002")
    panel.models.list.setCurrentRow(0)
    ready.click(panel.models.details)
    dialog = _details(ready)
    dialog.text.setPlainText("good on site B")
    ready.click(dialog.keep)
    ready.wait(lambda: "good on site B" in panel.models.list.item(0).text())
    dialog.why.setText("left kidney is cut off")
    ready.click(dialog.refuse)
    ready.wait(lambda: ready.desk.facts.now.active == "v0001")
    assert study.models.notes()["v0002"].text == "good on site B"
    assert "left kidney is cut off" in panel.models.list.item(0).toolTip()
    ready.settle()
    assert ready.complaints == []
    dialog.close()


def test_choosing_what_the_gate_found_worse_asks_first(ready: Person, study: Study, tmp_path: Path) -> None:
    panel = ready.dock.tune_panel
    _tuned(study, tmp_path, "v0002", better=False)
    ready.desk.facts.refresh()
    ready.wait(lambda: panel.models.list.count() == 2)
    panel.models.list.setCurrentRow(0)
    ready.click(panel.models.activate)
    _details(ready).close()
    assert study.models.active() == "v0001"
    assert ready.complaints == []


def test_a_subject_is_moved_from_the_case_table_with_a_reason(ready: Person, study: Study) -> None:
    _examples(study)
    ready.desk.facts.refresh()
    table = ready.dock.study_panel.table
    ready.wait(lambda: table.cases.rows and table.cases.rows[0].side == "validation")
    menu = table.menu(table.model().index(0, 0))
    assert [a.text() for a in menu.actions()] == ["Open c1", "Move subject s1 to the train side ..."]

    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, MoveDialog)
        assert not dialog.move_it.isEnabled()
        dialog.why.setText("scanned twice")
        dialog.move_it.click()

    QTimer.singleShot(200, answer)
    menu.actions()[1].trigger()
    menu.close()
    menu.deleteLater()
    ready.wait(lambda: table.cases.rows[0].side == "train")
    (moved,) = study.split.moves()
    assert (moved.subject, moved.side, moved.reason, moved.author) == (
        "s1",
        "train",
        "scanned twice",
        ready.session.author,
    )
    assert ready.complaints == []
