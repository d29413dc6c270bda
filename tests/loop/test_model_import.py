"""Models from elsewhere become model versions that predict and can be tuned, in processes of their own."""

import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import study as make_study
from faults import finish
from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.gate import GateReport, GateRow
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.records import ModelVersion, Provenance, now
from napari_apprentice.errors import ApprenticeError, InputError, ModelError
from napari_apprentice.learn import weights
from napari_apprentice.learn.network import build
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.loop import model_import
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.ensembles import settled
from napari_apprentice.loop.model_export import export_model
from napari_apprentice.loop.model_import import import_model
from napari_apprentice.loop.predicting import predict
from napari_apprentice.loop.tuning import begin_training, follow_training
from napari_apprentice.loop.worker import run_one
from napari_apprentice.loop.worker_import import import_weights
from napari_apprentice.store.check import check
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

sys.path.insert(0, str(Path(__file__).parents[1] / "learn"))
from bundles import config, metadata, trained, write
from nnunet_models import Stored
from small import make_plan

sys.path.pop(0)

GATE = GateReport((GateRow(1, False, 0.5, 0.75, 1),), True, "better")


def corrected(folder: Path, name: str = "") -> Study:
    """Three cases of three subjects, each with a block of label 1, all accepted."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    study = make_study(folder / name, cases=3)
    for i in (1, 2, 3):
        labels = np.zeros(study.cases.info(f"c{i}").shape, np.uint8)
        labels[2:5, 2:6, 2:7] = 1
        study.revisions.save(f"c{i}", labels, np.ones_like(labels), Provenance("ann"))
        study.split.assign(f"s{i}")
    return study


class Ended:
    """A process that is over."""

    def poll(self) -> int:
        return 0


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's work in this process: starting one takes seconds."""

    def start(run: RunFolder) -> Ended:
        run_one(run, import_weights)
        return Ended()

    monkeypatch.setattr(model_import, "start_training", start)


def predicted(study: Study, model: str) -> np.ndarray:
    version, info = study.models.info(model), study.cases.info("c1")
    predictor = Predictor(version.plan, study.models.weights(model), torch.device("cpu"))
    settings = PredictSettings(device="cpu", backend="torch")
    work = predictor.predict_array(study.cases.voxels("c1"), info.spacing, settings, lambda: False)
    found = finish(work)
    return np.stack([found.labels, found.uncertainty])


def names(study: Study) -> set[str]:
    return {str(p.relative_to(study.path)) for p in study.path.rglob("*")}


@pytest.mark.slow
def test_nnunet_is_imported_predicts_and_is_tuned(tmp_path: Path) -> None:
    study = corrected(tmp_path)
    folder = Stored("residual3d").write(tmp_path / "Dataset004_Small")
    report = finish(import_model(study, folder, ImportSettings()))
    assert (report.model, report.active, report.labels) == ("v0001", True, {"one": "one", "two": "two"})
    version = study.models.info("v0001")
    assert version.origin["library"] == "nnU-Net v2"
    assert version.origin["fold"] == "fold_0"
    assert version.plan.mirror_axes == (0, 1, 2)
    engine = Engine()
    try:
        finish(predict(study, engine, ["c1"], PredictSettings(device="cpu"), "v0001"))
    finally:
        engine.stop()
    assert study.predictions.read("c1", "v0001").labels.shape == study.cases.info("c1").shape
    tuned = finish(follow_training(begin_training(study, "fine-tune", TrainSettings(steps=1, device="cpu"))))
    assert study.models.info(tuned.model).parent == "v0001"
    assert study.models.info(tuned.model).plan == version.plan
    assert finish(check(study.path)) == ()
    assert not [n for n in names(study) if n.endswith((".pth", ".pt", ".pkl"))]


@pytest.mark.usefixtures("inside")
def test_several_folds_at_once_predict_together_at_best(tmp_path: Path) -> None:
    study, stored = corrected(tmp_path), Stored("residual3d")
    for n, fold in enumerate((0, 1, 2, "all")):
        folder = stored.write(tmp_path / "Dataset004_Small", fold=f"fold_{fold}")
        _train_on(folder / f"fold_{fold}" / "checkpoint_final.pth", n)
    report = finish(import_model(study, folder, ImportSettings(fold="each")))
    assert (report.model, report.folds) == ("v0001", ("v0001", "v0002", "v0003"))
    assert study.models.info("v0001").channels == ("FLAIR",)
    assert [study.models.info(name).origin["fold"] for name in report.folds] == ["fold_0", "fold_1", "fold_2"]
    two = finish(import_model(study, folder, ImportSettings(fold="1,all", name="mine")))
    assert two.folds == ("mine-fold_1", "mine-fold_all")
    best = settled(study, "v0002", PredictSettings(quality="best"))
    assert len(best.members) == 3  # each fold once, however often it was imported
    assert {study.models.info(name).origin["fold"] for name in best.members} == {"fold_0", "fold_2", "fold_all"}


def _train_on(checkpoint: Path, n: int) -> None:
    """Another fold has other weights."""
    told = torch.load(checkpoint, weights_only=False)
    first = next(iter(told["network_weights"]))
    told["network_weights"][first] = told["network_weights"][first] + n
    torch.save(told, checkpoint)


@pytest.mark.usefixtures("inside")
def test_folds_that_are_not_there_are_told_and_those_before_are_named(tmp_path: Path) -> None:
    study, stored = corrected(tmp_path), Stored("residual3d")
    for fold in (0, 1):
        folder = stored.write(tmp_path / "Dataset004_Small", fold=f"fold_{fold}")
    for asked, says in (("0,4", "looked at fold_4"), ("all", "every fold there is say each")):
        with pytest.raises(ModelError, match=says):
            finish(import_model(study, folder, ImportSettings(fold=asked)))
    assert study.models.names() == ()
    (folder / "fold_1" / "checkpoint_final.pth").write_text("nonsense")
    with pytest.raises(ModelError, match=r"checkpoint_final.pth.*Imported before that: v0001"):
        finish(import_model(study, folder, ImportSettings(fold="each")))


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("zipped", [False, True])
def test_a_bundle_is_imported_and_predicts(tmp_path: Path, zipped: bool) -> None:
    study = make_study(tmp_path)
    bundle = write(tmp_path / "spleen_bundle", config(roi=(16, 16, 8)), metadata(("Spleen",)), trained())
    if zipped:
        with zipfile.ZipFile(tmp_path / "spleen_bundle.zip", "w") as file:
            for path in bundle.rglob("*.*"):
                file.write(path, Path("spleen_bundle") / path.relative_to(bundle))
        shutil.rmtree(bundle)
        bundle = tmp_path / "spleen_bundle.zip"
    report = finish(import_model(study, bundle, ImportSettings(labels="Spleen=two", name="spleen")))
    assert (report.model, report.labels) == ("spleen", {"Spleen": "two"})
    assert study.models.info("spleen").plan.labels == (2,)
    assert set(np.unique(predicted(study, "spleen")[0])) <= {0, 2}
    assert not [n for n in names(study) if n.endswith((".pth", ".pt"))]


def taught(study: Study) -> str:
    """A model version with a parent that learned from c1 and c2 and was measured on c3."""
    plan = make_plan(patch=(16, 12, 12))
    names = ("v0001", "v0002")
    for name, parent, gate in zip(names, (None, "v0001"), (None, GATE), strict=True):
        weights.save(build(plan), study.path.parent / "w.safetensors")
        version = ModelVersion(
            name, parent, now(), plan, study.schema, ("c1/r0001", "c2/r0001"), ("c3/r0001",), gate,
            {"steps": 3}, 0, {"napari-apprentice": "0.1.0"}, "",
        )  # fmt: skip
        shown = {"best.png": {"revision": "c3/r0001"}} if gate else {}
        pictures = dict.fromkeys(shown, b"PNG")
        study.models.register(replace(version, pictures=shown), study.path.parent / "w.safetensors", pictures)
    study.models.activate("v0002", "test")
    return "v0002"


def test_from_another_study_and_from_an_export_to_the_bit(tmp_path: Path) -> None:
    first = corrected(tmp_path, "first")
    name = taught(first)
    expected = predicted(first, name)
    assert len(np.unique(expected)) > 1
    exported = export_model(first, name, tmp_path / "handed on")
    for source, settings in ((first.path, ImportSettings(version=name)), (exported, ImportSettings())):
        (tmp_path / "to" / source.name).mkdir(parents=True)
        study = make_study(tmp_path / "to" / source.name)
        report = finish(import_model(study, source, settings))
        assert report.active
        assert np.array_equal(predicted(study, report.model), expected)
        version, before = study.models.info(report.model), first.models.info(name)
        assert version.weights_digest == before.weights_digest
        assert (version.parent, version.revisions, version.held_out) == (None, (), ())
        assert "c3/" not in (study.models.root / report.model / "model.json").read_text()
        assert [a["name"] for a in version.origin["lineage"]] == [name, "v0001"]
        assert finish(check(study.path)) == ()


def test_an_export_tells_what_matters_and_no_names(tmp_path: Path) -> None:
    study = corrected(tmp_path)
    out = export_model(study, taught(study), tmp_path / "out")
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "model.json", "weights.safetensors"]
    card, document = (out / "README.md").read_text(), (out / "model.json").read_text()
    for part in (
        "2 corrected scans of 2 subjects; 1 scan of 1 other subject was held out", "1 one, 2 two", "(MR)",
        "| one | corrections | 1 | 0.500 | 0.750 |", "passed the gate: better", "## Limits", "## Licence",
        "import-model", "from v0001", study.models.info("v0002").weights_digest[:16],
    ):  # fmt: skip
        assert part in card
    for private in (r"\bc[123]\b", r"\bs[123]\b", "nii", "r0001", r"\bann\b"):
        assert not re.search(private, card + document), private


@pytest.mark.usefixtures("inside")
def test_labels_are_matched_by_name_or_said(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    folder = Stored("plain3d").write(tmp_path / "x")  # liver and tumour
    with pytest.raises(InputError, match=r"knows liver, tumour, which this study does not have \(it has one, two\)"):
        finish(import_model(study, folder, ImportSettings()))
    with pytest.raises(InputError, match="no label 'kidney'"):
        finish(import_model(study, folder, ImportSettings(labels="kidney=one")))
    with pytest.raises(InputError, match="THEIRS=OURS"):
        finish(import_model(study, folder, ImportSettings(labels="liver")))
    with pytest.raises(InputError, match="same here"):
        finish(import_model(study, folder, ImportSettings(labels="liver=one,tumour=one")))
    assert study.models.names() == ()
    report = finish(import_model(study, folder, ImportSettings(labels="tumour=two", add_labels=True)))
    assert report.labels == {"liver": "liver", "tumour": "two"}
    assert [x.name for x in study.schema.labels] == ["one", "two", "liver"]
    assert study.models.info(report.model).plan.labels == (3, 2)


@pytest.mark.usefixtures("inside")
def test_a_model_does_not_take_the_place_of_the_active_one(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    folder = Stored("residual3d").write(tmp_path / "x")
    assert finish(import_model(study, folder, ImportSettings())).active
    second = finish(import_model(study, folder, ImportSettings(name="other")))
    assert (second.active, study.models.active()) == (False, "v0001")
    with pytest.raises(InputError, match="exists already"):
        finish(import_model(study, folder, ImportSettings(name="other")))


def _spoiled(folder: Path, name: str, text: str | None) -> Path:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    return folder


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("plans.json", "{", "plans.json is damaged"),
        ("plans.json", "[]", "holds no JSON object"),
        ("plans.json", '{"configurations": 3}', "lacks configurations"),
        ("dataset.json", None, "has no dataset.json"),
        ("fold_0/checkpoint_final.pth", None, "no checkpoint_final.pth or checkpoint_best.pth"),
        ("fold_0/checkpoint_final.pth", "nonsense", "checkpoint_final.pth"),
    ],
)
def test_malformed_folders_are_told_in_a_sentence(tmp_path: Path, name: str, text: str | None, says: str) -> None:
    study = make_study(tmp_path)
    folder = _spoiled(Stored("residual3d").write(tmp_path / "x"), name, text)
    with pytest.raises(ModelError, match=says):
        finish(import_model(study, folder, ImportSettings()))
    assert study.models.names() == ()


@pytest.mark.usefixtures("inside")
def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    for source in ("empty", "file.txt", "gone"):
        with pytest.raises(InputError, match=r"no model that can be imported|is not there"):
            finish(import_model(study, tmp_path / source, ImportSettings()))
    stored = Stored("residual3d")
    stored.write(tmp_path / "two")
    shutil.copytree(stored.write(tmp_path / "two"), tmp_path / "two" / "other__x__3d_fullres")
    with pytest.raises(InputError, match="several models"):
        finish(import_model(study, tmp_path / "two", ImportSettings()))
    with pytest.raises(ModelError, match="looked at fold_3"):
        finish(import_model(study, stored.write(tmp_path / "x"), ImportSettings(fold="3")))
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    with pytest.raises(ModelError, match="YAML"):
        finish(import_model(study, bundle, ImportSettings()))
    (bundle / "configs" / "inference.json").write_text(json.dumps(config()))
    with pytest.raises(ModelError, match=r"no configs/metadata\.json"):
        finish(import_model(study, bundle, ImportSettings()))
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata()))
    (bundle / "models").mkdir()
    (bundle / "models" / "model.ts").write_bytes(b"x")
    with pytest.raises(ModelError, match="TorchScript"):
        finish(import_model(study, bundle, ImportSettings()))


@pytest.mark.usefixtures("inside")
def test_damaged_exports_are_told(tmp_path: Path) -> None:
    source, study = make_study(tmp_path / "a"), make_study(tmp_path / "b")
    finish(import_model(source, Stored("residual3d").write(tmp_path / "x"), ImportSettings()))
    for number, (spoil, says) in enumerate(
        (
            (lambda f: (f / "weights.safetensors").write_bytes(b"x"), "not what was registered"),
            (lambda f: (f / "model.json").write_text("{"), "damaged"),
            (lambda f: (f / "model.json").write_text("{}"), "not made by export-model"),
            (lambda f: _edit(f, format_version=9), "later version"),
            (lambda f: _edit(f, plan={}), "incomplete"),
        )
    ):
        folder = export_model(source, "v0001", tmp_path / f"out{number}")
        spoil(folder)
        with pytest.raises(ModelError, match=says):
            finish(import_model(study, folder, ImportSettings()))
    with pytest.raises(InputError, match="not empty"):
        export_model(source, "v0001", tmp_path / "out0")
    source.models.weights("v0001").write_bytes(b"x")
    with pytest.raises(ApprenticeError, match="damaged"):
        export_model(source, "v0001", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
