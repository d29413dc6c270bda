"""Scans into the study: say what was understood, add it, ask what is open, show what was refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QDialog, QWidget

from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import InputError
from napari_apprentice.gui.choice_dialog import ChoiceDialog, with_answer
from napari_apprentice.gui.found_dialog import FoundDialog
from napari_apprentice.gui.refused_dialog import RefusedDialog
from napari_apprentice.gui.work import Runner
from napari_apprentice.loop.adding import AddReport, Question, shown_name
from napari_apprentice.loop.label_import import schema_difference
from napari_apprentice.scans.datasets.finding import find_scans
from napari_apprentice.scans.datasets.found import Found, FoundCase
from napari_apprentice.session import Session


@dataclass(frozen=True)
class How:
    """The answers that are known so far."""

    read: ReadSettings
    collect: AddSettings

    def answered(self, setting: str, answer: str) -> "How":
        """With one more answer."""
        if hasattr(self.read, setting):
            return replace(self, read=with_answer(self.read, setting, answer))
        return replace(self, collect=with_answer(self.collect, setting, answer))


@dataclass(frozen=True, eq=False)
class Open:
    """A case that waits for an answer."""

    question: Question
    case: FoundCase
    found: Found
    how: How

    def alike(self, other: "Open") -> bool:
        """Whether one answer does for both."""
        mine, theirs = ([value for value, _ in x.question.choices] for x in (self, other))
        return self.question.setting == other.question.setting and mine == theirs and self.how == other.how


class ScanAdding(QObject):
    """One adding from the files dropped to the last question; deletes itself at its end.

    Parameters
    ----------
    session, runner, viewer
        Whose study, where the work runs, over whose window the dialogs open.
    """

    def __init__(self, session: Session, runner: Runner, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._viewer = viewer
        self._study = session.study
        self._open: list[Open] = []
        self._added: list[str] = []
        self._refused: list[tuple[str, str]] = []
        self._under_way = 0
        self.dialog: QDialog | None = None

    @property
    def _window(self) -> QWidget:
        # Asked for each time: napari waits for everybody to let go of a window that closes.
        window: QWidget = self._viewer.window._qt_window
        return window

    def start(self, paths: Sequence[Path]) -> None:
        """Look what the files and folders hold; a data set is shown before it is added."""
        job = self._runner.run("Looking what is there", lambda: find_scans(paths))
        job.returned.connect(self._on_found)
        job.failed.connect(self.deleteLater)
        job.cancelled.connect(self.deleteLater)

    # ------------------------------------------------------------ understood

    def _on_found(self, found: Found) -> None:
        how = How(ReadSettings(), AddSettings())
        if found.kind == "files" or (found.kind == "dicom" and len(found.cases) == 1):
            self._add(found, how)
            return
        dialog = FoundDialog(found, schema_difference(self._study.schema, found.schema), self._window)
        self._show(dialog)
        dialog.accepted.connect(lambda: self._add(found, _with_labels(how, dialog.labels.isChecked())))
        dialog.rejected.connect(self.deleteLater)

    # ---------------------------------------------------------------- adding

    def _add(self, found: Found, how: How) -> None:
        if not self._session.has_study or self._session.study is not self._study:
            self._runner.tell(InputError("Another study is open now, so the scans were not added to it."))
            self.deleteLater()
            return
        self._under_way += 1
        verb = self._session.add_scans
        job = self._runner.run("Adding scans", lambda: verb(found, settings=how.read, collect=how.collect))
        job.returned.connect(lambda report: self._on_report(report, found, how))
        job.ended.connect(self._on_ended)

    def _on_report(self, report: AddReport, found: Found, how: How) -> None:
        self._added += report.added
        self._refused += report.refused
        if report.warnings:
            more = f" And {len(report.warnings) - 3} more remarks." if len(report.warnings) > 3 else ""
            self._session.events.noticed.emit(" ".join(report.warnings[:3]) + more)
        for question in report.questions:
            case = _case_of(question, found)
            if case is None:
                self._refused.append((question.case, question.text))
            else:
                self._open.append(Open(question, case, found, how))

    def _on_ended(self) -> None:
        self._under_way -= 1
        if self._under_way:
            return
        if self._open:
            self._ask()
        else:
            self._finish()

    # ---------------------------------------------------------------- asking

    def _ask(self) -> None:
        first = self._open[0]
        alike = [x for x in self._open if x.alike(first)]
        question = first.question
        dialog = ChoiceDialog(
            question.case, question.text, question.setting, question.choices, len(alike) - 1, self._window
        )
        self._show(dialog)
        dialog.accepted.connect(lambda: self._go_on(alike if dialog.all.isChecked() else [first], dialog.answer()))
        dialog.rejected.connect(lambda: self._leave_out(alike if dialog.all.isChecked() else [first]))

    def _go_on(self, answered: list[Open], answer: str) -> None:
        self._open = [x for x in self._open if x not in answered]
        first = answered[0]
        found = replace(first.found, cases=tuple(x.case for x in answered), refused=())
        self._add(found, first.how.answered(first.question.setting, answer))

    def _leave_out(self, unanswered: list[Open]) -> None:
        self._open = [x for x in self._open if x not in unanswered]
        self._refused += [(x.question.case, f"Nothing was chosen. {x.question.text}") for x in unanswered]
        if self._open:
            self._ask()
        else:
            self._finish()

    # ---------------------------------------------------------------- ending

    def _finish(self) -> None:
        count = len(self._added)
        if count:
            self._runner.said.emit(f"Added {count} cases." if count > 1 else "Added 1 case.")
        if len(self._refused) == 1:
            name, reason = self._refused[0]
            self._runner.tell(InputError(f"{name} was not added: {reason}"))
        elif self._refused:
            total = count + len(self._refused)
            self._runner.tell(InputError(f"{len(self._refused)} of {total} were not added; the table says why."))
            self._show(RefusedDialog(self._refused, count, self._window))
        self.deleteLater()

    def _show(self, dialog: QDialog) -> None:
        # Opened, not executed: a dialog's own event loop inside the runner's would deliver its jobs twice.
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog = dialog
        dialog.open()


def _case_of(question: Question, found: Found) -> FoundCase | None:
    for case in found.cases:
        if question.path is not None and len(case.channels) == 1 and case.channels[0].path == question.path:
            return case
    return next((case for case in found.cases if shown_name(case) == question.case), None)


def _with_labels(how: How, wanted: bool) -> How:
    return replace(how, collect=replace(how.collect, labels=wanted))
