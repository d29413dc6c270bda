"""Encryption of bytes and of zarr chunks: what was sealed comes back, and anything else is refused."""

import shutil
import sys

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.store.arrays import create_group, digest, open_array, read_array, write_array
from napari_apprentice.store.cipher import EXTRA_BYTES, Cipher, SealError, check_value
from napari_apprentice.store.vault import PLAIN, Vault

KEY = bytes(range(32))
VAULT = Vault(Cipher(KEY, "id"), "id").at("case-0001", "image", "0")
_SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)


@given(st.binary(max_size=3000), st.text(max_size=20))
def test_what_was_sealed_comes_back(data, place):
    vault = Vault(Cipher(KEY, "id"), place)
    sealed = vault.seal(data)
    assert (vault.open(sealed), len(sealed)) == (data, len(data) + EXTRA_BYTES)
    assert vault.seal(data) != sealed  # a fresh nonce each time


@given(st.binary(max_size=200), st.data())
def test_any_flipped_bit_is_refused(data, draw):
    sealed = bytearray(VAULT.seal(data))
    bit = draw.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError, match="altered"):
        VAULT.open(bytes(sealed))


@given(st.binary(max_size=200), st.data())
def test_what_was_cut_short_is_refused(data, draw):
    sealed = VAULT.seal(data)
    with pytest.raises(SealError):
        VAULT.open(sealed[: draw.draw(st.integers(0, len(sealed) - 1))])


@pytest.mark.parametrize(
    "other",
    [Vault(Cipher(KEY[::-1], "id"), VAULT.place), Vault(Cipher(KEY, "other"), VAULT.place), VAULT.at("more")],
    ids=["another key", "another study with the same key", "another place"],
)
def test_it_opens_only_with_its_key_in_its_study_at_its_place(other):
    with pytest.raises(SealError):
        other.open(VAULT.seal(b"voxels"))


def test_records_come_back_with_their_seal_and_nothing_of_them_shows():
    record = {"author": "Ada Lovelace", "voxels": {"1": 3}}
    closed = VAULT.close_record(record)
    assert "Ada" not in str(closed)
    assert {**record, "seal": VAULT.open_record(closed, "It")["seal"]} == VAULT.open_record(closed, "It")
    with pytest.raises(StudyError, match=r"^Case a is damaged: its bytes were altered or belong elsewhere\.$"):
        VAULT.at("b").open_record(closed, "Case a")
    for planted in (record, {}, {"encrypted": 3}, {"encrypted": "no base64!"}, {"encrypted": ""}):
        with pytest.raises(StudyError, match=r"^Case a is damaged: "):
            VAULT.open_record(planted, "Case a")


def test_the_key_shows_nowhere():
    vault = Vault(Cipher(KEY, "id"), "id", key=b"the key as bytes")
    assert "the key" not in repr(vault)
    assert KEY.hex()[:8] not in check_value(KEY, "id")
    assert check_value(KEY, "id") != check_value(KEY, "other")


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(InputError, match=r'pip install "napari-apprentice\[encryption\]"'):
        Cipher(KEY, "id")


@_SAME_FOLDER
@given(
    shape=st.tuples(*[st.integers(1, 80)] * 3),
    dtype=st.sampled_from(["uint8", "int16", ">i2", "float32", "bool"]),
    sharded=st.booleans(),
    seed=st.integers(0, 99),
)
def test_arrays_come_back(tmp_path_factory, shape, dtype, sharded, seed):
    folder = tmp_path_factory.mktemp("array")
    voxels = np.random.default_rng(seed).integers(0, 99, shape).astype(dtype)
    create_group(folder / "g", {})
    expected = write_array(folder / "g", "0", voxels, "zyx", sharded=sharded, vault=VAULT)
    found = read_array(folder / "g" / "0", VAULT)
    np.testing.assert_array_equal(found, voxels)
    assert digest(found) == expected
    shutil.rmtree(folder)


@pytest.fixture(params=[True, False], ids=["sharded", "chunks"])
def stored(request, tmp_path):
    create_group(tmp_path / "g", {})
    voxels = np.random.default_rng(1).integers(0, 4000, (2, 70, 130, 100)).astype(np.int16)
    write_array(tmp_path / "g", "0", voxels, "czyx", sharded=request.param, vault=VAULT)
    return tmp_path / "g" / "0", voxels


def test_a_flipped_bit_of_a_chunk_is_told_with_the_array(stored):
    path, _ = stored
    chunk = max((p for p in path.rglob("*") if p.is_file() and p.name != "zarr.json"), key=lambda p: p.stat().st_size)
    data = bytearray(chunk.read_bytes())
    data[1000] ^= 4
    chunk.write_bytes(bytes(data))
    with pytest.raises(StudyError, match=r"^The stored array g/0 is damaged: its bytes were altered"):
        read_array(path, VAULT)


def test_a_part_is_read_without_the_rest(stored, monkeypatch):
    path, voxels = stored
    array = open_array(path, VAULT)
    opened = []
    open_one = Cipher.open
    monkeypatch.setattr(Cipher, "open", lambda *args: opened.append(1) or open_one(*args))
    np.testing.assert_array_equal(array[0, 3:5, 70:80, 5:9], voxels[0, 3:5, 70:80, 5:9])
    assert len(opened) == 1  # of 24 chunks


def test_chunks_of_another_array_are_refused(stored, tmp_path):
    path, voxels = stored
    create_group(tmp_path / "h", {})
    write_array(tmp_path / "h", "0", voxels, "czyx", sharded=(path / "c/0/0/0/0").stat().st_size > 10**6, vault=VAULT)
    shutil.copy(tmp_path / "h/0/c/0/0/0/0", path / "c/0/0/0/0")
    with pytest.raises(StudyError, match="altered or belong elsewhere"):
        read_array(path, VAULT)


def test_plain_and_encrypted_arrays_are_not_taken_for_each_other(stored, tmp_path):
    path, voxels = stored
    with pytest.raises(StudyError, match="not one that this program writes"):
        read_array(path, PLAIN)
    write_array(tmp_path / "g", "plain", voxels, "czyx", sharded=False)
    with pytest.raises(StudyError, match="not one that this program writes"):
        read_array(tmp_path / "g" / "plain", VAULT)


def test_other_tools_say_that_they_do_not_know_it(stored):
    with pytest.raises(zarr.errors.UnknownCodecError, match="aes_gcm"):
        zarr.open_array(stored[0])
