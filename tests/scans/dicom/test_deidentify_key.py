import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from napari_apprentice.errors import StorageError
from napari_apprentice.scans.dicom.deidentify_key import NAME, private_key


def test_a_key_is_made_once_and_kept(tmp_path: Path):
    first = private_key(tmp_path / "user")
    assert len(first) == 32
    assert private_key(tmp_path / "user") == first
    assert private_key(tmp_path / "other") != first
    assert [p.name for p in (tmp_path / "user").iterdir()] == [NAME]


def test_by_default_it_lies_in_the_users_own_folder():
    private_key()
    assert Path(os.environ["APPRENTICE_HOME"], NAME).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_nobody_else_can_read_it(tmp_path: Path):
    private_key(tmp_path)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_processes_that_make_it_at_the_same_time_get_the_same(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: private_key(tmp_path), range(32)))) == 1


def test_a_damaged_key_is_not_replaced_silently(tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"short")
    with pytest.raises(StorageError, match="damaged"):
        private_key(tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"short"


def test_a_folder_that_cannot_hold_it_is_told(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="APPRENTICE_HOME"):
        private_key(tmp_path / "file" / "below")
