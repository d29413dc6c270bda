"""The workers of a cohort on this computer: one engine each, side by side."""

import os
import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice

from napari_apprentice.core.cohort import CohortSettings, Outcome
from napari_apprentice.core.config import DEVICES, PredictSettings
from napari_apprentice.core.machine import cores
from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.loop.child import thread_limit
from napari_apprentice.loop.cohort_case import predict_case
from napari_apprentice.loop.engine import Engine
from napari_apprentice.store.study import Study

_LOOK_SECONDS = 0.5
_GPUS = "CUDA_VISIBLE_DEVICES"

News = Outcome | str | BaseException


@dataclass(frozen=True)
class Place:
    """Where one worker computes: the device that it asks for, and what its environment says."""

    device: str
    environment: Mapping[str, str] = field(default_factory=dict)


def places(cohort: CohortSettings, settings: PredictSettings) -> tuple[Place, ...]:
    """One per worker. Several share the cores of this computer evenly, and the devices in turn.

    Raises
    ------
    InputError
        A device that cannot be.
    """
    devices = [d.strip() for d in cohort.devices.split(",") if d.strip()] or [settings.device]
    count = cohort.workers or len(devices)
    share = thread_limit(max(1, cores() // count)) if count > 1 else {}
    found = (_place(device) for device in islice(cycle(devices), count))
    return tuple(Place(place.device, {**share, **place.environment}) for place in found)


def _place(device: str) -> Place:
    kind, colon, index = device.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and index.isdecimal())):
        raise InputError(f"The devices are {', '.join(DEVICES)} or cuda:0, cuda:1 ..., not {device[:80]!r}.")
    if not colon:
        return Place(kind)
    # The child sees this one GPU alone; where the environment shows this process only some, it is one of those.
    shown = os.environ.get(_GPUS)
    visible = [g.strip() for g in (shown or "").split(",") if g.strip()]
    if shown is not None and int(index) >= len(visible):  # "" shows none, as of a batch system that gave none
        raise InputError(f"There is no {device}: {_GPUS} shows {len(visible)} of this computer's GPUs.")
    return Place(kind, {_GPUS: visible[int(index)] if visible else index})


def predict_here(
    study: Study, cases: Sequence[str], settings: PredictSettings, model: str, workers: Sequence[Place]
) -> Generator[str | Outcome, None, None]:
    """Predict cases side by side: yields a case's name when it is begun, and its outcome when it has ended.

    Closing the generator stops all workers within about a second and ends their processes.
    """
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for case_id in cases:
        todo.put(case_id)
    news: queue.SimpleQueue[News] = queue.SimpleQueue()
    stop = threading.Event()

    def work(place: Place) -> None:
        engine = Engine(place.environment)
        try:
            _work(study, engine, todo, news, replace(settings, device=place.device), model, stop)
        finally:
            engine.stop()

    threads = [threading.Thread(target=work, args=(p,), name=f"worker {n}") for n, p in enumerate(workers, 1)]
    try:
        for thread in threads:
            thread.start()
        yield from _told(news, len(cases), threads)
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _work(
    study: Study, engine: Engine, todo: "queue.SimpleQueue[str]", news: "queue.SimpleQueue[News]",
    settings: PredictSettings, model: str, stop: threading.Event,
) -> None:  # fmt: skip
    try:
        while not stop.is_set():
            case_id = todo.get_nowait()
            news.put(case_id)
            news.put(predict_case(study, engine, case_id, settings, model, stop.is_set))
    except (queue.Empty, Cancelled):
        return
    except BaseException as fault:  # noqa: BLE001 - the thread that waits for news must hear of it
        news.put(fault)


def _told(
    news: "queue.SimpleQueue[News]", count: int, threads: Sequence[threading.Thread]
) -> Generator[str | Outcome, None, None]:
    ended = 0
    while ended < count:
        over = not any(thread.is_alive() for thread in threads)  # asked before looking: what is there then is all
        try:
            said = news.get(timeout=_LOOK_SECONDS)  # a wait without end would not hear Ctrl-C on every system
        except queue.Empty:
            if over:
                return
            continue
        if isinstance(said, BaseException):
            raise said
        ended += isinstance(said, Outcome)
        yield said
