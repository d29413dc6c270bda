"""A found case as one volume: its channels read and put together, or split into several cases."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from napari_apprentice.core.collecting import SEPARATE, AddSettings
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ApprenticeError, ChoiceError, ScanError
from napari_apprentice.scans.channels import Channel, distinct, same_grid, stack
from napari_apprentice.scans.datasets.found import ChannelFile, FoundCase
from napari_apprentice.scans.reader import SeriesFinder, read_label_map, read_volume

ALL = "all"


@dataclass(frozen=True, eq=False)
class Split:
    """A case that turned out to be several."""

    cases: tuple[FoundCase, ...]


class CaseReader:
    """Reads found cases under one set of answers.

    Parameters
    ----------
    settings
        How files are read.
    collect
        How files become cases.
    """

    def __init__(self, settings: ReadSettings, collect: AddSettings) -> None:
        self._settings = settings
        self._collect = collect
        self._find = SeriesFinder()

    def read(self, case: FoundCase, shown: str) -> Generator[str, None, Volume | Split]:
        """Read a case, yielding what is being read.

        Parameters
        ----------
        shown
            What to call the case in messages.

        Raises
        ------
        ChoiceError
            Something must be decided first: a series, a reference channel, a missing channel.
        """
        read: list[Channel] = []
        for file in case.channels:
            yield file.name or shown
            try:
                read.append(Channel(file.name, self._file(file)))
            except ChoiceError as error:
                keys = tuple(key for key, _ in error.choices)
                if error.setting != "series" or not keys or not self._takes_all:
                    raise
                return Split(self._series(case, file, keys))
        if len(read) == 1 and read[0].volume is not None:
            return _named(read[0])
        mixed = _of_several(read)
        if mixed and self._collect.per == "study":
            raise ScanError(
                f"{shown} holds series of {mixed}, which are no channels of one case. Put each into a folder of its "
                "own, or take each series as a case."
            )
        channels = _with_names(read)
        if self._collect.reference == SEPARATE and not same_grid(channels):
            return Split(_apart(case, channels, self._settings))
        volume = stack(shown, channels, reference=self._collect.reference, missing=self._collect.missing)
        if mixed.endswith("persons"):
            doubt = f"The channels of this case seem to be of {mixed}; see that they belong together."
            volume = replace(volume, warnings=(*volume.warnings, doubt))
        return volume

    @property
    def _takes_all(self) -> bool:
        return self._settings.series == ALL or self._collect.per == "study"

    def _file(self, file: ChannelFile) -> Volume | None:
        if file.path is None:
            return None
        given = "" if self._settings.series == ALL else self._settings.series
        settings = replace(self._settings, series=file.series or given)
        if len(file.names) > 1 and not settings.volumes:
            settings = replace(settings, volumes=ALL)
        volume = read_volume(file.path, settings, self._find)
        if not file.names or settings.volumes != ALL:
            return volume
        if len(file.names) != len(volume.channels):
            raise ScanError(
                f"{file.path.name} holds {len(volume.channels)} channels, but its data set names {len(file.names)}: "
                f"{', '.join(file.names)}."
            )
        return replace(volume, channels=file.names)

    def _series(self, case: FoundCase, file: ChannelFile, keys: tuple[str, ...]) -> tuple[FoundCase, ...]:
        """The series of a folder, as channels of its study's case or as a case each."""
        each = tuple(replace(file, series=key) for key in keys)
        if self._collect.per == "study":
            at = case.channels.index(file)
            return (replace(case, channels=(*case.channels[:at], *each, *case.channels[at + 1 :])),)
        base = case.case_id
        return tuple(
            replace(case, case_id=f"{base}_{n}" if base else "", subject=case.subject or base, channels=(one,))
            for n, one in enumerate(each, 1)
        )


def _of_several(channels: list[Channel]) -> str:
    """How many persons or studies the channels are of, as DICOM says; "" where it is one, or unknown.

    Where a header says neither person nor study, the subject was made up for its series alone and tells nothing.
    """
    facts = [c.volume.acquisition for c in channels if c.volume and c.volume.acquisition.get("StudyInstanceUID")]
    for keyword, words in (("subject", "persons"), ("StudyInstanceUID", "studies")):
        found = {str(f[keyword]) for f in facts if f.get(keyword)}
        if len(found) > 1:
            return f"{len(found)} {words}"
    return ""


def _named(channel: Channel) -> Volume | Split:
    volume = channel.volume
    if volume is None:
        raise ScanError("There is no file.")
    return replace(volume, channels=(channel.name,)) if channel.name and len(volume.channels) == 1 else volume


def _with_names(channels: list[Channel]) -> list[Channel]:
    """Channels without a name get the reader's or their modality's, with numbers where two are alike."""
    names = distinct([c.name or _own_name(c.volume) for c in channels])
    return [Channel(name, c.volume) for name, c in zip(names, channels, strict=True)]


def _own_name(volume: Volume | None) -> str:
    if volume is None:
        return "scan"
    said = volume.channels[0] if len(volume.channels) == 1 and volume.channels != ("c0",) else ""
    return said or volume.modality or "scan"


def _apart(case: FoundCase, channels: list[Channel], settings: ReadSettings) -> tuple[FoundCase, ...]:
    """Every channel as a case of its own, of one subject; a label map of the case goes where it fits."""
    return tuple(
        replace(
            case,
            case_id=f"{case.case_id}_{channel.name}" if case.case_id else "",
            subject=case.subject or case.case_id,
            channels=(replace(file, name=channel.name),),
            labels=file.labels or _fitting(case.labels, channel.volume, settings),
        )
        for file, channel in zip(case.channels, channels, strict=True)
        if channel.volume is not None
    )


def _fitting(labels: Path | None, volume: Volume, settings: ReadSettings) -> Path | None:
    if labels is None:
        return None
    try:
        found = read_label_map(labels, settings).geometry.along(volume.geometry)
        return None if volume.geometry.difference(found) else labels
    except ApprenticeError:
        return labels  # what is wrong with it is told once it is taken
