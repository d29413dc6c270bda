"""Keys go to the canvas and the wheel scrolls the dock, whatever was clicked in the dock before."""

import pytest
from driving import Person
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QStyle, QStyleOptionSpinBox, QWidget

from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window


@pytest.fixture
def opened(person: Person, study: Study) -> Person:
    """With case c1 open in the window that has the keys."""
    person.open_study(study.path)
    person.open_case("c1")
    person.viewer.window._qt_window.activateWindow()
    person.wait(lambda: QApplication.focusWidget() is not None)
    return person


def press(person: Person, key: Qt.Key) -> None:
    """A key of the keyboard, which goes to whatever has the focus."""
    QTest.keyClick(QApplication.focusWidget(), key)
    person.rest(0.05)


def test_the_space_bar_moves_the_view_and_accepts_no_other_slice(opened: Person) -> None:
    opened.press(Qt.Key.Key_1)
    opened.click(opened.dock.correct_panel.accept_slice)
    opened.viewer.dims.set_current_step(0, 5)
    press(opened, Qt.Key.Key_Space)
    assert not opened.session.case.canvas.status[5].any()
    opened.click(opened.dock.queue_panel.next)
    opened.wait(lambda: opened.session.case.info.case_id == "c2")
    opened.settle()
    press(opened, Qt.Key.Key_Space)
    opened.settle()
    assert opened.session.case.info.case_id == "c2"


def test_after_a_click_in_the_list_of_labels_the_keys_choose_tools_and_labels(opened: Person) -> None:
    chooser, layer = opened.dock.correct_panel.labels, opened.desk.layers.labels
    opened.dock.area.ensureWidgetVisible(chooser)
    opened.rest(0.05)
    row = chooser.visualItemRect(chooser.item(1)).center()
    QTest.mouseClick(chooser.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, row)
    opened.rest(0.05)
    assert (layer.selected_label, layer.mode) == (2, "paint")
    press(opened, Qt.Key.Key_E)
    assert layer.mode == "erase"
    press(opened, Qt.Key.Key_1)
    assert (layer.selected_label, layer.mode, chooser.currentRow()) == (1, "paint", 0)


def test_after_the_depth_of_a_box_was_set_the_digits_choose_labels(opened: Person) -> None:
    slices, layer = opened.dock.correct_panel.accept.slices, opened.desk.layers.labels
    opened.dock.area.ensureWidgetVisible(slices)
    opened.rest(0.05)
    option = QStyleOptionSpinBox()
    slices.initStyleOption(option)
    style, up = slices.style(), QStyle.SubControl.SC_SpinBoxUp
    arrow = style.subControlRect(QStyle.ComplexControl.CC_SpinBox, option, up, slices).center()
    QTest.mouseClick(slices, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, arrow)
    press(opened, Qt.Key.Key_2)
    assert (slices.value(), layer.selected_label) == (6, 2)
    QTest.mouseClick(slices.lineEdit(), Qt.MouseButton.LeftButton)
    slices.selectAll()
    for key in (Qt.Key.Key_9, Qt.Key.Key_Return, Qt.Key.Key_1):
        QTest.keyClick(QApplication.focusWidget() or opened.viewer.window._qt_window, key)
        opened.rest(0.05)
    assert (slices.value(), layer.selected_label) == (9, 1)


def test_after_a_click_in_the_table_the_keys_choose_tools_and_labels_and_the_arrows_stay_there(opened: Person) -> None:
    table, layer = opened.dock.study_panel.table, opened.desk.layers.labels
    row = table.visualRect(table.model().index(0, 0)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, row)
    press(opened, Qt.Key.Key_2)
    assert (layer.selected_label, layer.mode) == (2, "paint")
    press(opened, Qt.Key.Key_E)
    assert layer.mode == "erase"
    press(opened, Qt.Key.Key_Down)
    assert table.selected() == "c2"
    assert opened.session.case.info.case_id == "c1"


def test_a_case_opened_from_the_table_takes_the_keys(opened: Person) -> None:
    opened.dock.study_panel.table.setFocus()
    opened.open_case("c2")
    press(opened, Qt.Key.Key_2)
    assert opened.desk.layers.labels.selected_label == 2


def roll(control: QWidget) -> bool:
    """One notch of the wheel towards the end of the page; whether the control took it."""
    here = QPointF(5, 5)
    event = QWheelEvent(
        here, QPointF(control.mapToGlobal(QPoint(5, 5))), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(control, event)
    return event.isAccepted()


def test_the_wheel_scrolls_the_dock_and_changes_no_setting(person: Person) -> None:
    def shown(control: QWidget) -> str:
        return control.currentText() if isinstance(control, QComboBox) else control.text()

    person.rest(0.2)
    controls = [*person.dock.findChildren(QComboBox), *person.dock.findChildren(QAbstractSpinBox)]
    before = [shown(control) for control in controls]
    taken = [control.toolTip() for control in controls if roll(control)]
    assert [shown(control) for control in controls] == before
    assert taken == []  # so that Qt hands the wheel on to what they lie in
