"""Encrypted studies in the window: the check box, the question for the key."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from driving import Person
from keyring.backends.fail import Keyring as NoKeyring
from pytestqt.qtbot import QtBot

from memory_keyring import MemoryKeyring
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.gui.key_dialog import KeyDialog
from napari_apprentice.gui.new_study_dialog import NewStudyDialog
from napari_apprentice.gui.schema_table import NAME
from napari_apprentice.store.encryption import key_of
from napari_apprentice.store.keys import VARIABLE, new_key, to_text
from napari_apprentice.store.study import Study


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    monkeypatch.delenv(VARIABLE, raising=False)
    before, ring = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_without_a_place_for_the_key_the_dialog_stays(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = NewStudyDialog()
    qtbot.addWidget(dialog)
    dialog.folder.setText(str(tmp_path))
    dialog.labels.table.item(0, NAME).setText("heart")
    keyring.set_keyring(NoKeyring())
    dialog.encrypt.click()
    dialog.make.click()
    assert dialog.result() == 0
    assert "set the environment variable APPRENTICE_KEY" in dialog.problem.text()
    keyring.set_keyring(MemoryKeyring())
    dialog.make.click()
    assert (dialog.result(), dialog.encrypted()) == (1, True)


def test_what_is_no_key_is_told_in_the_dialog(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = KeyDialog(tmp_path / "a.study")
    qtbot.addWidget(dialog)
    dialog.line.setText("letmein")
    dialog.unlock.click()
    assert (dialog.result(), dialog.problem.text()[:22]) == (0, "What was given is no k")
    key = new_key()
    dialog.line.setText(f" {to_text(key)} ")
    dialog.unlock.click()
    assert (dialog.result(), dialog.key()) == (1, key)


@pytest.mark.window
def test_a_study_from_a_colleague_asks_for_its_key(person: Person, tmp_path: Path, ring: MemoryKeyring) -> None:
    made = Study.create(tmp_path / "a.study", LabelSchema.from_names(["one"]), "Secret", encrypted=True)
    key, studies = key_of(made.path), person.desk.studies
    ring.kept.clear()
    person.dock.study_panel.open_requested.emit(made.path)
    assert studies.asking is not None
    assert not person.desk.session.has_study
    studies.asking.line.setText(to_text(new_key()))
    studies.asking.unlock.click()
    person.settle()
    assert person.complaints == ["The key that was given is not the key of a.study. Nothing was changed."]
    person.dock.study_panel.open_requested.emit(made.path)
    studies.asking.line.setText(to_text(key))
    studies.asking.unlock.click()
    person.settle()
    assert person.desk.session.study.title == "Secret"
    assert list(ring.kept.values()) == [to_text(key)]  # and it is not asked for again
