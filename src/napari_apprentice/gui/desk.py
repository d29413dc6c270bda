"""What the panels of one viewer share: a session, and the few objects between it and Qt."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.compat import isalive
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QWidget

from napari_apprentice.core.merging import MINE, THEIRS
from napari_apprentice.errors import StorageError
from napari_apprentice.gui.arriving import Arriving
from napari_apprentice.gui.box_drawing import BoxDrawing
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.case_actions import CaseActions
from napari_apprentice.gui.cursor_reader import CursorReader
from napari_apprentice.gui.extra_layers import ExtraLayers
from napari_apprentice.gui.facts import FactsReader
from napari_apprentice.gui.gl_context import free_layers_in_the_canvas_context
from napari_apprentice.gui.layer_making import warm_up
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.log import start_log, stop_log
from napari_apprentice.gui.looking_back import LookingBack
from napari_apprentice.gui.merge_actions import MergeActions
from napari_apprentice.gui.model_actions import ModelActions
from napari_apprentice.gui.orientation_letters import OrientationLetters
from napari_apprentice.gui.place_keeping import PlaceKeeping
from napari_apprentice.gui.place_tour import PlaceTour
from napari_apprentice.gui.polygon_keeping import PolygonKeeping
from napari_apprentice.gui.presence_watch import PresenceWatch
from napari_apprentice.gui.raw_prediction import RawPrediction
from napari_apprentice.gui.side_docks import SideDocks
from napari_apprentice.gui.stray_painting import StrayPainting
from napari_apprentice.gui.study_actions import StudyActions
from napari_apprentice.gui.upright import Upright
from napari_apprentice.gui.window_watch import WindowWatch
from napari_apprentice.gui.windowing import Windowing
from napari_apprentice.gui.work import Runner
from napari_apprentice.session import Session

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Desk(QObject):
    """One per viewer. Closes itself when the last panel that shares it is gone.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        The loop's state and verbs; by default a new one.

    Attributes
    ----------
    session, runner, bridge, facts, layers
        State and verbs; work under way; the session's facts as Qt signals; what of them the panels
        show; the open case as layers.
    studies, cases, models, back, merges
        What the panels' intents lead to.
    raw, tour, box, docks
        The prediction as a layer; the way from one difference to the next; a rectangle to accept; docks that come when
        they are asked for.
    letters, mouse, windowing
        The patient's sides at the canvas's edges; what is under the mouse; which grey values are shown.
    """

    def __init__(self, viewer: "Viewer", session: Session | None = None) -> None:
        super().__init__()
        # napari hands plugins a proxy, and what comes through it equals no layer that is held directly.
        self.viewer: Any = getattr(viewer, "__wrapped__", viewer)
        self.session = session or Session()
        self._folder = self.session.recent.folder
        self.runner = Runner(str(start_log(self._folder)), self)
        self.bridge = Bridge(self.session, self)
        self.facts = FactsReader(self.session, self.bridge, self.runner, self)
        self.layers = CaseLayers(self.viewer, self)
        free_layers_in_the_canvas_context(self.viewer)
        self.box = BoxDrawing(self.viewer, self.layers, self)
        self.cases = CaseActions(self.session, self.runner, self.bridge, self.facts, self.layers, self.box, self)
        self.studies = StudyActions(self.session, self.runner, self.viewer, self.cases, self)
        self.arriving = Arriving(self.session, self.runner, self.cases, self.layers, self)
        self.models = ModelActions(self.session, self.runner, self.bridge, self.facts, self.layers, self.arriving, self)
        extras = self._extras = ExtraLayers(self.viewer, self.layers, self.bridge, self)
        self.tour = PlaceTour(self.layers, extras, self)
        self.back = LookingBack(self.session, self.runner, self.bridge, self.cases, extras, self.tour, self)
        self.merges = MergeActions(
            self.session, self.runner, self.bridge, self.cases, extras, self.tour, self.back, self
        )
        self.raw = RawPrediction(self.session, self.runner, self.layers, extras, self)
        self.models.predicted.connect(lambda *_: self.raw.refresh())
        self.docks = SideDocks(self.viewer, self)
        self._present = PresenceWatch(self.session, self.runner, self.bridge, self.facts, self)
        self._stray = StrayPainting(self.viewer, self.session, self.layers, self)
        self._place = PlaceKeeping(self.session, self.layers, self)
        self._polygon = PolygonKeeping(self.viewer, self.layers, self)
        self._upright = Upright(self.viewer, self.bridge, self.layers, self)
        self.letters = OrientationLetters(self.viewer, self.bridge, self.layers, self)
        self.mouse = CursorReader(self.viewer, self.session, self.layers, self)
        self.windowing = Windowing(self.viewer, self.layers, self)
        self._watch = WindowWatch(self.viewer.window, lambda: self.session.case is not None, self.cases.may_close, self)
        self._watch.save_pressed.connect(self.cases.save)
        self._watch.closed.connect(self.close)
        for key, verb in self._keys().items():
            self.viewer.bind_key(key, verb, overwrite=True)
        self.runner.went_wrong.connect(show_error)
        self.bridge.noticed.connect(show_info)
        self.runner.run("Getting ready", warm_up, quiet=True)
        app = QApplication.instance()
        if app is not None:  # a window that closes last ends the event loop before it can be noticed
            app.aboutToQuit.connect(self.close)
        self._members: dict[int, Any] = {}
        self.open = True

    def _keys(self) -> dict[str, Callable[[Any], None]]:
        """Keys of the whole viewer; none of them is napari's."""
        return {
            "N": lambda _: self.cases.next_case(),
            "W": lambda _: self.windowing.cycle(),
            "Shift-W": lambda _: self.windowing.cycle(-1),
            "J": lambda _: self.tour.go_on(),
            "Shift-J": lambda _: self.tour.go_on(-1),
            "Shift-M": lambda _: self.merges.take(MINE),
            "Shift-T": lambda _: self.merges.take(THEIRS),
            "Control-Z": lambda _: self._in_case(self.cases.undo),
            "Control-Shift-Z": lambda _: self._in_case(self.cases.redo),
        }

    def _in_case(self, verb: Callable[[], None]) -> None:
        """Not with a layer of the person's own selected: what is undone there is no stroke on the Corrections."""
        if self.session.case is not None and self.viewer.layers.selection.active in (None, *self.layers.own):
            verb()

    def join(self, panel: QWidget) -> None:
        """Count a panel that shares this desk; it leaves when it is destroyed or taken out of the window."""
        member = id(panel)
        self._members[member] = panel.destroyed.connect(lambda: self._count_out(member))

    def leave(self, panel: QWidget) -> None:
        """Count a panel out that was taken out of the window."""
        gone = self._members.get(id(panel))
        if gone is not None:
            # Python's garbage collector may destroy it whenever it likes, and nothing of ours may run inside it
            QObject.disconnect(gone)
            self._count_out(id(panel))

    def _count_out(self, member: int) -> None:
        self._members.pop(member, None)
        if self._members:
            return
        if isalive(self.runner):  # type: ignore[no-untyped-call]
            self.close()
        else:  # the program ended without closing its window: Qt has taken everything down already
            self._close_session()

    def close(self) -> None:
        """End the prediction process and hear no more; unsaved strokes are in the journal, training goes on."""
        if not self.open:
            return
        self.open = False
        self.layers.keep_half_stroke()
        self.cases.take_in()
        self.runner.close()
        self.arriving.close()
        self.facts.close()
        self._present.close()
        self.bridge.close()
        self.box.close()
        self._stray.close()
        self._extras.close()
        self.layers.close()
        self._watch.close()
        self.letters.close()
        self._polygon.close()
        self._upright.close()
        self.mouse.close()
        self.windowing.close()
        for key in self._keys():
            self.viewer.bind_key(key, None, overwrite=True)
        self._close_session()
        stop_log(self._folder)

    def _close_session(self) -> None:
        with suppress(StorageError):  # the person was told, and chose to close without what no disk could take
            self.session.close()


def desk_for(viewer: "Viewer") -> Desk:
    """The desk that this viewer's panels share already, or a new one."""
    for widget in viewer.window.dock_widgets.values():
        desk = getattr(widget, "desk", None)
        if desk is not None and desk.open:
            found: Desk = desk
            return found
    return Desk(viewer)
