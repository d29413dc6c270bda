"""Every layout that was ever released is read; a zip of one small study of each lies beside this file."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from builders import SHAPE, volume
from faults import finish
from napari_apprentice.store.check import check
from napari_apprentice.store.keys import VARIABLE
from napari_apprentice.store.repair import repair
from napari_apprentice.store.study import LAYOUT, Study
from sound_study import LONG

LAYOUTS = Path(__file__).parent / "layouts"
# SHA-256. A file here is never made anew: it is what was released. A new layout adds one.
FROZEN = {
    "layout1-sealed.zip": "6670c24a76fc609a8873f74bfe8f926d939256186d43ad89971ffa89c3889b96",
    "layout1.zip": "106cf3bd051c78bc4e8fd8a38409463666c5ee9aa9f5541d1ebddb626c0b19bf",
    "layout2.zip": "dda553d96fd3e9fb1fd429cdf48442ae5f1e01cfc512291069a8b66bb07aa70d",
}
KEY = "4c" * 32  # of layout2.zip, which is encrypted


def test_there_is_a_study_of_every_layout():
    assert {p.name for p in LAYOUTS.glob("layout?.zip")} == {f"layout{n}.zip" for n in range(1, LAYOUT + 1)}


def test_what_was_released_is_kept_as_it_was():
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in LAYOUTS.glob("*.zip")}
    assert found == FROZEN


def _unpacked(name: str, folder: Path) -> Study:
    with zipfile.ZipFile(LAYOUTS / name) as file:
        file.extractall(folder / "old.study")
    return Study.open(folder / "old.study")


def test_layout_1_is_read(tmp_path):
    study = _unpacked("layout1.zip", tmp_path)
    assert study.schema.ids == (1, 2)
    np.testing.assert_array_equal(study.cases.voxels("c1"), volume(1).voxels)
    assert study.cases.info("c2").geometry.difference(volume(2).geometry) is None
    revision = study.revisions.newest("c1")
    assert (revision.key, revision.provenance.author, revision.voxels_edited) == ("c1/r0001", "Ada", 80)
    labels, status = study.revisions.read("c1", "r0001")
    assert (labels[2] == 1).all()
    assert (status[3] == 1).all()
    assert dict(study.predictions.read("c1", "v0001").quality) == {1: 0.5}
    (stroke,) = study.journal.read("c2").strokes
    assert (stroke.labels_after.shape, stroke.seconds) == (SHAPE, 2.0)
    assert study.models.active() == "v0001"
    assert dict(study.split.sides()) == {"s1": "train", "s2": "validation"}
    assert study.runs.open(study.runs.ids()[0]).events(0)[0] == [{"step": 1}]
    assert finish(check(study.path)) == ()


def test_layout_1_with_seals_is_read(tmp_path):
    _is_whole(_unpacked("layout1-sealed.zip", tmp_path), "c1", "c2")  # as tests/sound_study.py wrote it then


def test_layout_2_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, KEY)
    study = _unpacked("layout2.zip", tmp_path)
    assert study.encrypted
    _is_whole(study, "case-0001", "case-0002")


def _is_whole(study: Study, c1: str, c2: str) -> None:
    assert (study.title, study.refusal, study.schema.ids) == ("A sound study", "", (1, 2))
    np.testing.assert_array_equal(study.cases.voxels(c1), volume(1).voxels)
    info = study.cases.info(c2)
    assert (info.shape, info.spacing, info.modality, info.dtype) == (LONG, (3.0, 1.0, 1.0), "CT", "uint8")
    coarse = study.cases.levels(c2)[1][...]
    np.testing.assert_array_equal(coarse, study.cases.voxels(c2)[:, :, ::2, ::2])
    for name, author, parent in (("r0001", "Ada", None), ("r0002", "Bo", "r0001")):
        labels, status = study.revisions.read(c1, name)
        value = int(name[-1])
        assert ((labels[value] == value).all(), (status[4] == 1).all()) == (True, True)
        made = study.revisions.info(c1, name).provenance
        assert (made.author, made.parent, made.seconds, made.strokes) == (author, parent, 12.5, 3)
    prediction = study.predictions.read(c1, "v0001")
    assert (dict(prediction.quality), prediction.device, prediction.labels.max()) == ({1: 0.5, 2: 0.75}, "cpu", 2)
    for case_id, parent in ((c1, "r0002"), (c2, None)):
        content = study.journal.read(case_id)
        assert (content.parent, len(content.strokes), content.strokes[1].labels_after.max()) == (parent, 2, 2)
    version = study.models.info("v0001")
    assert (version.revisions, version.held_out, study.models.active()) == ((f"{c1}/r0001",), (f"{c2}/r0001",), "v0001")
    assert dict(study.split.sides()) == {"s1": "train", "s2": "train"}
    run = study.runs.open(study.runs.ids()[0])
    assert (run.kind, run.request, run.events(0)[0]) == ("train", {"steps": 3}, [{"step": 1}])
    assert finish(check(study.path)) == finish(repair(study.path)) == ()
