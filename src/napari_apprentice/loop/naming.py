"""Case ids and subjects for scans: from file names, from data sets, or numbers where names must not show."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from napari_apprentice.core.reading import ReadSettings, Step
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.scans.datasets.found import Found, FoundCase
from napari_apprentice.scans.dicom.kinds import is_dicom
from napari_apprentice.scans.reader import case_id_from
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.study import Study


class Names:
    """The case ids and subjects of one adding.

    Many collections keep one folder per person with files of the same names: a/CT.nii.gz, b/CT.nii.gz;
    such cases get their folder's name too.

    Parameters
    ----------
    study
        Where ids may be taken already.
    cases
        All cases of this adding.
    settings
        Says whether names of files may show, and whether DICOM is de-identified. In an encrypted study cases are
        numbered in any case, because names of folders can be read; what is encrypted keeps its names unless
        these settings hide them.
    """

    def __init__(self, study: Study, cases: Sequence[FoundCase], settings: ReadSettings) -> None:
        self._study = study
        self._settings = settings
        self._numbers_cases = settings.hide_names or study.encrypted
        self._taken: set[str] = set()
        self._scans: dict[str, str] = {}
        self._shapes: set[tuple[int, int, int]] = set()
        self._subjects: set[str] = set()
        self._numbered: dict[str, str] = {}
        self._ours: set[str] = set()
        self.catch_up()
        self._hid_before = any(re.fullmatch(r"subject-\d+", s) for s in self._subjects)
        self._shared = {n for n, count in Counter(c.case_id.lower() for c in cases if c.case_id).items() if count > 1}

    def catch_up(self) -> bool:
        """Take note of cases that others have added since; whether there are any."""
        new = [case_id for case_id in self._study.cases.ids() if case_id.lower() not in self._taken]
        self._taken |= {case_id.lower() for case_id in new}
        for case_id in new:
            try:
                info = self._study.cases.info(case_id)
                self._scans |= dict.fromkeys(self._study.cases.scan_digests(case_id), case_id)
            except StudyError:  # it keeps no other from being added; the number of whom it is of is nobody else's
                self._subjects.add(f"subject-{len(self._taken):04}")
                continue
            self._shapes.add(info.geometry.shape)
            self._subjects.add(info.subject.lower())
            if info.subject not in self._ours:  # who was to get this number here gets another one
                self._numbered = {found: number for found, number in self._numbered.items() if number != info.subject}
        return bool(new)

    def held(self, volume: Volume) -> str | None:
        """The case that a scan, or a channel of one, is in the study as already, under whatever name.

        It is known by its file, else by its voxels: packed, unpacked or converted it is another file and the same scan.
        """
        digests = (volume.source_digest, *_channel_digests(volume.steps))
        return next((self._scans[d] for d in digests if d in self._scans), None) or self._twin(volume)

    def is_whole(self, volume: Volume, held: str) -> bool:
        """Whether a case is this very scan, not one that has it, or a part of it, as a channel."""
        return self._study.cases.info(held).source_digest == volume.source_digest or self._twin(volume) == held

    def choose(self, case: FoundCase, volume: Volume, *, given: bool = False) -> str:
        """A free case id.

        Parameters
        ----------
        given
            Whether a person named the case; then that name is taken as it is.

        Raises
        ------
        InputError
            It is taken, or could be a person's in an encrypted study.
        """
        if given:
            self._study.cases.refuse_telling(case.case_id)
            return self._free(case.case_id)
        if self._numbers_cases:
            return next_number("case", self._taken)
        if self.is_nameless(case):
            person = str(volume.acquisition.get("subject") or "subject")
            return self._counted(f"{case_id_from(Path(f'{person}.nii'))}_{volume.modality or 'scan'}")
        plain, longer = _plain_names(case)
        if plain.lower() not in self._taken | self._shared:
            return plain
        # Names in other scripts, and those that differ by a space only, are one name here.
        return longer if longer.lower() not in self._taken else self._counted(longer[:90], first=2)

    def subject(self, case: FoundCase, volume: Volume, case_id: str) -> str:
        """The person a case is of: as the data set or DICOM says, else one of its own."""
        pseudonym = str(volume.acquisition.get("subject") or "")
        if case.subject and not self.is_nameless(case):
            return self._hidden_subject(case.subject) if self._settings.hide_names else case.subject
        if pseudonym:
            return pseudonym
        if self._settings.hide_names:
            return self._hidden_subject(case_id)
        # In an encrypted study the number says nothing to the person; the subject is encrypted and may.
        return self._telling(case, case_id) if self._study.encrypted and not self.is_nameless(case) else case_id

    def is_nameless(self, case: FoundCase) -> bool:
        """Whether names of its files and folders must not be used: hospitals name DICOM after people."""
        return self._settings.deidentify and any(c.path is not None and is_dicom(c.path) for c in case.channels)

    def without_names(self, case: FoundCase, volume: Volume, case_id: str) -> Volume:
        """A volume with the case id in place of the names of its files, where these must not show."""
        if not self._settings.hide_names:
            return volume
        names = [c.path.name for c in case.channels if c.path is not None]
        return replace(
            volume,
            source_name=case_id,
            warnings=tuple(_replaced(w, names, case_id) for w in volume.warnings),
            steps=tuple(Step(s.kind, _replaced(s.what, names, case_id), s.detail) for s in volume.steps),
        )

    def take(self, case_id: str, subject: str, volume: Volume) -> None:
        """Note a case that was added."""
        self._taken.add(case_id.lower())
        self._subjects.add(subject.lower())
        self._ours.add(subject)
        self._scans |= dict.fromkeys(self._study.cases.scan_digests(case_id), case_id)
        self._shapes.add(volume.geometry.shape)

    def notes(self) -> tuple[str, ...]:
        """What numbers in place of names cannot tell."""
        if not (self._numbered and self._hid_before):
            return ()
        return (
            "Names were hidden before in this study, so a person whose scans are there already was not recognised "
            "and got a new number; --subject says who it is.",
        )

    def _twin(self, volume: Volume) -> str | None:
        """The case of the same voxels on the same grid; one whose grid was put right in its file is another."""
        if volume.geometry.shape not in self._shapes:
            return None  # spares reading all voxels once more
        twin = self._scans.get(digest(volume.voxels))
        same = twin is not None and self._study.cases.info(twin).geometry.difference(volume.geometry) is None
        return twin if same else None

    def _free(self, wanted: str) -> str:
        if wanted.lower() not in self._taken:
            return wanted
        raise InputError(f"Case {wanted} is in this study already; give it another case id.")

    def _telling(self, case: FoundCase, case_id: str) -> str:
        plain, longer = _plain_names(case)
        if plain.lower() not in self._subjects | self._shared:
            return plain
        return longer if longer.lower() not in self._subjects else case_id

    def _hidden_subject(self, found: str) -> str:
        if found not in self._numbered:
            self._numbered[found] = next_number("subject", self._subjects)
            self._subjects.add(self._numbered[found])
        return self._numbered[found]

    def _counted(self, start: str, first: int = 1) -> str:
        return next(name for n in range(first, 10**6) if (name := f"{start}_{n}").lower() not in self._taken)


def next_number(word: str, taken: Iterable[str]) -> str:
    """case-0001 for "case", or one more than the highest number taken."""
    pattern = re.compile(rf"{word}-(\d+)")
    used = [int(m.group(1)) for name in taken if (m := pattern.fullmatch(name))]
    return f"{word}-{max(used, default=0) + 1:04}"


def without_telling_channels(found: Found) -> Found:
    """Number the channels whose name is that of a single file: it may be a person's, not a contrast's."""
    counts = Counter(file.name for case in found.cases for file in case.channels)
    if found.kind != "folders":
        return found
    cases = (
        replace(
            case,
            channels=tuple(
                replace(file, name=f"c{n}") if counts[file.name] == 1 else file for n, file in enumerate(case.channels)
            ),
        )
        for case in found.cases
    )
    return replace(found, cases=tuple(cases))


def _path(case: FoundCase) -> Path:
    return next(c.path for c in case.channels if c.path is not None)


def _plain_names(case: FoundCase) -> tuple[str, str]:
    """What a case is called after its file or as its data set says, and the same with the folder's name."""
    path = _path(case)
    plain = case_id_from(Path(f"{case.case_id}.nii")) if case.case_id else case_id_from(path)
    return plain, case_id_from(path.with_name(f"{path.resolve().parent.name}_{plain}.nii"))


def _channel_digests(steps: Iterable[Step]) -> tuple[str, ...]:
    return tuple(str(s.detail["digest"]) for s in steps if s.kind == "channel" and s.detail.get("digest"))


def _replaced(text: str, names: Sequence[str], by: str) -> str:
    for name in names:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", by, text)
    return text
