import errno
import os

import pytest
import zarr
from zarr.storage import LocalStore

from faults import fail_from
from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.store.files import append_durably, aside_of, commit_folder, storage_errors, write_durably


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "cannot be written to"),
        (errno.EACCES, "may not read or change"),
        (errno.ENOENT, "cannot be reached"),
        (errno.EINVAL, "could not be stored or read"),
    ],
)
def test_each_failure_is_a_sentence(code, words):
    with pytest.raises(StorageError, match=words) as caught, storage_errors("the revision of case a"):
        raise OSError(code, "x")
    assert "revision of case a" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_pass():
    with pytest.raises(InputError), storage_errors("x"):
        raise InputError("no")


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_durably(path, b"old")
    fail_from(monkeypatch, "os.fsync", 0)
    with pytest.raises(StorageError):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_append_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    append_durably(path, b"one\n")
    fail_from(monkeypatch, "os.fsync", 0)
    with pytest.raises(StorageError):
        append_durably(path, b"two\n")
    assert path.read_bytes() == b"one\n"


def test_a_folder_is_never_committed_over_another(tmp_path):
    final = tmp_path / "r0001"
    for text in ("first", "second"):
        aside = aside_of(final)
        aside.mkdir()
        (aside / "f").write_text(text)
        assert commit_folder(aside, final) == (text == "first")
    assert (final / "f").read_text() == "first"


def test_what_a_killed_writer_left_is_removed_after_a_day(tmp_path):
    old, fresh, finished = (aside_of(tmp_path / n) for n in ("old", "fresh", "done"))
    for folder in (old, fresh, finished):
        folder.mkdir()
        (folder / "half").write_text("x")
    os.utime(old, (0, 0))
    assert commit_folder(finished, tmp_path / "done")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([fresh.name, "done"])


def test_an_array_that_was_deleted_is_told_without_its_address(tmp_path):
    with pytest.raises(StorageError) as told, storage_errors("the prediction of case a1"):
        zarr.open_group(LocalStore(tmp_path / "gone"), mode="r")
    assert str(told.value).startswith("The prediction of case a1 is not there any more")
    assert str(tmp_path) not in str(told.value)
