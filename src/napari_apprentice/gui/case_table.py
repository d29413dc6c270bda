"""The table of cases."""

from itertools import takewhile
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QContextMenuEvent, QFont, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QMenu,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_apprentice.gui.tables import compact
from napari_apprentice.session import CaseRow
from napari_apprentice.store.split import TRAIN, VALIDATION

COLUMNS = (
    ("Case", "Name of the case; a double click opens it."),
    ("Subject", "The person it is of; one person is never on both sides of the split."),
    (
        "State",
        "Unseen, predicted, in correction, corrected, or validation (corrected and held out); or who else has it open.",
    ),
    ("Quality", "Dice that the active model version predicts for its own proposal; point at a row for each label."),
    ("Rev.", "Stored revisions."),
)
SORT_ROLE = Qt.ItemDataRole.UserRole
WIDEST = {1: "subject-01", 2: "in correction", 3: "Quality", 4: "Rev."}  # by column; can be dragged wider
MARGIN = 14  # pixels
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
MOST_LABELS = 20  # in a tooltip, the worst first


class CaseModel(QAbstractTableModel):
    """Rows of a session as a Qt model."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[CaseRow, ...] = ()
        self.shared = (("", ""), ("", ""))
        """How all cases' names begin and end, and all subjects'."""
        self._here: str | None = None

    def show(self, rows: tuple[CaseRow, ...], here: str | None) -> None:
        """Show these rows, the open case in bold."""
        if (rows, here) == (self.rows, self._here):
            return
        same = [r.case_id for r in rows] == [r.case_id for r in self.rows]
        if not same:
            self.beginResetModel()
        self.rows, self._here = rows, here
        self.shared = shared_ends([r.case_id for r in rows]), shared_ends([r.subject for r in rows])
        if same and rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(COLUMNS) - 1))
        elif not same:
            self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and default
        """Cases."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and default
        """Columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802 - Qt's name
        """Titles and what they mean."""
        if orientation != Qt.Orientation.Horizontal or role not in (
            Qt.ItemDataRole.DisplayRole,
            Qt.ItemDataRole.ToolTipRole,
        ):
            return None
        return COLUMNS[section][role == Qt.ItemDataRole.ToolTipRole]

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """One cell."""
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _texts(row)[index.column()]
        if role == SORT_ROLE:
            return _keys(row)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(row)
        if role == Qt.ItemDataRole.FontRole and row.case_id == self._here and index.column() == 0:
            font = QFont()
            font.setBold(True)
            return font
        return None


class Names(QStyledItemDelegate):
    """Draws names of one column of cases, where they are too long without what all of them begin and end with.

    Parameters
    ----------
    cases, column
        Whose names.
    """

    def __init__(self, cases: CaseModel, column: int, parent: QObject) -> None:
        super().__init__(parent)
        self._cases = cases
        self._column = column

    def initStyleOption(self, option: QStyleOptionViewItem | None, index: QModelIndex) -> None:  # noqa: N802 - Qt's name
        """What is drawn, and how."""
        super().initStyleOption(option, index)
        text = option.text if option is not None else None
        if option is None or not text or option.fontMetrics.horizontalAdvance(text) <= option.rect.width() - MARGIN:
            return
        option.text = between(text, *self._cases.shared[self._column])


class CaseTable(QTableView):
    """Sortable; announces the case that is to be opened."""

    opened = Signal(str)
    move_requested = Signal(str, str)
    """A subject, and the side of the split that it is to be put on."""

    def __init__(self) -> None:
        super().__init__()
        self.cases = CaseModel()
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.cases)
        self._sorted.setSortRole(SORT_ROLE)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)  # it would break a name at its hyphens and hide the rest
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        for column in (0, 1):
            self.setItemDelegateForColumn(column, Names(self.cases, column, self))
        header = compact(self, stretched=0)
        for column, widest in WIDEST.items():  # what is left goes to the name of the case
            header.setSectionResizeMode(column, header.ResizeMode.Interactive)
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(widest) + MARGIN)
        self.doubleClicked.connect(lambda _: self.open_selected())

    def selected(self) -> str | None:
        """Case id of the selected row."""
        index = self.currentIndex()
        return self.cases.rows[self._sorted.mapToSource(index).row()].case_id if index.isValid() else None

    def select(self, case_id: str) -> None:
        """Select a row by its case id."""
        ids = [r.case_id for r in self.cases.rows]
        if case_id in ids:
            self.setCurrentIndex(self._sorted.mapFromSource(self.cases.index(ids.index(case_id), 0)))

    def open_selected(self) -> None:
        """Ask for the selected case."""
        case_id = self.selected()
        if case_id is not None:
            self.opened.emit(case_id)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802 - Qt's name
        """What else can be done with the case under the mouse."""
        if event is not None:
            self.menu(self.indexAt(event.pos())).popup(event.globalPos())

    def menu(self, index: QModelIndex) -> QMenu:
        """The menu of a row; it goes when it is closed."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if index.isValid():
            row = self.cases.rows[self._sorted.mapToSource(index).row()]
            menu.addAction(f"Open {row.case_id}", lambda: self.opened.emit(row.case_id))
            other = TRAIN if row.side == VALIDATION else VALIDATION
            text = f"Move subject {row.subject} to the {other} side ..." if row.side else "No side of the split yet"
            move = menu.addAction(text, lambda: self.move_requested.emit(row.subject, other))
            if move is not None:
                move.setEnabled(bool(row.side))
        return menu

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Return opens, like a double click."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.open_selected()
            return
        super().keyPressEvent(event)


def shared_ends(names: list[str]) -> tuple[str, str]:
    """How all names begin and how they end, each by whole parts of a name; nothing of a single one.

    What is left of each name without them is never empty, and tells it from all others.
    """
    start, end = _start(names), _start([name[::-1] for name in names])[::-1]
    if any(len(name) <= len(start) + len(end) for name in names):  # both lie in the same part of it, or nothing between
        end = ""
    return "" if start in names else start, end


def between(name: str, start: str, end: str) -> str:
    """A name without how all begin and end."""
    return f"{ELLIPSIS * bool(start)}{name.removeprefix(start).removesuffix(end)}{ELLIPSIS * bool(end)}"


def _start(names: list[str]) -> str:
    first, last = min(names, default=""), max(names, default="")
    shared = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return shared[: 1 + max(map(shared.rfind, "-_. "))] if first != last else ""


def _tip(row: CaseRow) -> str:
    lines = [f"{row.case_id}, subject {row.subject}: {row.state}", *(o.sentence for o in row.others)]
    lines += [f"Side of the split: {row.side}; a right click can move the subject"] * bool(row.side)
    if row.by_label:
        together = f", from how well {', '.join(row.models)} agree" if row.models else ""
        lines.append(f"Predicted Dice{together}:")
        lines += [f"{name}: {dice:.2f}" for name, dice in sorted(row.by_label, key=lambda x: x[1])[:MOST_LABELS]]
    if len(row.by_label) > MOST_LABELS:
        lines.append(f"and {len(row.by_label) - MOST_LABELS} more, all better")
    return "\n".join(lines)


def _texts(row: CaseRow) -> tuple[str, ...]:
    quality = "" if row.quality is None else f"{row.quality:.2f}"
    state = f"open: {', '.join(o.author for o in row.others)}" if row.others else row.state
    return row.case_id, row.subject, state, quality, str(row.revisions)


def _keys(row: CaseRow) -> tuple[Any, ...]:
    quality = -1.0 if row.quality is None else row.quality
    return row.case_id.lower(), row.subject.lower(), row.state, quality, row.revisions
