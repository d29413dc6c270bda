"""Scans into a study, one bad file never stopping the rest."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.channels import in_order, reading_order, same_channels
from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.reading import ReadSettings, Step
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ApprenticeError, ChoiceError, InputError, StorageError, StudyError
from napari_apprentice.loop.case_reading import ALL, CaseReader, Split
from napari_apprentice.loop.label_import import LabelImport, keep_accepted
from napari_apprentice.loop.label_matching import Matched
from napari_apprentice.loop.naming import Names, next_number, without_telling_channels
from napari_apprentice.scans.datasets.finding import find_scans
from napari_apprentice.scans.datasets.found import Found, FoundCase
from napari_apprentice.scans.oddities import label_map_warnings
from napari_apprentice.store.names import is_number_name
from napari_apprentice.store.study import Study

__all__ = ["AddReport", "Question", "add_scans", "add_volume", "keep_accepted", "looks_like_ct"]


@dataclass(frozen=True)
class Question:
    """Something a person must decide before a scan can be added.

    Parameters
    ----------
    path
        The file or folder to add again once it is decided; None where the case has several.
    case
        Name of the scan or case, to show.
    text
        What is to be decided and why.
    setting
        Field of `ReadSettings` or `AddSettings` that decides it.
    choices
        Values the field can take here, each with a sentence; empty where any value of its form will do.
    """

    path: Path | None
    case: str
    text: str
    setting: str
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class AddReport:
    """What came of adding files: cases added, files refused with the reason, oddities, and what must be decided.

    `labelled` are cases that got an accepted label map: of `added`, or there already but without one.
    `already` are those of `refused` that are in the study.
    """

    added: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    labelled: tuple[str, ...] = ()
    already: tuple[tuple[str, str], ...] = ()


def add_scans(
    study: Study,
    paths: Sequence[Path] | Found,
    *,
    subject: str | None = None,
    corrected: Path | None = None,
    author: str = "",
    settings: ReadSettings | None = None,
    collect: AddSettings | None = None,
) -> Generator[Progress, None, AddReport]:
    """Read scans and keep each as a case; folders stand for the scans in them.

    Parameters
    ----------
    paths
        Files and folders, or what `scans.datasets.find_scans` made of them.
    subject
        The person all of these scans are of; by default as the data set or DICOM says, else every
        scan is a subject of its own.
    corrected
        A label map that comes in as an accepted revision; only with a single case.
    settings
        Answers to what files leave open; what is still open becomes a `Question`.
    collect
        How files become cases, and whether the label maps of a data set come in.

    Raises
    ------
    InputError
        No file is given, or `corrected` or a case id with several cases.
    StorageError
        The disk is full or gone: going on would refuse every further file for the same reason.
    """
    settings, collect = settings or ReadSettings(), collect or AddSettings()
    found = paths if isinstance(paths, Found) else find_scans(paths, collect)
    for given, flag in ((corrected, "--corrected"), (collect.case, "--case")):
        if given and len(found.cases) != 1:
            raise InputError(f"{flag} goes with one scan, not with {len(found.cases)}.")
    if settings.hide_names:
        found = without_telling_channels(found)
    if collect.case:
        found = replace(found, cases=(replace(found.cases[0], case_id=collect.case),))
    work = _Adding(study, found, settings, collect, subject, corrected, author)
    yield from work.all()
    return work.report()


class _Adding:
    """One adding under way; the arguments are those of `add_scans`."""

    def __init__(
        self,
        study: Study,
        found: Found,
        settings: ReadSettings,
        collect: AddSettings,
        subject: str | None,
        corrected: Path | None,
        author: str,
    ) -> None:
        self._study = study
        self._queue = deque(found.cases)
        self._names = Names(study, found.cases, settings)
        self._reader = CaseReader(settings, collect)
        self._labels = LabelImport(study.schema, found, settings, collect)
        self._named = bool(collect.case)
        self._subject, self._corrected, self._author = subject, corrected, author
        self._added: list[str] = []
        self._labelled: list[str] = []
        self._refused = list(found.refused)
        self._warnings: list[str] = []
        self._questions: list[Question] = []
        self._already: list[tuple[str, str]] = []

    def all(self) -> Generator[Progress, None, None]:
        """Add case after case; one that fails is noted and passed over."""
        done = 0
        while self._queue:
            case = self._queue.popleft()
            try:
                outcome = yield from self._read(case, done)
                if isinstance(outcome, Split):
                    self._queue.extendleft(reversed(outcome.cases))
                    continue
                self._keep(case, outcome)
            except StorageError:
                raise
            except ChoiceError as error:
                self._questions.append(_question(case, error))
            except ApprenticeError as error:
                self._refused.append((shown_name(case), str(error)))
            done += 1
        yield Progress(done, done, f"Added {len(self._added)} of {done}")

    def report(self) -> AddReport:
        """What came of it so far."""
        warnings = (*self._warnings, *self._labels.summary(), *self._names.notes())
        return AddReport(
            tuple(self._added),
            tuple(self._refused),
            warnings,
            tuple(self._questions),
            tuple(self._labelled),
            tuple(self._already),
        )

    def _read(self, case: FoundCase, done: int) -> Generator[Progress, None, Volume | Split]:
        """Read a case, saying which channel is being read where it has several."""
        shown, total = shown_name(case), done + 1 + len(self._queue)
        if self._corrected is None:
            self._labels.ask(case, shown)
        reading = self._reader.read(case, shown)
        while True:
            try:
                part = next(reading)
            except StopIteration as end:
                outcome: Volume | Split = end.value
                return outcome
            text = f"Adding {shown}: {part}" if len(case.channels) > 1 else f"Adding {shown}"
            yield Progress(done, total, text)

    def _keep(self, case: FoundCase, volume: Volume) -> None:
        """Store a case that was read, and its label map; what is wrong with a given one stops the case too."""
        self._names.catch_up()
        held = self._names.held(volume)
        if held is not None:
            self._label_held(case, volume, held)
            return
        case_id = self._names.choose(case, volume, given=self._named)
        named = self._names.without_names(case, volume, case_id)
        labels = self._labels.read(self._corrected, named) if self._corrected else self._own_map(case, named, case_id)
        self._store(case, volume, case_id, labels)

    def _store(self, case: FoundCase, volume: Volume, case_id: str, labels: Matched | None) -> None:
        subject = self._subject or self._names.subject(case, volume, case_id)
        named = self._names.without_names(case, volume, case_id)
        channels = named.channels if len(case.channels) > 1 or case.channels[0].name else ()
        try:
            add_volume(self._study, named, case_id, subject=subject, channels=channels)
        except InputError:
            if self._named or not self._names.catch_up():
                raise
            # Somebody else, who is adding too, took the id first; for this very scan, or for another one.
            held = self._names.held(volume)
            if held is not None:
                self._label_held(case, volume, held)
            else:
                self._store(case, volume, self._names.choose(case, volume), labels)
            return
        self._names.take(case_id, subject, named)
        self._added.append(case_id)
        self._warnings += (*named.warnings, *label_map_warnings(named))
        if labels is not None:
            self._accept(case_id, labels)

    def _label_held(self, case: FoundCase, volume: Volume, held: str) -> None:
        """Give a case that is there already the label map it lacks; nothing else of it is added again.

        Raises
        ------
        InputError
            There is nothing to give: a second copy of a scan could end up on the other side of the split.
        """
        info, name = self._study.cases.info(held), shown_name(case)
        bare = self._study.revisions.newest(held) is None and self._names.is_whole(volume, held)
        if bare and not self._corrected and not info.geometry.difference(volume.geometry):
            labels = self._own_map(case, volume, held)
            if labels is not None:
                self._accept(held, labels)
                return
        reason = f"This scan is in this study already, as case {held}."
        if self._corrected:
            text = f"{self._corrected.name} was not taken; apprentice correct STUDY {held} LABELMAP takes it."
            self._warnings.append(text)
        self._already.append((name, reason))
        raise InputError(reason)

    def _own_map(self, case: FoundCase, volume: Volume, case_id: str) -> Matched | None:
        """The label map a data set has for a case; what is wrong with it is told, and the case goes without.

        Raises
        ------
        ChoiceError
            It can be taken in several ways; the case waits for the answer.
        """
        try:
            return self._labels.of(case, volume)
        except (StorageError, ChoiceError):
            raise
        except ApprenticeError as error:
            self._labels.failed(case_id, error)
            return None

    def _accept(self, case_id: str, labels: Matched) -> None:
        try:
            keep_accepted(self._study, case_id, labels.voxels, author=self._author, ignored=labels.ignored)
        except StorageError as error:
            text = f"{error} Scan {case_id} itself was added; give it its label map with the correct command."
            raise StorageError(text) from error
        self._labelled.append(case_id)


def _question(case: FoundCase, error: ChoiceError) -> Question:
    path = case.channels[0].path if len(case.channels) == 1 else None
    choices = error.choices
    if error.setting == "series" and path is not None:
        choices = (*choices, (ALL, "each becomes a case of its own"))
    return Question(path, shown_name(case), str(error), error.setting, choices)


def shown_name(case: FoundCase) -> str:
    """What to call a case before it has an id: its only file's name, else the data set's."""
    only = case.channels[0] if len(case.channels) == 1 else None
    if only is None or only.path is None:
        path = next((c.path for c in case.channels if c.path is not None), None)
        return case.case_id or (path.name if path else "a case")
    return f"{only.path.name} (series {only.series})" if only.series else only.path.name


def add_volume(
    study: Study, volume: Volume, case_id: str, *, subject: str | None = None, channels: tuple[str, ...] = ()
) -> str:
    """Keep a volume as a new case and return its id; the subject defaults to the id.

    In an encrypted study the case gets a number for its id, whatever it was to be called. Channels of the same
    names as another case's are kept in the order of that case.
    """
    named = _in_study_order(study, replace(volume, channels=channels or _channel_names(volume)))
    free = next_number("case", study.cases.ids()) if study.encrypted and not is_number_name(case_id) else case_id
    return study.cases.add(free, subject or case_id, named).case_id


def _channel_names(volume: Volume) -> tuple[str, ...]:
    if len(volume.channels) == 1 and looks_like_ct(volume.voxels[0]):
        return ("CT",)
    return volume.channels


def _in_study_order(study: Study, volume: Volume) -> Volume:
    """The volume, its channels as in the first case that has the same; a `Step` where they were in another order."""
    known = _known_orders(study) if len(volume.channels) > 1 else ()
    wanted = next((names for names in known if same_channels(names, volume.channels)), volume.channels)
    order = list(reading_order(volume.channels, wanted))
    names = in_order(volume.channels, wanted)
    if names == volume.channels:
        return volume
    what = f"Channels {', '.join(volume.channels)} were put into the order of this study's other cases."
    steps = (*volume.steps, Step("order", what, {"channels": list(volume.channels)}))
    return replace(volume, voxels=volume.voxels[order], channels=names, steps=steps)


def _known_orders(study: Study) -> Iterator[tuple[str, ...]]:
    """The channels of every case whose document is whole; one that is damaged keeps no other from being added."""
    for case_id in study.cases.ids():
        with suppress(StudyError):
            yield study.cases.info(case_id).channels


def looks_like_ct(voxels: NDArray[Any]) -> bool:
    """Whether voxels are Hounsfield units: whole numbers of a signed type with air far below water.

    Only CT has a fixed negative value for air (-1000 HU); MR and PET start at zero.
    """
    if voxels.dtype.kind not in "if":
        return False
    sample = voxels[:: max(1, voxels.shape[0] // 16), ::4, ::4]
    low, high = float(np.nanmin(sample)), float(np.nanmax(sample))
    return -3100 <= low <= -700 and high > 50
