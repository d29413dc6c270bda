"""From the wish to see a case to its layers: the scan at once, what belongs to it a moment later."""

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.pictures import Pictures, Scan, load_pictures, load_scan, open_with_pictures, read_on
from napari_apprentice.gui.work import Job, Runner
from napari_apprentice.session import Session

RETRY_MS = 100  # while the mouse is drawing
FIRST_FRAME_MS = 50


class CaseOpening(QObject):
    """Reads cases in other threads and shows the one that was asked for last.

    Parameters
    ----------
    session, runner, bridge, layers
        Whose case, where it is read, who says that another is open, where it is shown.
    may_exchange
        Whether the case on the screen can be left; None for: ask again in a moment.
    """

    def __init__(
        self, session: Session, runner: Runner, bridge: Bridge, layers: CaseLayers,
        may_exchange: Callable[[], bool | None], parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.under_way = False
        """Whether the scan on the screen is not that of the session's case: nothing may be changed then."""
        self._session = session
        self._runner = runner
        self._layers = layers
        self._may_exchange = may_exchange
        self._generation = 0
        self._expected: Pictures | None = None
        self._reading_on: Job | None = None
        bridge.case_opened.connect(self._on_case_opened)

    def load(self, case_id: str) -> None:
        """Read a case and show it; shown again when it is open already."""
        self._generation += 1
        generation, before = self._generation, self._session.case
        shown = self._layers.scan_of(case_id)
        job = self._runner.run(f"Opening {case_id}", lambda: load_scan(self._session, case_id, shown), stops=False)
        job.returned.connect(lambda scan: self._scan_arrived(scan, generation, before))
        job.failed.connect(lambda _: self._go_back(generation))

    def _scan_arrived(self, scan: Scan, generation: int, before: object) -> None:
        if generation != self._generation or not self._session.has_study:
            return  # another case was asked for in the meantime
        case, case_id = self._session.case, scan.info.case_id
        if self.under_way or case is None or case.info.case_id != case_id:
            may = self._may_exchange()
            if may is None:
                QTimer.singleShot(RETRY_MS, lambda: self._scan_arrived(scan, generation, before))
                return
            if not may:  # the disk filled up while the scan was read
                self._go_back(generation)
                return
            self.under_way = True
            self._layers.preview(scan)
            # The scan is drawn first: reading on takes both cores and Python's lock from it.
            QTimer.singleShot(FIRST_FRAME_MS, lambda: self._read_the_rest(scan, generation, before))
        else:
            self._read_the_rest(scan, generation, before)

    def _read_the_rest(self, scan: Scan, generation: int, before: object) -> None:
        if generation != self._generation or not self._session.has_study:
            return
        case_id = scan.info.case_id
        job = self._runner.run(
            f"Opening {case_id}", lambda: open_with_pictures(self._session, case_id, scan), stops=False
        )
        job.returned.connect(lambda pictures: self._arrived(pictures, generation, before))
        job.failed.connect(lambda _: self._go_back(generation))

    def _arrived(self, pictures: Pictures, generation: int, before: object) -> None:
        if generation != self._generation or not self._session.has_study:
            return
        case, may = self._session.case, self._may_exchange()
        if may is None:
            QTimer.singleShot(RETRY_MS, lambda: self._arrived(pictures, generation, before))
            return
        if case is not None and case.info.case_id == pictures.case.info.case_id:
            # Painted on or saved while it was read: what is in the session is newer.
            may = case is before and (case.unsaved, case.parent) == (pictures.case.unsaved, pictures.case.parent)
        if not may:
            self._go_back(generation)
            return
        self._expected = pictures
        self._session.show_case(pictures.case)

    def _go_back(self, generation: int) -> None:
        """Another scan may be on the screen, but its case cannot be opened: show the case from before."""
        if generation != self._generation or not self.under_way:
            return
        if self._session.case is None:
            self.under_way = False
            self._layers.clear()
        else:
            self._show_the_sessions_case()

    def _on_case_opened(self) -> None:
        case, expected = self._session.case, self._expected
        self._expected = None
        if case is None:
            self._generation += 1  # whatever is still being read belongs to another study
            self.under_way = False
            self._layers.clear()
        elif expected is not None and expected.case is case:
            self._show(expected)
        else:
            self._show_the_sessions_case()

    def _show_the_sessions_case(self) -> None:
        case = self._session.case
        if case is None:
            return
        self._generation += 1
        generation, shown = self._generation, self._layers.scan_of(case.info.case_id)
        job = self._runner.run("Reading the scan", lambda: load_pictures(self._session, case, shown), stops=False)
        job.returned.connect(lambda pictures: self._show_if_still_open(pictures, generation))

    def _show_if_still_open(self, pictures: Pictures, generation: int) -> None:
        if generation == self._generation and self._session.case is pictures.case:
            self._show(pictures)

    def _show(self, pictures: Pictures) -> None:
        self.under_way = False
        self._layers.show(pictures, self._session.study.schema)
        if self._reading_on is not None:
            self._reading_on.cancel()
        if any(channel.pyramid for channel in pictures.channels):
            self._reading_on = self._runner.run("Reading the scan", lambda: read_on(pictures.scan), quiet=True)
            self._reading_on.ended.connect(self._forget_reading)

    def _forget_reading(self) -> None:
        if self.sender() is self._reading_on:
            self._reading_on = None
