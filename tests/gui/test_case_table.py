"""The table of cases: who else has one open."""

from dataclasses import replace

import pytest

pytest.importorskip("qtpy")

from qtpy.QtCore import Qt

from napari_apprentice.gui.case_table import CaseModel
from napari_apprentice.loop.rows import CaseRow
from napari_apprentice.store.presence import Present


def test_a_case_that_somebody_else_has_open_says_so() -> None:
    ada = Present("Ada", "ws3", 1, 1.0, "2026-01-01T10:00:00+00:00")
    model = CaseModel()
    model.show((CaseRow("c1", "s1", "predicted", 0.9, 0, True, (ada,)), CaseRow("c2", "s2", "unseen", None, 0)), None)
    states = [model.data(model.index(row, 2), Qt.ItemDataRole.DisplayRole) for row in (0, 1)]
    assert states == ["open: Ada", "unseen"]
    tip = model.data(model.index(0, 2), Qt.ItemDataRole.ToolTipRole)
    assert "Ada has this case open on ws3 since 2026-01-01" in tip
    assert "\n" not in model.data(model.index(1, 2), Qt.ItemDataRole.ToolTipRole)


def test_the_predicted_dice_is_shown_for_the_case_and_each_label_and_says_who_agreed() -> None:
    model = CaseModel()
    by_label = (("liver", 0.91), ("cyst", 0.42))
    alone = CaseRow("c1", "s1", "predicted", 0.665, 0, True, by_label=by_label)
    model.show((alone, replace(alone, case_id="c2", models=("v0001", "v0002"))), None)
    assert model.data(model.index(0, 3), Qt.ItemDataRole.DisplayRole) == "0.67"
    tips = [model.data(model.index(row, 3), Qt.ItemDataRole.ToolTipRole) for row in (0, 1)]
    assert tips[0].endswith("Predicted Dice:\ncyst: 0.42\nliver: 0.91")
    assert tips[1].endswith("Predicted Dice, from how well v0001, v0002 agree:\ncyst: 0.42\nliver: 0.91")
