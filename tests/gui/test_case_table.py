"""The table of cases: who else has one open."""

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
