"""apprentice create --encrypt and apprentice key."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from memory_keyring import MemoryKeyring
from napari_apprentice.cli import main
from napari_apprentice.store.keys import VARIABLE, from_text


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    monkeypatch.delenv(VARIABLE, raising=False)
    before, ring = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = main([*map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **facts}


def _answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_key_is_shown_handed_on_and_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.study"
    assert main(["create", str(path), "--labels", "one", "--encrypt"]) == 0
    assert "Without its key it is lost" in capsys.readouterr().out
    key = _run(capsys, "key", path, "--show")["key"]
    assert _run(capsys, "check", path)["problems"] == []
    ring.kept.clear()  # as on a colleague's computer
    assert "its key is not on this computer" in _run(capsys, "check", path)["problems"][0]
    assert _run(capsys, "key", path, "--show")["error"] == "LockedError"
    for text, told in (
        ("", "No key was given"),
        ("nonsense", "is no key"),
        (from_text(key, "")[::-1].hex(), "not the"),
    ):
        _answer(monkeypatch, text)
        assert told in _run(capsys, "key", path, "--store")["text"]
        assert ring.kept == {}
    _answer(monkeypatch, f"{key}\n")
    assert _run(capsys, "key", path, "--store")["kept"]
    assert _run(capsys, "check", path) == {"code": 0, "problems": []}
    ring.kept.clear()
    monkeypatch.setenv(VARIABLE, key)
    assert _run(capsys, "key", path, "--store")["kept"]
    assert list(ring.kept.values()) == [key]


def test_a_key_from_the_environment_is_made_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.set_keyring(NoKeyring())
    create = ("create", tmp_path / "a.study", "--labels", "one", "--encrypt")
    assert "apprentice key --new" in _run(capsys, *create)["text"]
    assert not (tmp_path / "a.study").exists()
    key = _run(capsys, "key", "--new")["key"]
    monkeypatch.setenv(VARIABLE, key)
    assert _run(capsys, *create)["encrypted"]
    assert _run(capsys, "key", tmp_path / "a.study", "--show")["key"] == key
    assert "no keyring that keeps" in _run(capsys, "key", tmp_path / "a.study", "--store")["text"]


def test_what_has_no_key_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not _run(capsys, "create", tmp_path / "a.study", "--labels", "one")["encrypted"]
    assert "is not encrypted" in _run(capsys, "key", tmp_path / "a.study", "--show")["text"]
    assert "Name the study" in _run(capsys, "key", "--show")["text"]
    assert main(["key", str(tmp_path / "a.study")]) == 2
