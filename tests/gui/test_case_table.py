"""The table of cases: who else has one open."""

from dataclasses import replace

import pytest

pytest.importorskip("qtpy")

from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import QStyleOptionViewItem

from napari_apprentice.gui.case_table import ELLIPSIS, CaseModel, CaseTable, between, shared_ends
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


def drawn(table: CaseTable, column: int) -> list[str]:
    """What stands in the rows of a column."""
    options = []
    for row in range(table.model().rowCount()):
        option = QStyleOptionViewItem()
        option.rect = QRect(0, 0, 80, 20)
        table.itemDelegateForColumn(column).initStyleOption(option, table.model().index(row, column))
        options.append(option.text)
    return options


def test_long_names_are_drawn_by_what_tells_them_apart_and_the_tooltip_has_all(qtbot: QtBot) -> None:
    table = CaseTable()
    qtbot.addWidget(table)
    names = [f"sub-{n}_ses-01_acq-highres_T1w" for n in (1001, 1002, 2001)]
    table.cases.show(tuple(CaseRow(name, name[:8], "unseen", None, 0) for name in names), None)
    assert drawn(table, 0) == [f"{ELLIPSIS}{n}{ELLIPSIS}" for n in (1001, 1002, 2001)]
    assert drawn(table, 1) == ["sub-1001", "sub-1002", "sub-2001"]
    assert names[1] in table.cases.data(table.cases.index(1, 0), Qt.ItemDataRole.ToolTipRole)


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (["BraTS20_Training_001", "BraTS20_Training_002"], ("BraTS20_Training_", "")),
        (["liver", "live"], ("", "")),
        (["a-b-c"], ("", "")),
        ([], ("", "")),
    ],
)
def test_names_begin_and_end_alike_by_whole_parts(names: list[str], shared: tuple[str, str]) -> None:
    assert shared_ends(names) == shared


@given(st.sets(st.text("a1-_", min_size=1, max_size=8), min_size=1, max_size=6))
def test_what_is_drawn_of_names_is_never_empty_and_tells_them_apart(names: set[str]) -> None:
    start, end = shared_ends(sorted(names))
    drawn_names = {between(name, start, end) for name in names}
    assert len(drawn_names) == len(names)
    assert all(name.strip(ELLIPSIS) for name in drawn_names)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["x_1", "x_1_1"], ["…1", "…1_1"]),
        (["LUNG1-001", "LUNG1-001-001"], ["…001", "…001-001"]),
        (["s__e", "s_1_e"], ["…_e", "…1_e"]),
        (["x_", "x_y"], ["x_", "x_y"]),
    ],
)
def test_what_begins_and_ends_names_in_the_same_part_of_them_is_drawn(names: list[str], shown: list[str]) -> None:
    assert [between(name, *shared_ends(names)) for name in names] == shown
