"""Case ids for scan files: from the file name, with the folder's where several files share one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import InputError
from napari_apprentice.scans.reader import case_id_from
from napari_apprentice.store.study import Study


class Names:
    """The case ids of one adding.

    Many collections keep one folder per person with files of the same names: a/CT.nii.gz, b/CT.nii.gz.

    Parameters
    ----------
    study
        Where ids may be taken already.
    files
        All files of this adding.
    """

    def __init__(self, study: Study, files: Sequence[Path]) -> None:
        infos = [study.cases.info(case_id) for case_id in study.cases.ids()]
        self._taken = {info.case_id.lower() for info in infos}
        self._scans = {info.source_digest: info.case_id for info in infos if info.source_digest}
        self._shared = {n for n, count in Counter(case_id_from(f).lower() for f in files).items() if count > 1}

    def choose(self, path: Path, volume: Volume) -> str:
        """A free case id for a file.

        Raises
        ------
        InputError
            The very same scan is in the study already, under whatever name: a second copy could end
            up on the other side of the split.
        """
        if volume.source_digest in self._scans:
            raise InputError(f"This scan is in this study already, as case {self._scans[volume.source_digest]}.")
        plain = case_id_from(path)
        if plain.lower() not in self._taken | self._shared:
            return plain
        longer = case_id_from(path.with_name(f"{path.resolve().parent.name}_{path.name}"))
        if longer.lower() in self._taken:
            raise InputError(f"Cases {plain} and {longer} are in this study already; rename the file and add it again.")
        return longer

    def take(self, case_id: str, volume: Volume) -> None:
        """Note a case that was added."""
        self._taken.add(case_id.lower())
        self._scans[volume.source_digest] = case_id
