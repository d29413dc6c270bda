"""Ask how a file is to be read where it can be read in several ways."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from qtpy.QtCore import QThread
from qtpy.QtWidgets import (
    QApplication,
    QButtonGroup,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.config import Settings
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError, InputError
from napari_apprentice.gui.controls import Complaint, button, note

S = TypeVar("S", bound=Settings)
T = TypeVar("T")
MOST_QUESTIONS = 8
WIDTH = 520
Choices = Sequence[tuple[str, str]]


class ChoiceDialog(QDialog):
    """Lists the choices, and takes any other value where the setting allows one.

    Parameters
    ----------
    name
        What is being read, for a person.
    text
        What is to be decided and why.
    setting
        Field of `ReadSettings` or `AddSettings` that decides it.
    choices
        Values with a sentence each; empty where any value of its form will do.
    alike
        How many more files ask the same; with some, the answer can be given for all of them.
    """

    def __init__(
        self, name: str, text: str, setting: str, choices: Choices, alike: int = 0, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"How to read {name}")
        self._setting = setting
        self.problem = Complaint()
        self.buttons = QButtonGroup(self)
        self._values = [value for value, _ in choices]
        box = QVBoxLayout(self)
        box.addWidget(note(text))
        for index, (value, sentence) in enumerate(choices):
            radio = QRadioButton(f"{value}: {sentence}" if sentence else value)
            radio.setToolTip(f"Answer {value}.")
            self.buttons.addButton(radio, index)
            box.addWidget(radio)
        self.other = QLineEdit()
        self.other.setToolTip(_field(setting).metadata["text"])
        self.other.setPlaceholderText("another value" if choices else _field(setting).metadata["text"])
        self.other.setVisible(not _field(setting).metadata["choices"])
        self.other.textEdited.connect(self._on_edited)
        self.all = QCheckBox(f"The same for {alike} more that {'ask' if alike > 1 else 'asks'} alike")
        self.all.setToolTip("Give this answer for all files with the same question.")
        self.all.setVisible(alike > 0)
        self.all.setChecked(alike > 0)
        ends = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.read = button("Read it so", "Read it as chosen.")
        ends.addButton(self.read, QDialogButtonBox.ButtonRole.AcceptRole)
        ends.accepted.connect(self._accept_if_right)
        ends.rejected.connect(self.reject)
        for widget in (self.other, self.all, self.problem, ends):
            box.addWidget(widget)
        # A wrapped text is as high as the width makes it, which Qt does not ask for by itself.
        width = max(WIDTH, self.sizeHint().width())
        self.setMinimumHeight(box.totalHeightForWidth(width))
        self.resize(width, box.totalHeightForWidth(width))

    def answer(self) -> str:
        """The value chosen or typed; "" while there is none."""
        if self.other.text().strip():
            return self.other.text().strip()
        chosen = self.buttons.checkedId()
        return self._values[chosen] if chosen >= 0 else ""

    def _on_edited(self) -> None:
        chosen = self.buttons.checkedButton()
        if chosen is not None:
            self.buttons.setExclusive(False)
            chosen.setChecked(False)
            self.buttons.setExclusive(True)

    def _accept_if_right(self) -> None:
        try:
            if not self.answer():
                raise InputError("Choose one first." if self._values else "Type a value first.")
            with_answer(_settings(self._setting)(), self._setting, self.answer())
        except InputError as error:
            self.problem.setText(str(error))
            return
        self.accept()


def ask_about(name: str, text: str, setting: str, choices: Choices) -> str | None:
    """Ask in a dialog; None when there is no window, or the person would rather not."""
    app = QApplication.instance()
    here = isinstance(app, QApplication) and QThread.currentThread() == app.thread()
    window = QApplication.activeWindow() or next((w for w in QApplication.topLevelWidgets() if w.isVisible()), None)
    if not here or window is None:
        return None
    dialog = ChoiceDialog(name, text, setting, choices, parent=window)
    try:
        return dialog.answer() if dialog.exec() == QDialog.DialogCode.Accepted else None
    finally:
        dialog.deleteLater()


def answered(name: str, verb: Callable[[ReadSettings], T]) -> T:
    """Do what needs settings; what they leave open is asked for, and the question raised when nobody answers."""
    settings = ReadSettings()
    for _ in range(MOST_QUESTIONS):
        try:
            return verb(settings)
        except ChoiceError as question:
            answer = ask_about(name, str(question), question.setting, question.choices)
            if answer is None:
                raise
            settings = with_answer(settings, question.setting, answer)
    return verb(settings)


def with_answer(settings: S, setting: str, answer: str) -> S:
    """Settings with one answer put in; InputError where it does not fit."""
    old = getattr(settings, setting)
    if isinstance(old, bool):
        if answer.lower() not in ("yes", "no", "true", "false"):
            raise InputError(f"Answer yes or no, not {answer!r}.")
        return dataclasses.replace(settings, **{setting: answer.lower() in ("yes", "true")})  # type: ignore[type-var]
    return dataclasses.replace(settings, **{setting: answer})  # type: ignore[type-var]


def _settings(setting: str) -> type[ReadSettings] | type[AddSettings]:
    mine = {f.name for f in dataclasses.fields(ReadSettings)}
    return ReadSettings if setting in mine else AddSettings


def _field(setting: str) -> "dataclasses.Field[object]":
    return next(f for f in dataclasses.fields(_settings(setting)) if f.name == setting)
