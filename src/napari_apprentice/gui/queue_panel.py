"""Next case: the head of the review queue, and why it is there."""

from qtpy.QtCore import Signal

from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.panel import Panel, button, note


class QueuePanel(Panel):
    """One button that is always within reach."""

    next_requested = Signal()

    def _build(self) -> None:
        self.next = button("Next case  (N)", "Open the case at the head of the review queue.")
        self.next.setMinimumHeight(30)
        self.reason = note("", "Why this case comes next.")
        self._box.addWidget(self.reason)
        self._box.addWidget(self.next)
        self.next.clicked.connect(self.next_requested)
        self.next_requested.connect(self.desk.cases.next_case)
        self.desk.facts.changed.connect(self._show)
        self.desk.bridge.case_opened.connect(lambda: self._show(self.desk.facts.now))
        self._show(self.desk.facts.now)

    def _show(self, facts: Facts) -> None:
        case = self.desk.session.case
        here = case.info.case_id if case else None
        ahead = next((item for item in facts.queue if item.case_id != here), None)
        self.next.setEnabled(ahead is not None)
        if ahead is not None:
            self.reason.setText(f"Next: <b>{ahead.case_id}</b>, {ahead.reason}.")
        elif facts.rows:
            others = "every other case is corrected" if len(facts.rows) > 1 else "this study has no other case"
            self.reason.setText(f"Nothing is left in the review queue: {others}.")
        else:
            self.reason.setText("The review queue is empty: there are no cases yet.")
