"""What of a case is shown but not changed: its scan and the uncertainty; read in a worker thread."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.machine import memory
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import CaseInfo
from napari_apprentice.gui.channel_view import ChannelView
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.loop.shown import is_by
from napari_apprentice.session import Session

LARGE = 200**3  # voxels of one channel; above, the scan is shown before all of it is read
COARSE = 1  # level of the pyramid that is shown first: an eighth of the voxels
SPARE = 4  # a scan is read whole if it takes less than this fraction of the free memory


@dataclass(frozen=True, eq=False)
class Channel:
    """One contrast: an array (z, y, x), or a pyramid of them with the finest first."""

    name: str
    data: Any
    pyramid: bool
    limits: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Scan:
    """What can be shown of a case at once, whatever its size.

    Parameters
    ----------
    start
        The slice along z to begin with: the middle one.
    """

    info: CaseInfo
    channels: tuple[Channel, ...]
    start: int


@dataclass(frozen=True, eq=False)
class Pictures:
    """Everything needed to show an open case.

    Parameters
    ----------
    uncertainty
        (z, y, x) uint8, or None without a prediction by the active model version.
    start
        Slice along z to begin with: the one with most labels, or the middle one without any.
    """

    case: OpenCase
    scan: Scan
    uncertainty: NDArray[np.uint8] | None
    start: int

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The scan's contrasts."""
        return self.scan.channels


def load_scan(session: Session, case_id: str, shown: Scan | None = None) -> Scan:
    """Read as much of a scan as its first slice needs; nothing where the scan that is shown is the same.

    Voxels of a case never change, but a study may be another one of which the scan is still on the screen.
    """
    cases = session.study.cases
    info = cases.info(case_id)
    if shown is not None and _same(shown.info, info):
        return shown
    levels = cases.levels(case_id)
    start = info.shape[0] // 2
    if int(np.prod(info.shape)) <= LARGE:
        voxels = cases.voxels(case_id)
        return Scan(info, tuple(_small(n, voxels[i]) for i, n in enumerate(info.channels)), start)
    channels = tuple(_large(name, levels, index) for index, name in enumerate(info.channels))
    coarse = min(COARSE, len(levels) - 1)
    channels[0].data[coarse][start * levels[coarse].shape[1] // info.shape[0]]  # so that the window need not wait
    return Scan(info, channels, start)


def read_on(scan: Scan) -> Generator[Progress, None, None]:
    """Bring the rest of a large scan into memory, as far as memory goes round; nearest slices first."""
    views: list[ChannelView] = [c.data[0] for c in scan.channels if c.pyramid]
    for view in views:
        if view.size * view.dtype.itemsize > memory().free / SPARE:
            return
        while view.read_on():
            yield Progress(0, 0, "Reading the scan")


def open_with_pictures(session: Session, case_id: str, scan: Scan | None = None) -> Pictures:
    """Read a case and what goes with it; touches nothing that is shown."""
    if scan is not None and scan.channels[0].pyramid:
        scan.channels[0].data[0][scan.start]  # the window will want it next
    return load_pictures(session, session.load_case(case_id), scan)


def load_pictures(session: Session, case: OpenCase, scan: Scan | None = None) -> Pictures:
    """Read what goes with a case that is open already; `scan` where one was read before."""
    study, case_id = session.study, case.info.case_id
    scan = load_scan(session, case_id, scan)
    active = study.models.active()
    predicted = active is not None and is_by(study, case_id, active)
    uncertainty = session.prediction(case_id).uncertainty if predicted else None
    case.watch()
    return Pictures(case, scan, uncertainty, _fullest_slice(case))


def _same(a: CaseInfo, b: CaseInfo) -> bool:
    return (a.case_id, a.source_digest, a.added) == (b.case_id, b.source_digest, b.added)


def _small(name: str, voxels: NDArray[Any]) -> Channel:
    voxels = np.ascontiguousarray(voxels)
    return Channel(name, voxels, False, contrast_limits(voxels))


def _large(name: str, levels: tuple[Any, ...], index: int) -> Channel:
    views = [ChannelView(level, index) for level in levels]
    return Channel(name, views, True, contrast_limits(np.asarray(views[-1])))


def contrast_limits(voxels: NDArray[Any]) -> tuple[float, float]:
    """From the 1st to the 99.8th percentile of a sample of voxels; never empty."""
    sample = voxels.ravel()[:: max(1, voxels.size // 200_000)]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, (1, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)


def _fullest_slice(case: OpenCase) -> int:
    counts = [np.count_nonzero(labels) for labels in case.canvas.labels]
    return int(np.argmax(counts)) if any(counts) else len(counts) // 2
