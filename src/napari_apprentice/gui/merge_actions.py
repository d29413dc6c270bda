"""What the intents of merging lead to: mine or theirs, place by place or all at once, and a revision of both."""

from qtpy.QtCore import QObject, Signal

from napari_apprentice.core.differences import Place
from napari_apprentice.core.merging import CONFLICT, MINE, ONLY_MINE, ONLY_THEIRS, THEIRS
from napari_apprentice.core.records import Revision
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.case_actions import CaseActions
from napari_apprentice.gui.extra_layers import ExtraLayers
from napari_apprentice.gui.layer_making import difference_layer, outline_layer
from napari_apprentice.gui.looking_back import DIFFERENCES, REVISION, LookingBack
from napari_apprentice.gui.place_tour import OUTLINE, PlaceTour
from napari_apprentice.gui.work import Runner
from napari_apprentice.loop.merging import UNTOUCHED, Merging
from napari_apprentice.session import Session

OPACITY = 0.5  # what lies under the differences is to be seen too: it is what one chooses between
NOW = {MINE: "now mine", THEIRS: "now theirs", "": "now something else"}


class MergeActions(QObject):
    """Offers a merge when two people saved one case, and carries it out.

    Parameters
    ----------
    session, runner, bridge, cases
        Whose verbs, where they run, who says what changed, who changes and stores the open case.
    extras, tour, back
        Where the differences are shown; the way from one to the next; who else compares.
    """

    changed = Signal()
    """Another merge is offered or under way, or something was decided in it."""
    began = Signal()
    """A merge can be looked at."""

    def __init__(
        self, session: Session, runner: Runner, bridge: Bridge, cases: CaseActions, extras: ExtraLayers,
        tour: PlaceTour, back: LookingBack, parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._cases = cases
        self._extras = extras
        self._tour = tour
        self._back = back
        self.offered: Revision | None = None
        """What somebody else stored of the open case meanwhile, and is not merged yet."""
        self.merging: Merging | None = None
        self._decided: set[int] = set()
        bridge.conflicted.connect(self._offer)
        bridge.case_opened.connect(self._on_case)
        bridge.canvas_changed.connect(self._on_canvas)
        cases.stored.connect(self._on_stored)
        extras.changed.connect(self._on_layers)
        back.compared.connect(self._on_compared)

    def begin(self, name: str | None = None) -> None:
        """Show where the open case and a revision differ; by default the one that is offered."""
        theirs = name or (self.offered.name if self.offered else None)
        case = self._session.case
        if case is None or theirs is None:
            return
        job = self._runner.run(f"Comparing with {theirs}", lambda: self._session.begin_merge(theirs), stops=False)
        job.returned.connect(self._show)

    def take(self, whose: str) -> None:
        """Put "mine" or "theirs" at the place that is looked at, and go on to the next that is undecided."""
        merging, place = self.merging, self._tour.here
        if merging is None or place is None:
            return
        self._cases.change(lambda: self._session.take_place(merging, place, whose))
        if self._now(place) == whose:  # else it was refused: a stroke is being drawn, or the case is being saved
            self._decided.add(self._tour.index)
            self._go_to_undecided()
        self.changed.emit()

    def take_all(self, whose: str) -> None:
        """Put "mine" or "theirs" everywhere, or theirs where I did nothing ("untouched")."""
        merging = self.merging
        if merging is None:
            return
        self._cases.change(lambda: self._session.take_all(merging, whose))
        for index, place in enumerate(merging.places.found):
            if whose != UNTOUCHED or place.kind == ONLY_THEIRS:
                self._decided.add(index)
        self._go_to_undecided()
        self.changed.emit()

    def save(self) -> None:
        """Store what is on the screen as the revision that both go into."""
        merging = self.merging
        if merging is not None:
            self._cases.store(
                "Saving the merge",
                lambda: self._session.save_merge(merging),
                lambda r: f"Saved {r.name} of {r.case_id}: yours and {merging.theirs.name} are one again.",
            )

    def end(self) -> None:
        """Leave the merge; what was taken over stays, and Undo takes it back."""
        if self.merging is None:
            return
        self.merging = None
        self._extras.take_away(DIFFERENCES, REVISION, OUTLINE)
        self._tour.end()
        self.changed.emit()

    @property
    def undecided(self) -> int:
        """Conflicts that nobody decided yet; saved now, they stay as they are on the screen."""
        found = self.merging.places.found if self.merging else ()
        return sum(p.kind == CONFLICT and i not in self._decided for i, p in enumerate(found))

    @property
    def kinds(self) -> tuple[tuple[int, str, int], ...]:
        """Each kind of difference with what it is and its voxels."""
        if self.merging is None:
            return ()
        them, counts = self.merging.theirs.provenance.author, self.merging.merge.counts
        texts = {ONLY_MINE: "only I did", ONLY_THEIRS: f"only {them} did", CONFLICT: "both did, otherwise"}
        return tuple((kind, texts[kind], counts[kind]) for kind in texts)

    def _now(self, place: Place) -> str:
        """Whose labels a place has on the screen; "" where it has others."""
        case = self._session.case
        if self.merging is None or case is None:
            return ""
        return self.merging.merge.shown_in(case.canvas, place.box, place.mask)

    def _describe(self, place: Place) -> str:
        text = next((text for kind, text, _ in self.kinds if kind == place.kind), "")
        return f"{text}; {NOW[self._now(place)]}"

    def _go_to_undecided(self) -> None:
        count = len(self._tour.places.found)
        ahead = ((self._tour.index + step) % count for step in range(1, count + 1)) if count else iter(())
        self._tour.go_to(next((index for index in ahead if index not in self._decided), self._tour.index))

    # -------------------------------------------------------------- hearing

    def _show(self, merging: Merging) -> None:
        if self._session.case is None or self._session.case.info.case_id != merging.case_id:
            return
        self._back.stop_comparing()
        self.merging, self._decided = None, set()
        made, theirs, schema = merging.merge, merging.theirs, self._session.study.schema
        name = f"{theirs.name} by {theirs.provenance.author} (theirs)"
        self._extras.show(DIFFERENCES, lambda info: difference_layer(made.kinds, info, "Where we differ", OPACITY))
        self._extras.show(REVISION, lambda info: outline_layer(made.theirs.labels, info, schema, name))
        self.merging = merging
        self._tour.start(merging.places, self._describe)
        self.changed.emit()
        self.began.emit()

    def _offer(self, theirs: Revision) -> None:
        self.offered = theirs
        self._say_offer()
        self.changed.emit()

    def _say_offer(self) -> None:
        if self.offered is not None:
            who, name = self.offered.provenance.author, self.offered.name
            self._runner.said.emit(f"Saved. {who} saved {name} meanwhile: both are kept, Merge shows where you differ.")

    def _on_case(self) -> None:
        case = self._session.case
        case_id = case.info.case_id if case else None
        if self.offered is not None and self.offered.case_id != case_id:
            self.offered = None
            self.changed.emit()
        if self.merging is not None and self.merging.case_id != case_id:
            self.end()

    def _on_canvas(self) -> None:
        if self.merging is not None:
            self._tour.changed.emit()  # whose labels the place has may be another by now

    def _on_stored(self, revision: Revision) -> None:
        if self.offered is not None and self.offered.name in revision.provenance.merged:
            self.offered = None
            self.changed.emit()
        self._say_offer()  # again, because "Saved r0003" has taken its place in the status line
        if self.merging is not None and self.merging.theirs.name in revision.provenance.merged:
            self.end()

    def _on_layers(self) -> None:
        if self.merging is not None and self._extras.get(DIFFERENCES) is None:
            self.end()

    def _on_compared(self, compared: object) -> None:
        if compared is not None and self.merging is not None:
            self.merging = None  # the layers and the tour are the comparison's now
            self._extras.take_away(REVISION)
            self.changed.emit()
