"""Where a study's key is kept, and what is told where it is not."""

import sys

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as ForgetfulKeyring

from memory_keyring import MemoryKeyring
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import InputError, LockedError, StudyError
from napari_apprentice.store.encryption import keep_key, key_of
from napari_apprentice.store.keys import VARIABLE, from_environment, from_keyring, from_text, new_key, to_text
from napari_apprentice.store.study import Study

SCHEMA = LabelSchema.from_names(["one"])


@pytest.fixture(autouse=True)
def ring(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    before, ring = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def _made(path):
    return Study.create(path, SCHEMA, "Titled", encrypted=True)


def _tree(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} | {p: b"" for p in path.rglob("*") if p.is_dir()}


@given(st.binary(min_size=32, max_size=32))
def test_a_key_as_text_comes_back(key):
    forms = [to_text(key), key.hex(), f" {to_text(key)}\n", to_text(key).rstrip("=")]
    forms.append(to_text(key).replace("+", "-").replace("/", "_"))
    assert [from_text(form, "It") for form in forms] == [key] * len(forms)


@pytest.mark.parametrize("text", ["", "a", "0" * 63, "ä" * 44, to_text(b"short"), "z" * 64])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(InputError, match=r"^It is no key: a key is 32 bytes"):
        from_text(text, "It")


def test_a_new_study_has_a_key_of_its_own_in_the_keyring(tmp_path, ring):
    one, two = _made(tmp_path / "one.study"), _made(tmp_path / "two.study")
    assert len(set(ring.kept.values())) == 2
    assert {service for service, _ in ring.kept} == {"napari-apprentice"}
    for study in (one, two):
        again = Study.open(study.path)
        assert (again.encrypted, again.title, again.schema) == (True, "Titled", SCHEMA)


def test_the_environment_goes_before_the_keyring(tmp_path, monkeypatch, ring):
    key = new_key()
    monkeypatch.setenv(VARIABLE, key.hex())
    study = _made(tmp_path / "a.study")
    assert ring.kept == {}
    assert key_of(study.path) == key == from_environment()
    monkeypatch.setenv(VARIABLE, to_text(new_key()))
    with pytest.raises(LockedError, match="The key in the environment variable APPRENTICE_KEY is another study's"):
        Study.open(study.path)
    keep_key(study.path, key)  # the keyring's is taken where the environment's is another's
    assert Study.open(study.path).title == "Titled"


def test_without_the_key_nothing_is_read_or_changed(tmp_path, ring):
    path = _made(tmp_path / "a.study").path
    (path / "runs").rmdir()  # an open study makes lost folders anew
    before = _tree(path)
    ring.kept.clear()
    with pytest.raises(
        LockedError, match=r"^a\.study is encrypted, and its key is not on this computer\. Set the"
    ) as told:
        Study.open(path)
    assert "apprentice key a.study --store" in str(told.value)
    assert _tree(path) == before


def test_a_wrong_key_is_told_as_that_and_altered_bytes_as_those(tmp_path):
    study = _made(tmp_path / "a.study")
    for wrong in (lambda: Study.open(study.path, new_key()), lambda: keep_key(study.path, new_key())):
        with pytest.raises(LockedError, match=r"^The key that was given is not the key of a\.study"):
            wrong()
    document = study.path / "study.json"
    text = document.read_text()
    place = text.index('"encrypted"') + 60
    document.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])
    with pytest.raises(StudyError, match=r"^study\.json is damaged: its bytes were altered") as told:
        Study.open(study.path)
    assert not isinstance(told.value, LockedError)


def test_a_key_that_a_person_gives_is_enough(tmp_path, ring):
    study = _made(tmp_path / "a.study")
    key = key_of(study.path)
    ring.kept.clear()
    assert Study.open(study.path, key).title == "Titled"


@pytest.mark.parametrize("backend", [NoKeyring, ForgetfulKeyring])
def test_without_a_keyring_nothing_is_made_and_it_is_said_what_to_do(tmp_path, backend):
    keyring.set_keyring(backend())
    with pytest.raises(InputError, match=r"no keyring that keeps .* set the environment variable APPRENTICE_KEY"):
        _made(tmp_path / "a.study")
    assert list(tmp_path.iterdir()) == []
    assert from_keyring("id") is None


def test_no_key_is_left_in_the_keyring_when_a_study_cannot_be_made(tmp_path, ring):
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="study"):
        _made(tmp_path / "file" / "a.study")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "it").write_text("")
    with pytest.raises(InputError, match="not empty"):
        _made(tmp_path / "full")
    assert ring.kept == {}


def test_without_the_packages_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(InputError, match=r'keyring, which is not installed: pip install "napari-apprentice\[encrypt'):
        _made(tmp_path / "a.study")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(VARIABLE, to_text(new_key()))
    assert _made(tmp_path / "a.study").encrypted  # with the key in the environment it is not needed


def test_a_spoilt_variable_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "letmein")
    with pytest.raises(InputError, match="environment variable APPRENTICE_KEY is no key"):
        _made(tmp_path / "a.study")


def test_the_labels_are_changed_in_secret_and_a_plain_study_has_no_key(tmp_path):
    study = _made(tmp_path / "a.study")
    study.set_schema(LabelSchema.from_names(["one", "meningioma"]))
    assert Study.open(study.path).schema.ids == (1, 2)
    assert (Study.open(study.path).title, "meningioma" in (study.path / "study.json").read_text()) == ("Titled", False)
    plain = Study.create(tmp_path / "b.study", SCHEMA)
    assert not plain.encrypted
    with pytest.raises(StudyError, match="is not encrypted; it needs no key"):
        key_of(plain.path)


def test_an_encryption_of_later_days_is_refused(tmp_path):
    path = _made(tmp_path / "a.study").path
    document = path / "study.json"
    document.write_text(document.read_text().replace("AES-256-GCM", "AES-512"))
    with pytest.raises(StudyError, match="in a way that this version of Apprentice does not know"):
        Study.open(path)
