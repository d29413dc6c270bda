import errno
import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from builders import study
from faults import fail_from, finish, sentences
from napari_apprentice.core.gate import GateReport, GateRow
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.errors import InputError, ModelError, StorageError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

ONES = (1, 1, 1)


def _version(name: str, parent: str | None = None) -> ModelVersion:
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), (ONES,), ((3, 3, 3),), (4,), 2, (Normalisation("zscore"),), (1,))
    gate = GateReport((GateRow(1, False, 0.5, 0.75, 2),), True, "better") if parent else None
    schema = LabelSchema.from_names(["one"])
    return ModelVersion(
        name, parent, "now", plan, schema, ("c1/r0001",), ("c2/r0001",), gate, {"steps": 3}, 7, {"numpy": "2"}, ""
    )


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "trained.safetensors"
    path.write_bytes(b"weights" * 100)
    return path


def test_a_version_comes_back_with_its_digest(tmp_path, weights):
    models = study(tmp_path, 0).models
    stored = models.register(_version("v0001", "starter"), weights)
    assert stored.weights_digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert models.info("v0001") == stored
    assert models.weights("v0001").read_bytes() == weights.read_bytes()
    assert weights.exists()


def test_a_temperature_is_kept_and_is_1_where_none_was_stored(tmp_path, weights):
    models = study(tmp_path, 0).models
    models.register(replace(_version("v0001"), temperature=1.5), weights)
    assert models.info("v0001").temperature == 1.5
    older = {k: v for k, v in _version("v0002").to_json().items() if k != "temperature"}
    assert ModelVersion.from_json(older).temperature == 1.0


def test_names_go_on(tmp_path, weights):
    models = study(tmp_path, 0).models
    assert models.next_name() == "v0001"
    for name in ("starter", "v0001", "v0007", "vision"):
        models.register(_version(name), weights)
    assert models.next_name() == "v0008"
    assert models.names() == ("starter", "v0001", "v0007", "vision")
    with pytest.raises(InputError, match="exists already"):
        models.register(_version("v0007"), weights)


def test_a_number_that_somebody_took_meanwhile_is_not_taken_again(tmp_path, weights):
    models = study(tmp_path, 0).models
    mine = _version(models.next_name())
    theirs = models.register(replace(mine, note="theirs"), weights)
    assert models.register_as_next(replace(mine, note="mine"), weights).name == "v0002"
    assert models.info("v0001") == theirs
    assert models.info("v0002").note == "mine"
    with pytest.raises(InputError, match="cannot be a picture"):
        models.register_as_next(mine, weights, {"../a": b""})


def test_the_last_activation_wins_and_all_are_kept(tmp_path, weights):
    models = study(tmp_path, 0).models
    assert models.active() is None
    for name in ("v0001", "v0002"):
        models.register(_version(name), weights)
    for name in ("v0001", "v0002", "v0001"):
        models.activate(name, f"because {name}")
    assert models.active() == "v0001"
    assert [a.name for a in models.activations()] == ["v0001", "v0002", "v0001"]
    assert models.activations()[1].reason == "because v0002"


def test_of_two_who_turn_the_switch_at_once_the_first_counts(tmp_path, weights, monkeypatch):
    made = study(tmp_path, 0)
    slow, quick = made.models, Study.open(made.path).models
    for name in ("v0001", "v0002", "v0003"):
        slow.register(_version(name), weights)
    assert slow.activate_in_place_of(None, "v0001", "first")
    assert not slow.activate_in_place_of(None, "v0003", "first")
    append = slow.ledger.append

    def late(record):
        quick.activate("v0002", "by hand")
        append(record)

    monkeypatch.setattr(slow.ledger, "append", late)
    assert not slow.activate_in_place_of("v0001", "v0003", "passed the gate")
    assert [a.name for a in slow.activations()] == ["v0001", "v0002"]


def test_an_imported_version_has_no_pictures_of_the_study_it_came_from(tmp_path, weights):
    made = study(tmp_path, 3)
    told = {"best.png": {"revision": "c1/r0001", "digest": "0" * 64}}  # as imports were stored once
    version = _version("v0001")
    made.models.register(replace(version, revisions=(), held_out=(), origin={"library": "x"}, pictures=told), weights)
    assert made.models.info("v0001").pictures == {}
    assert finish(check(made.path)) == ()


def test_the_base_is_the_oldest_ancestor(tmp_path, weights):
    models = study(tmp_path, 0).models
    for name, parent in (("starter", None), ("v0001", "starter"), ("v0002", "v0001"), ("v0003", "gone")):
        models.register(_version(name, parent), weights)
    assert [models.base_of(n) for n in models.names()] == ["starter", "starter", "starter", "v0003"]


@pytest.mark.parametrize("name", ["v0009", "..", ""])
def test_an_unknown_version_is_told(tmp_path, name):
    models = study(tmp_path, 0).models
    for verb in (models.info, models.weights, models.base_of, lambda n: models.activate(n, "x")):
        with pytest.raises(ModelError):
            verb(name)


def test_damage_is_told(tmp_path, weights):
    made = study(tmp_path, 0)
    made.models.register(_version("v0001"), weights)
    made.models.weights("v0001").write_bytes(b"other")
    told = sentences(check(made.path))
    assert [line for line in told if "v0001" in line and "damaged" in line]
    assert [line for line in told if "Case c1 is missing" in line]
    made.models.weights("v0001").unlink()
    with pytest.raises(ModelError, match="missing"):
        made.models.weights("v0001")
    for damaged in ("{}", "{"):
        (made.path / "models" / "v0001" / "model.json").write_text(damaged)
        with pytest.raises(StudyError, match=r"is damaged: .* Put models/v0001 back from a copy\. Without"):
            made.models.info("v0001")


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_a_document_that_the_disk_does_not_give_is_named_and_keeps_nobody_from_the_others(
    tmp_path, weights, monkeypatch, code
):
    made = study(tmp_path, 3)
    for name, learned in (("v0001", "c9/r0001"), ("v0002", "c1/r0001")):
        made.models.register(replace(_version(name), revisions=(learned,)), weights)
    _withhold(monkeypatch, made.path / "models" / "v0002" / "model.json", code)
    told = rf"models/v0002/model.json cannot be read \({os.strerror(code)}\)"
    with pytest.raises(StudyError, match=told):
        made.models.info("v0002")
    assert [version.name for version in made.models.readable()] == ["v0001"]
    faults = sentences(check(made.path))
    assert [line for line in faults if re.search(told, line)]
    assert [line for line in faults if "Case c9 is missing" in line], "what v0001 learned from is still compared"


def _withhold(patch, path, code):
    real = Path.read_bytes

    def read(asked):
        if asked == path:
            raise OSError(code, os.strerror(code), str(path))
        return real(asked)

    patch.setattr(Path, "read_bytes", read)


def test_a_full_disk_adds_nothing(tmp_path, weights, monkeypatch):
    made = study(tmp_path, 0)
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 1)
        with pytest.raises(StorageError):
            made.models.register(_version("v0001"), weights)
    assert made.models.names() == ()
    assert list(made.models.root.iterdir()) == []
