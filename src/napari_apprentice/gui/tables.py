"""What the tables of the dock have in common."""

from qtpy.QtWidgets import QHeaderView, QTableView

ROW_HEIGHT = 22


def compact(table: QTableView, stretched: int) -> QHeaderView:
    """Hide the row numbers, fit every column to its content, and give one what is left; returns the header."""
    side, header = table.verticalHeader(), table.horizontalHeader()
    if side is None or header is None:  # Qt's stubs allow it; a table always has both
        raise RuntimeError("A table without headers.")
    side.hide()
    side.setDefaultSectionSize(ROW_HEIGHT)
    header.setStyleSheet("QHeaderView::section { padding: 1px 3px; }")
    header.setHighlightSections(False)  # bold titles are wider than the columns were measured for
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
    return header
