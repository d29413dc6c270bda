import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import study, volume
from faults import fail_from, finish
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import InputError, StorageError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study
from napari_apprentice.store.trust import refuse_links

SCHEMA = LabelSchema.from_names(["one"])


def test_a_study_is_found_again(tmp_path):
    Study.create(tmp_path / "a.study", SCHEMA, "My study")
    again = Study.open(tmp_path / "a.study")
    assert (again.title, again.schema) == ("My study", SCHEMA)
    assert again.cases.ids() == ()


def test_an_empty_folder_becomes_a_study_and_a_full_one_does_not(tmp_path):
    Study.create(tmp_path, SCHEMA)
    with pytest.raises(InputError, match="not empty"):
        Study.create(tmp_path, SCHEMA)


def test_a_full_disk_leaves_no_half_study(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 0)
        with pytest.raises(StorageError):
            Study.create(tmp_path / "a.study", SCHEMA)
    Study.create(tmp_path / "a.study", SCHEMA)


_CREATES_AND_IS_KILLED = """
import os, sys
from pathlib import Path
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.store import files, study

place, calls = int(sys.argv[2]), 0

def killed_at(change):
    def changed(*args, **kwargs):
        global calls
        calls += 1
        if calls > place:
            os._exit(9)
        return change(*args, **kwargs)
    return changed

os.mkdir, os.replace, os.rename, os.fsync = map(killed_at, (os.mkdir, os.replace, os.rename, os.fsync))
study.Study.create(Path(sys.argv[1]), LabelSchema.from_names(["one"]))
"""


@pytest.mark.parametrize("place", [8, 9])
def test_a_folder_where_create_was_killed_is_taken_again(tmp_path, place):
    path = tmp_path / "a.study"
    killed = subprocess.run([sys.executable, "-c", _CREATES_AND_IS_KILLED, path, str(place)], check=False)
    assert killed.returncode == 9
    assert any(path.iterdir())
    Study.create(path, SCHEMA)
    assert finish(check(path)) == ()


@pytest.mark.parametrize("case_id", ["c1", "zarr.1"])
def test_a_study_whose_document_is_lost_is_not_laid_over(tmp_path, case_id):
    made = study(tmp_path, 0)
    made.cases.add(case_id, "s1", volume())
    (made.path / "study.json").unlink()
    with pytest.raises(InputError, match="not empty"):
        Study.create(made.path, SCHEMA)
    assert (made.path / "cases.zarr" / case_id / "image" / "zarr.json").is_file()


def test_changed_labels_are_kept(tmp_path):
    made = study(tmp_path)
    made.set_schema(LabelSchema.from_names(["one", "two", "three"]))
    assert made.schema.ids == Study.open(made.path).schema.ids == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "no JSON object"),
        ("{}", "layout version"),
        ('{"apprentice_study": 99}', "newer version"),
        ('{"apprentice_study": 1}', "labels"),
        ('{"apprentice_study": 1, "labels": [{"id": 0, "name": "", "colour": ""}]}', "labels"),
    ],
)
def test_a_damaged_or_newer_study_is_told(tmp_path, text, words):
    made = study(tmp_path)
    (made.path / "study.json").write_text(text)
    with pytest.raises(StudyError, match=words):
        Study.open(made.path)


def test_labels_that_no_file_could_tell_apart_are_refused_and_older_studies_keep_theirs(tmp_path):
    with pytest.raises(InputError, match="Liver and liver differ by case"):
        Study.create(tmp_path / "a.study", LabelSchema.from_names(["Liver", "liver"]))
    with pytest.raises(InputError, match="Background is no label"):
        Study.create(tmp_path / "a.study", LabelSchema.from_names(["Background", "liver"]))
    assert not (tmp_path / "a.study").exists()
    path = study(tmp_path).path
    document = json.loads((path / "study.json").read_text())
    document["labels"][1]["name"] = "One"
    document["labels"].append({"id": 9, "name": "background", "colour": "#ffffff"})
    (path / "study.json").write_text(json.dumps(document))
    older = Study.open(path)
    older.set_schema(older.schema.with_names(["kidney"], 3))
    with pytest.raises(InputError, match="kidney and Kid-ney"):
        older.set_schema(older.schema.with_names(["Kid-ney"], 4))
    assert [x.name for x in Study.open(path).schema.labels] == ["one", "One", "kidney", "background"]


def test_any_other_folder_is_no_study(tmp_path):
    with pytest.raises(StudyError, match="no study"):
        Study.open(tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("other.study", "other.study is a file; a study is a folder"),
        ("test.stuty", "test.stuty does not exist. Did you mean test.study?"),
        ("nowhere/a.study", "a.study does not exist. Create one"),
        ("test.study/cases.zarr/c1", "c1 is no study but lies in one: test.study is the study's folder"),
        (".", "test.study in it is one"),
    ],
)
def test_whoever_gives_another_path_is_told_which_study_it_may_be(tmp_path, given, told):
    assert study(tmp_path).path.name == "test.study"
    (tmp_path / "other.study").write_text("no folder")
    with pytest.raises(StudyError, match=re.escape(told)):
        Study.open(tmp_path / given)


def test_a_study_whose_folders_lead_elsewhere_is_not_opened(tmp_path):
    made = study(tmp_path)
    (made.path / "models").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (made.path / "models").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StudyError, match="leads out"):
        Study.open(made.path)


def test_empty_folders_lost_in_a_copy_come_back(tmp_path):
    made = study(tmp_path)
    (made.path / "runs").rmdir()
    assert Study.open(made.path).runs.ids() == ()


def test_the_document_is_for_people_too(tmp_path):
    document = json.loads((study(tmp_path).path / "study.json").read_text())
    assert document["apprentice_study"] == 1
    assert document["labels"][0]["name"] == "one"


def test_a_study_that_can_only_be_read_opens_without_its_empty_folders(tmp_path, monkeypatch):
    made = study(tmp_path)
    for name in ("journal", "models", "runs"):
        (made.path / name).rmdir()

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "injected")

    monkeypatch.setattr(Path, "mkdir", refuse)
    opened = Study.open(made.path)
    assert opened.cases.ids() == ("c1",)
    assert opened.runs.ids() == opened.models.names() == ()
    assert finish(check(made.path)) == ()
    with pytest.raises(StorageError):
        opened.runs.create("train", {})


@contextmanager
def _closed(folder: Path) -> Iterator[None]:
    """A folder that the account may not look into; a test that root runs becomes nobody for as long."""
    folder.chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        folder.chmod(0o700)


@pytest.mark.skipif(os.name == "nt", reason="modes are for POSIX")
def test_what_this_account_may_not_read_is_a_sentence(tmp_path: Path) -> None:
    made = study(tmp_path)
    with _closed(made.path), pytest.raises(StorageError, match="This account may not read"):
        Study.open(made.path)
    with _closed(made.path), pytest.raises(StorageError, match=r"This account may not read.*c1/image"):
        refuse_links(made.cases.root, made.cases.root / "c1" / "image")
