"""Every layout that was ever released is read; a zip of one small study of each lies beside this file."""

import zipfile
from pathlib import Path

import numpy as np

from builders import SHAPE, volume
from faults import finish
from napari_apprentice.store.check import check
from napari_apprentice.store.study import LAYOUT, Study

LAYOUTS = Path(__file__).parent / "layouts"


def test_there_is_a_study_of_every_layout():
    assert {p.name for p in LAYOUTS.glob("*.zip")} == {f"layout{n}.zip" for n in range(1, LAYOUT + 1)}


def test_layout_1_is_read(tmp_path):
    with zipfile.ZipFile(LAYOUTS / "layout1.zip") as file:
        file.extractall(tmp_path / "old.study")
    study = Study.open(tmp_path / "old.study")
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
