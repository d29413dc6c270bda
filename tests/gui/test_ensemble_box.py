"""The menu of model versions that predict together with the active one."""

from pathlib import Path

import pytest

pytest.importorskip("qtpy")

from pytestqt.qtbot import QtBot

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.gui.ensemble_box import EnsembleBox
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.settings_form import SettingsForm
from napari_apprentice.session import ModelRow


def rows(active: str = "v0002") -> Facts:
    """v0001 and v0002 are folds of one model, v0003 sees scans alike, v0004 knows other labels."""
    notes = {"v0001": {"fold": active == "v0002"}, "v0002": {"fold": active == "v0001"}}
    notes |= {"v0003": {}, "v0004": {"unlike": "the labels that they know"}}
    made = (ModelRow(name, name == active, "2026", None, "", **note) for name, note in notes.items())
    return Facts(path=Path("s"), models=tuple(made))


@pytest.fixture
def box(qtbot: QtBot) -> EnsembleBox:
    made = EnsembleBox(SettingsForm(PredictSettings()))
    qtbot.addWidget(made)
    made.show_models(rows())
    return made


def test_by_itself_only_best_asks_the_other_folds(box: EnsembleBox) -> None:
    assert (box.chosen, box.button.text()) == ((), "no other model version")
    box._form.set("quality", "best")
    assert (box.chosen, box.button.text()) == (("v0001",), "v0001")
    assert box.by_quality.isChecked()
    assert box.actions_of["v0001"].isChecked()
    assert box._form.value().ensemble == ""


def test_what_a_person_chooses_is_asked_at_any_quality(box: EnsembleBox) -> None:
    box.actions_of["v0003"].trigger()
    assert box._form.value().ensemble == "v0003"
    box.actions_of["v0001"].trigger()
    assert box._form.value().ensemble == "v0001,v0003"
    assert box.button.text() == "v0001, v0003"
    assert not box.by_quality.isChecked()
    for name in ("v0001", "v0003"):
        box.actions_of[name].trigger()
    assert box._form.value().ensemble == "none"  # not left to the quality, which would ask a fold
    box._form.set("quality", "best")
    assert box.chosen == ()
    box.by_quality.trigger()
    assert (box._form.value().ensemble, box.chosen) == ("", ("v0001",))


def test_what_cannot_predict_together_cannot_be_chosen_and_says_why(box: EnsembleBox) -> None:
    action = box.actions_of["v0004"]
    assert not action.isEnabled()
    assert "they differ in the labels that they know" in action.toolTip()


def test_another_active_version_drops_what_does_not_fit_it(box: EnsembleBox) -> None:
    box.actions_of["v0003"].trigger()
    box.actions_of["v0001"].trigger()
    box.show_models(rows("v0001"))
    assert box._form.value().ensemble == "v0003"
    assert set(box.actions_of) == {"v0002", "v0003", "v0004"}


def test_with_one_model_version_there_is_nothing_to_choose(box: EnsembleBox) -> None:
    box.show()
    assert box.isVisible()
    box.show_models(Facts(path=Path("s"), models=rows().models[1:2]))
    assert not box.isVisible()
