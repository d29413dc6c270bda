"""Training and prediction of an encrypted study, in processes that only the session tells the key."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import numpy as np
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from builders import volume
from faults import finish
from napari_apprentice.core.config import PredictSettings, first_model_settings
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import LockedError
from napari_apprentice.session import Session
from napari_apprentice.store.check import check
from napari_apprentice.store.documents import read_document
from napari_apprentice.store.encryption import vault_of
from napari_apprentice.store.keys import VARIABLE, new_key, to_text
from napari_apprentice.store.study import Study

LABEL = "Zirbeldruese"


@pytest.fixture
def key() -> Iterator[bytes]:
    """A key that neither the environment nor a keyring has once the study is made."""
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    made = new_key()
    yield made
    keyring.set_keyring(before)


def made(path: Path, key: bytes) -> Study:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, to_text(key))
        study = Study.create(path, LabelSchema.from_names([LABEL]), encrypted=True)
    for n in range(1, 4):
        study.cases.add(f"case-{n:04}", f"s{n}", volume(n))
        labels = np.zeros(study.cases.info(f"case-{n:04}").shape, np.uint8)
        labels[2:5, 2:6, 2:7] = 1
        study.revisions.save(f"case-{n:04}", labels, np.ones_like(labels), Provenance("ann"))
    return study


@pytest.mark.slow
def test_children_get_the_key_by_their_environment_alone(
    tmp_path: Path, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    path = made(tmp_path / "x.study", key).path
    with pytest.raises(LockedError):
        Study.open(path)
    calls: list[Any] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: calls.append(args) or start(*args, **more))
    session = Session("ann")
    try:
        session.open_study(path, key)
        run = session.begin_training("train", first_model_settings(2), memory_mb=20.0, features=4)
        assert finish(session.follow_training(run)).active
        assert finish(session.predict(["case-0001"], PredictSettings())) == ("case-0001",)
        assert session.study.predictions.has("case-0001", "v0001")
    finally:
        session.close()
    assert len(calls) == 2
    assert to_text(key) not in str(calls)
    everything = b"".join(p.read_bytes() for p in path.rglob("*") if p.is_file())
    for secret in (to_text(key).encode(), key, key.hex().encode(), LABEL.encode(), b"Traceback"):
        assert secret not in everything
    monkeypatch.setenv(VARIABLE, to_text(key))
    assert finish(check(path)) == ()
    assert vault_of(path, read_document(path / "study.json")).environment() == {}  # it has the key already
