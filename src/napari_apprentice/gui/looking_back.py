"""What the intents of looking back lead to: the history, a revision to look at, two compared, one restored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_apprentice.core.differences import CHANGED, ONLY_FIRST, ONLY_SECOND, Place, Places, places_of
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.case_actions import CaseActions
from napari_apprentice.gui.extra_layers import ExtraLayers
from napari_apprentice.gui.layer_making import difference_layer, outline_layer
from napari_apprentice.gui.place_tour import OUTLINE, PlaceTour
from napari_apprentice.gui.work import Runner
from napari_apprentice.loop.comparing import SHOWN, Comparison
from napari_apprentice.session import Session

REVISION, DIFFERENCES = "revision", "differences"


@dataclass(frozen=True, eq=False)
class Compared:
    """Two label maps of the open case beside each other."""

    found: Comparison
    places: Places
    schema: LabelSchema

    @property
    def kinds(self) -> tuple[tuple[int, str, int], ...]:
        """Each kind of difference with what it is and its voxels."""
        counts = {ONLY_FIRST: 0, ONLY_SECOND: 0, CHANGED: 0}
        for (one, two), voxels in self.found.pairs.items():
            counts[ONLY_FIRST if two == 0 else ONLY_SECOND if one == 0 else CHANGED] += voxels
        first, second = self.found.first, self.found.second
        texts = {ONLY_FIRST: f"only in {first}", ONLY_SECOND: f"only in {second}", CHANGED: "another label"}
        return tuple((kind, texts[kind], counts[kind]) for kind in counts)

    def describe(self, place: Place) -> str:
        """What differs at a place."""
        return next(text for kind, text, _ in self.kinds if kind == place.kind)

    @property
    def by_label(self) -> str:
        """What became of which label, the most voxels first."""
        found = sorted(self.found.pairs.items(), key=lambda pair: -pair[1])
        return "; ".join(f"{self._name(one)} to {self._name(two)} {voxels:,}" for (one, two), voxels in found)

    def _name(self, label: int) -> str:
        return self.schema.name(label) if label in (0, *self.schema.ids) else f"label {label}"


class LookingBack(QObject):
    """Reads the open case's past and shows what of it is asked for.

    Parameters
    ----------
    session, runner, bridge, cases
        Whose verbs, where they run, who says what changed, who stores.
    extras, tour
        Where revisions and differences are shown; the way from one difference to the next.
    """

    rows_read = Signal(object)
    """The open case's history, a tuple of `loop.history.HistoryRow`; empty when no case is open."""
    compared = Signal(object)
    """What is compared now (`Compared`), or None."""

    def __init__(
        self, session: Session, runner: Runner, bridge: Bridge, cases: CaseActions, extras: ExtraLayers,
        tour: PlaceTour, parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._cases = cases
        self._extras = extras
        self._tour = tour
        self._generation = 0
        self.comparison: Compared | None = None
        self.outdated = False
        """Whether something was painted since the screen was compared."""
        extras.changed.connect(self._on_layers)
        bridge.case_opened.connect(self._on_case)
        bridge.canvas_changed.connect(self._on_canvas)

    # -------------------------------------------------------------- history

    def read(self) -> None:
        """Read the open case's history anew."""
        case = self._session.case
        if case is None:
            self.rows_read.emit(())
            return
        case_id = case.info.case_id
        job = self._runner.run("Reading the history", lambda: self._session.case_history(case_id), quiet=True)
        job.returned.connect(lambda rows: self.rows_read.emit(rows) if self._is_open(case_id) else None)

    def export_audit(self, path: Path) -> None:
        """Write who changed what in all cases of the study as .csv or .json."""
        job = self._runner.run("Writing the audit", lambda: self._session.export_audit(path, overwrite=True))
        job.returned.connect(lambda lines: self._runner.said.emit(f"{path.name}: {lines} lines."))

    def restore(self, name: str) -> None:
        """Store a revision again as the newest one, and show it."""
        case = self._session.case
        if case is not None:
            case_id = case.info.case_id
            self._cases.store(
                f"Restoring {name}",
                lambda: self._session.restore_revision(case_id, name),
                lambda r: f"{name} is restored as {r.name} of {r.case_id}; the revisions in between are kept.",
            )

    # ------------------------------------------------------ looking and comparing

    def open_revision(self, name: str) -> None:
        """Show a stored revision as a layer of outlines beside the corrections."""
        case = self._session.case
        if case is None:
            self._runner.tell(InputError("No case is open: open one to look at its revisions."))
            return
        case_id, schema = case.info.case_id, self._session.study.schema
        job = self._runner.run(f"Reading {name}", lambda: self._session.revision_labels(case_id, name), stops=False)

        def show(labels: LabelArray) -> None:
            if self._is_open(case_id):
                self._extras.show(REVISION, lambda info: outline_layer(labels, info, schema, f"{name} (to look at)"))

        job.returned.connect(show)

    def compare(self, names: Sequence[str]) -> None:
        """Show where two revisions differ, or where one differs from what is on the screen."""
        case = self._session.case
        if case is None or not 1 <= len(names) <= 2:
            self._runner.tell(InputError("Select one revision, to compare it with what is on the screen, or two."))
            return
        self._generation += 1
        generation, case_id = self._generation, case.info.case_id
        job = self._runner.run(f"Comparing {' and '.join(names)}", lambda: self._compared(case_id, names), stops=False)
        job.returned.connect(
            lambda found: self._show(found) if generation == self._generation and self._is_open(case_id) else None
        )

    def stop_comparing(self) -> None:
        """Take the differences off the screen."""
        self._generation += 1
        if self.comparison is not None:
            self.comparison = None
            self._extras.take_away(DIFFERENCES, OUTLINE)  # at once: each time costs half a second
            self._tour.end()
            self.compared.emit(None)

    def _compared(self, case_id: str, names: Sequence[str]) -> Compared:
        if len(names) == 2:
            found = self._session.compare_revisions(case_id, *names)
        else:
            found = self._session.compare_with_shown(names[0])
        return Compared(found, places_of(found.kinds), self._session.study.schema)

    def _show(self, compared: Compared) -> None:
        found = compared.found
        self.comparison = None  # what is taken away now is that of the comparison before
        self._extras.show(
            DIFFERENCES,
            lambda info: difference_layer(found.kinds, info, f"Differences {found.first} / {found.second}"),
        )
        self.comparison, self.outdated = compared, False
        self._tour.start(compared.places, compared.describe)
        self.compared.emit(compared)

    def _is_open(self, case_id: str) -> bool:
        case = self._session.case
        return case is not None and case.info.case_id == case_id

    # -------------------------------------------------------------- hearing

    def _on_layers(self) -> None:
        if self.comparison is not None and self._extras.get(DIFFERENCES) is None:
            self.stop_comparing()  # the person deleted the layer, or another case is open

    def _on_canvas(self) -> None:
        shown = self.comparison is not None and self.comparison.found.second == SHOWN
        if shown and not self.outdated:
            self.outdated = True
            self.compared.emit(self.comparison)

    def _on_case(self) -> None:
        if self.comparison is not None and not self._is_open(self.comparison.found.case_id):
            self.stop_comparing()
