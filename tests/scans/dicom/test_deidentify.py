import json
import logging
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from builders import study
from dicom_builder import random_voxels, write_series
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.deidentify import Person, identity_of, person_of
from napari_apprentice.scans.dicom.reader import read_dicom
from spilling import OWN_DATE, OWN_UID, SECRET, SHAPE, marked_series, spilled

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def read(path: Path, key: bytes = KEY, **settings: object) -> Volume:
    return read_dicom(path, ReadSettings(**settings), key)


def test_no_identifier_reaches_the_study_or_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = marked_series(tmp_path / f"{SECRET}_Jane" / f"{SECRET}-study")
    caplog.set_level(logging.DEBUG)
    volume = read(folder)
    made = study(tmp_path, cases=0)
    made.cases.add("c1", volume.acquisition["subject"], volume)
    secrets = (SECRET, OWN_DATE, "1947-03-11", "11.03.1947", OWN_UID)
    assert spilled(made.path, secrets) == []
    assert not any(s in caplog.text for s in secrets)


def test_the_search_finds_what_is_left_in(tmp_path: Path):
    volume = read(marked_series(tmp_path / f"{SECRET}_Jane"), deidentify=False)
    made = study(tmp_path, cases=0)
    made.cases.add("c1", volume.acquisition["subject"], volume)
    found = spilled(made.path, (SECRET, OWN_DATE, OWN_UID))
    assert all(any(s in f for f in found) for s in (SECRET, OWN_DATE, OWN_UID))


def test_what_was_removed_is_recorded_by_name_only(tmp_path: Path):
    step = next(s for s in read(marked_series(tmp_path / "s")).steps if s.kind == "deidentify")
    assert {"PatientName", "InstitutionName", "AccessionNumber", "PatientBirthDate"} <= set(step.detail["removed"])
    assert step.detail["private"] == 3
    assert "StudyInstanceUID" in step.detail["replaced"]
    assert "PatientID" in step.detail["replaced"]
    assert step.detail["shifted"] == ["StudyDate", "AcquisitionDate"]
    assert SECRET not in json.dumps(step.to_json())


def test_dates_of_one_person_move_together_and_those_of_another_differently(tmp_path: Path):
    first = write_series(tmp_path / "a", random_voxels(SHAPE), StudyDate="20200110")
    later = write_series(tmp_path / "b", random_voxels(SHAPE), StudyDate="20200301", SeriesInstanceUID="1.2.77")
    other = write_series(tmp_path / "c", random_voxels(SHAPE), StudyDate="20200110", PatientID="P-2")
    one, two, three = (np.datetime64(read(p).acquisition["StudyDate"]) for p in (first, later, other))
    assert two - one == np.datetime64("2020-03-01") - np.datetime64("2020-01-10")
    assert three != one
    assert one < np.datetime64("2020-01-10")


def test_a_person_has_one_pseudonym_per_key(tmp_path: Path):
    first = write_series(tmp_path / "a", random_voxels(SHAPE))
    second = write_series(tmp_path / "b", random_voxels(SHAPE), PatientName="Other^Spelling", StudyInstanceUID="1.9")
    third = write_series(tmp_path / "c", random_voxels(SHAPE), PatientID="P-2")
    subjects = [read(p).acquisition["subject"] for p in (first, second, third)]
    assert subjects[0] == subjects[1] != subjects[2]
    assert subjects[0].startswith("sub-")
    assert len(subjects[0]) == 12
    assert read(first, OTHER_KEY).acquisition["subject"] != subjects[0]


def test_uids_are_replaced_by_the_same_ones_each_time():
    person = Person(KEY, "PatientID=1")
    assert person.uid("1.2.3") == Person(KEY, "PatientID=2").uid("1.2.3") != person.uid("1.2.4")
    assert person.uid("1.2.3").startswith("2.25.")
    assert len(person.uid("1.2.3")) <= 64


@pytest.mark.parametrize("placeholder", ["", "ANONYMOUS", "removed", None])
def test_an_id_that_is_none_does_not_make_one_person_of_all(placeholder: str | None):
    header = Dataset()
    header.PatientID = placeholder
    header.PatientName = "Anonymous"
    header.StudyInstanceUID = "1.2.3"
    assert identity_of(header) == "StudyInstanceUID=1.2.3"
    assert person_of(Dataset(), KEY, "aa").subject != person_of(Dataset(), KEY, "bb").subject


def test_without_de_identification_the_persons_id_and_names_stay(tmp_path: Path):
    volume = read(write_series(tmp_path / "Jane", random_voxels(SHAPE), StudyDate="20200110"), deidentify=False)
    assert volume.acquisition["subject"] == "P-1"
    assert volume.acquisition["StudyDate"] == "20200110"
    assert volume.source_name == "Jane"
    assert not volume.steps


def test_names_can_be_hidden_although_the_person_stays(tmp_path: Path):
    volume = read(write_series(tmp_path / "Jane", random_voxels(SHAPE)), deidentify=False, hide_names=True)
    assert volume.source_name == "DICOM series (3 files, CT)"


@pytest.mark.parametrize(
    "attributes",
    [
        {"BurnedInAnnotation": "YES"},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        {"Modality": "SC"},
        {"Modality": "US"},
    ],
)
def test_names_that_may_be_in_the_picture_are_warned_about(tmp_path: Path, attributes: dict[str, object]):
    volume = read(write_series(tmp_path / "s", random_voxels(SHAPE), **attributes))
    assert any("Look before you share it" in w for w in volume.warnings)


def test_errors_hold_no_value_of_the_header(tmp_path: Path):
    folder = marked_series(tmp_path / "folder")
    for path in folder.iterdir():
        path.rename(folder / path.name.replace(f"{SECRET}^Jane", "file"))
    path = folder / "file_1.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ScanError, match=r"file_1\.dcm is cut off") as caught:
        read(folder)
    assert SECRET not in str(caught.value)
