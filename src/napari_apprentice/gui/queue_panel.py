"""Next case: the head of the review queue, and why it is there."""

from qtpy.QtCore import Signal

from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.panel import Panel, button, note
from napari_apprentice.loop.rows import DAMAGED


class QueuePanel(Panel):
    """One button that is always within reach."""

    next_requested = Signal()

    def _build(self) -> None:
        text = "Open the case at the head of the review queue; pressed again, the one after it."
        self.next = button("Next case  (N)", text)
        self.next.setMinimumHeight(30)
        self.reason = note("", "Why this case comes next.")
        self._box.addWidget(self.reason)
        self._box.addWidget(self.next)
        self.next.clicked.connect(self.next_requested)
        self.next_requested.connect(self.desk.cases.next_case)
        self.desk.facts.changed.connect(self._show)
        for signal in (self.desk.bridge.case_opened, self.desk.runner.went_wrong):  # it may be that it did not open
            signal.connect(lambda *_: self._show(self.desk.facts.now))
        self._show(self.desk.facts.now)

    def _show(self, facts: Facts) -> None:
        ahead = self.desk.session.next_item(facts.queue)
        self.next.setEnabled(ahead is not None)
        if ahead is not None:
            self.reason.setText(f"Next: <b>{ahead.case_id}</b>, {ahead.reason}.")
        elif facts.rows:
            others = "every other case is corrected" if len(facts.rows) > 1 else "this study has no other case"
            others += " or damaged" if any(row.state == DAMAGED for row in facts.rows) else ""
            self.reason.setText(f"Nothing is left in the review queue: {others}.")
        else:
            self.reason.setText("The review queue is empty: there are no cases yet.")
