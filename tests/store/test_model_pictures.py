"""Pictures of a model version come back as they were stored, in an encrypted study too."""

from dataclasses import replace
from pathlib import Path

import pytest

from builders import study as small_study
from faults import finish, sentences
from learn.small import make_plan
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.errors import ModelError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.keys import VARIABLE, new_key, to_text
from napari_apprentice.store.study import Study

PNG = b"\x89PNG a picture of c1/r0001"


def _with_picture(study: Study, folder: Path) -> ModelVersion:
    (folder / "w").write_bytes(b"w")
    version = ModelVersion("v0001", None, "now", make_plan(), study.schema, (), (), None, {}, 0, {}, "")
    shown = {"best.png": {"revision": "c1/r0001", "z": 3, "change": 0.1}}
    return study.models.register(replace(version, pictures=shown), folder / "w", {"best.png": PNG})


def test_a_picture_comes_back_and_a_changed_one_is_told(tmp_path: Path) -> None:
    study = small_study(tmp_path, 0)
    version = _with_picture(study, tmp_path)
    assert study.models.info("v0001").pictures == version.pictures
    assert version.pictures["best.png"]["z"] == 3
    assert study.models.picture("v0001", "best.png") == PNG
    for name in ("worst.png", "../w"):
        with pytest.raises(ModelError, match="has no picture"):
            study.models.picture("v0001", name)
    assert finish(check(study.path)) == ()
    (study.models.root / "v0001" / "best.png").write_bytes(b"other")
    assert sentences(check(study.path)) == ("Model version v0001: its picture best.png is not what was stored.",)


def test_in_an_encrypted_study_nothing_of_it_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, to_text(new_key()))
    study = Study.create(tmp_path / "x.study", LabelSchema.from_names(["one"]), encrypted=True)
    _with_picture(study, tmp_path)
    stored = study.models.root / "v0001" / "best.png"
    assert PNG not in stored.read_bytes()
    assert study.models.picture("v0001", "best.png") == PNG
    study.models.note("v0001", "of Mr. Smith", "ann")
    assert b"Smith" not in study.models.note_ledger.path.read_bytes()
    assert study.models.notes()["v0001"].text == "of Mr. Smith"
    assert finish(check(study.path)) == ()
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    with pytest.raises(StudyError, match="is damaged"):
        study.models.picture("v0001", "best.png")


def test_documents_of_earlier_versions_have_no_pictures_and_no_metrics(tmp_path: Path) -> None:
    study = small_study(tmp_path, 0)
    old = {k: v for k, v in _with_picture(study, tmp_path).to_json().items() if k not in ("pictures", "metrics")}
    assert ModelVersion.from_json(old).pictures == ModelVersion.from_json(old).metrics == {}
