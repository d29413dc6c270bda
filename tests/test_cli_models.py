"""import-model and export-model on the command line."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from builders import study as make_study
from napari_apprentice.cli import main
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import StorageError
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study
from sound_study import sound_study


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = main([*map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **facts}


def test_a_model_goes_out_and_comes_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = sound_study(tmp_path / "a.study"), tmp_path / "handed on"
    assert _run(capsys, "export-model", source, "v0001", out)["written"] == str(out)
    assert _run(capsys, "export-model", source, "v0001", out)["code"] == 1  # never over something
    target = make_study(tmp_path).path
    facts = _run(capsys, "import-model", target, "--from", out)
    assert (facts["code"], facts["model"], facts["active"]) == (0, "v0001", True)
    assert main(["import-model", str(target), "--from", str(source), "--version", "v0001", "--name", "other"]) == 0
    assert f"apprentice models {target} --activate other" in capsys.readouterr().out
    assert Study.open(target).models.info("other").origin["library"] == "Apprentice study"
    assert main(["check", str(target)]) == 0


def test_labels_are_said_or_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = sound_study(tmp_path / "a.study")
    target = Study.create(tmp_path / "b.study", LabelSchema.from_names(["eins", "zwei"]))
    facts = _run(capsys, "import-model", target.path, "--from", source)
    assert (facts["code"], facts["error"]) == (1, "InputError")
    assert "which this study does not have" in facts["text"]
    facts = _run(capsys, "import-model", target.path, "--from", source, "--labels", "one=zwei")
    assert facts["labels"] == {"one": "zwei"}
    assert Study.open(target.path).models.info(facts["model"]).plan.labels == (2,)
    facts = _run(capsys, "import-model", target.path, "--from", source, "--add-labels")
    assert facts["labels"] == {"one": "one"}
    assert [x.name for x in Study.open(target.path).schema.labels] == ["eins", "zwei", "one"]


@pytest.mark.parametrize("flag", ["--activate", "--refuse", "--show"])
def test_an_empty_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    facts = _run(capsys, "models", sound_study(tmp_path / "a.study"), flag, "", "--why", "a script lost its variable")
    assert (facts["code"], facts["error"]) in ((1, "ModelError"), (1, "InputError"))


def test_what_is_no_model_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = make_study(tmp_path).path
    facts = _run(capsys, "import-model", target, "--from", tmp_path)
    assert (facts["code"], facts["error"]) == (1, "InputError")
    assert "model folder of nnU-Net v2" in facts["text"]
    facts = _run(capsys, "import-model", target, "--from", tmp_path, "--orientation", "up")
    assert "no orientation" in facts["text"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are for POSIX")
def test_a_disk_that_is_full_leaves_no_half_model_behind(tmp_path: Path) -> None:
    import resource

    study, out = sound_study(tmp_path / "a.study"), tmp_path / "out"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    session = Session()
    session.open_study(study)
    empty = tmp_path / "empty"
    empty.mkdir()
    for room, place in ((200, out), (1000, out), (1000, empty)):  # the weights do not fit; the description does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
        try:
            with pytest.raises(StorageError, match="The disk is full"):
                session.export_model("v0001", place)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.study", "empty"]
        assert not any(empty.iterdir())
    session.close()
    assert main(["export-model", str(study), "v0001", str(out)]) == 0


def test_one_scan_is_not_told_as_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = sound_study(tmp_path / "a.study")
    assert main(["export-model", str(study), "v0001", str(tmp_path / "out")]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "1 corrected scan of 1 subject; 1 scan of 1 other subject was held out" in card
    assert main(["models", str(study), "--show", "v0001"]) == 0
    assert "It learned from 1 corrected scan; 1 was held out." in capsys.readouterr().out
