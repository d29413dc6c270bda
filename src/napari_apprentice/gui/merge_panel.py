"""Merge: two people saved one case; mine or theirs, place by place or all at once."""

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QHBoxLayout

from napari_apprentice.core.merging import MINE, THEIRS
from napari_apprentice.gui.legend import Legend
from napari_apprentice.gui.panel import Panel, button, note
from napari_apprentice.gui.place_bar import PlaceBar
from napari_apprentice.loop.merging import UNTOUCHED

NOTHING = "There is nothing to merge: no other revision of the open case is compared with it."


class MergePanel(Panel):
    """What to take over of a revision that somebody else stored meanwhile."""

    taken = Signal(str)
    all_taken = Signal(str)
    save_requested = Signal()
    ended = Signal()

    def _build(self) -> None:
        self.guide = note()
        self.legend = Legend()
        self.places = PlaceBar(self.desk.tour)
        self.mine = button("Mine here", "At this place my labels are right (Shift+M).")
        self.theirs = button("Theirs here", "At this place the other's labels are right (Shift+T).")
        self.untouched = button(
            "Theirs where I did nothing", "Take over what the other did wherever I neither painted nor accepted."
        )
        self.all_mine = button("All mine", "Keep my labels wherever we differ.")
        self.all_theirs = button("All theirs", "Take the other's labels wherever we differ.")
        self.save = button("Save merge", "Store what is on the screen as the revision that both go into.")
        self.end = button("Leave", "Leave the merge; what was taken over stays on the screen, and Undo takes it back.")
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        one, every = QHBoxLayout(), QHBoxLayout()
        one.addWidget(self.places, 1)
        for widget in (self.mine, self.theirs):
            one.addWidget(widget)
        for widget in (self.untouched, self.all_mine, self.all_theirs):
            every.addWidget(widget)
        every.addStretch()
        for widget in (self.save, self.end):
            every.addWidget(widget)
        for part in (self.guide, self.legend):
            self._box.addWidget(part)
        self._box.addLayout(one)
        self._box.addLayout(every)
        self._box.addStretch()

    def _connect(self) -> None:
        merges = self.desk.merges
        self.mine.clicked.connect(lambda: self.taken.emit(MINE))
        self.theirs.clicked.connect(lambda: self.taken.emit(THEIRS))
        self.untouched.clicked.connect(lambda: self.all_taken.emit(UNTOUCHED))
        self.all_mine.clicked.connect(lambda: self.all_taken.emit(MINE))
        self.all_theirs.clicked.connect(lambda: self.all_taken.emit(THEIRS))
        self.save.clicked.connect(self.save_requested)
        self.end.clicked.connect(self.ended)
        self.taken.connect(merges.take)
        self.all_taken.connect(merges.take_all)
        self.save_requested.connect(merges.save)
        self.ended.connect(merges.end)
        merges.changed.connect(self._show)
        self.desk.cases.saving_changed.connect(self._show)

    def _show(self) -> None:
        merges = self.desk.merges
        merging = merges.merging
        ready = merging is not None and not self.desk.cases.saving
        places = merging.places.total if merging else 0
        for widget in (self.mine, self.theirs, self.untouched, self.all_mine, self.all_theirs):
            widget.setEnabled(ready and places > 0)
        for widget in (self.save, self.end):
            widget.setEnabled(ready)
        self.legend.show_kinds(merges.kinds)
        if merging is None:
            self.guide.setText(NOTHING)
            self.save.setText("Save merge")
            return
        theirs = merging.theirs
        since = f"since {merging.base}, which both began with" if merging.base else "and no revision is common to both"
        self.guide.setText(
            f"Case {merging.case_id}: {theirs.provenance.author} saved {theirs.name} {since}. "
            f"The labels differ in {places:,} place{'s' if places != 1 else ''}; theirs are shown as outlines."
        )
        left = merges.undecided
        self.save.setText(f"Save merge ({left} conflict{'s' if left > 1 else ''} undecided)" if left else "Save merge")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Four lines."""
        return QSize(900, 150)
