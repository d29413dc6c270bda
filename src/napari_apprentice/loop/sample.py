"""The sample scans that come with the program, and a study made of them."""

import json
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.core.volume import LabelMap, Volume
from napari_apprentice.errors import ApprenticeError, StudyError
from napari_apprentice.loop.adding import add_volume, keep_accepted
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.store.file_lock import one_at_a_time
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.study import DOCUMENT, Study, is_free

STARTER = "starter"


@dataclass(frozen=True)
class SampleList:
    """What sample.json says: case ids by the part they play.

    Parameters
    ----------
    known
        First site; come with accepted label maps. The starter model version learned from them or was
        held out on them, so they are the replay of a fine-tune.
    first_site
        First site, unseen: what must not be forgotten.
    second_site
        Second site, unseen: what is to be corrected.
    """

    title: str
    schema: LabelSchema
    known: tuple[str, ...]
    first_site: tuple[str, ...]
    second_site: tuple[str, ...]


def sample_folder() -> Path:
    """Where the sample data lie: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "sample_data", package.parents[1] / "sample_data"):
        if (folder / "sample.json").is_file():
            return folder
    raise StudyError("The sample data are missing from this installation; install the program again.")


def sample_list() -> SampleList:
    """Read sample.json."""
    data = json.loads((sample_folder() / "sample.json").read_text(encoding="utf-8"))
    return SampleList(
        data["title"],
        LabelSchema.from_json(data["labels"]),
        tuple(data["known"]),
        tuple(data["first_site"]),
        tuple(data["second_site"]),
    )


def sample_scan(case_id: str) -> Volume:
    """One sample scan."""
    return read_volume(sample_folder() / "scans" / f"{case_id}.nii.gz")


def sample_reference(case_id: str) -> LabelMap:
    """The reference label map of one sample scan."""
    return read_label_map(sample_folder() / "references" / f"{case_id}.nii.gz")


def sample_volumes() -> tuple[Volume, ...]:
    """One scan of each site, for File > Open Sample."""
    sample = sample_list()
    return sample_scan(sample.first_site[0]), sample_scan(sample.second_site[0])


def making_sample_study(folder: Path) -> Generator[Progress, None, Study]:
    """Make a study of the sample scans, with the starter model version active; `make_sample_study` in steps.

    One that was stopped in the middle is gone on with; one that another process is making is waited for, not long.
    """
    with storage_errors(f"the study {folder.name}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder, "the sample scans", StudyError):
        half_made = (folder / DOCUMENT).is_file() and is_to_be_made(folder)
        sample = sample_list()
        study = Study.open(folder) if half_made else Study.create(folder, sample.schema, sample.title)
        yield from _adding(study, sample)
        _install_starter(study)
    return study


def _adding(study: Study, sample: SampleList) -> Generator[Progress, None, None]:
    case_ids, there = (*sample.known, *sample.first_site, *sample.second_site), study.cases.ids()
    for done, case_id in enumerate(case_ids):
        yield Progress(done, len(case_ids), f"Adding {case_id}", case_id=case_id)
        if case_id not in there:
            add_volume(study, sample_scan(case_id), case_id)
        if case_id in sample.known and not study.revisions.names(case_id):
            keep_accepted(study, case_id, sample_reference(case_id).voxels, author="the sample's maker")


def is_to_be_made(folder: Path) -> bool:
    """Whether there is no sample study yet, or one whose making was stopped: the starter model version comes last."""
    if not (folder / DOCUMENT).is_file():
        return not folder.exists() or (folder.is_dir() and is_free(folder))
    with suppress(ApprenticeError):
        study = Study.open(folder)
        return study.title == sample_list().title and study.models.active() is None
    return False  # locked or damaged: who opens it is asked, or told


def make_sample_study(folder: Path) -> Study:
    """Make a study of the sample scans in a new folder, with the starter model version active."""
    work = making_sample_study(folder)
    while True:
        try:
            next(work)
        except StopIteration as end:
            study: Study = end.value
            return study


def _install_starter(study: Study) -> None:
    folder = sample_folder() / "starter"
    version = ModelVersion.from_json(json.loads((folder / "model.json").read_text(encoding="utf-8")))
    if STARTER not in study.models.names():
        study.models.register(version, folder / "weights.safetensors")
    study.models.activate(STARTER, "came with the sample study")
