import json
from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE, volume
from faults import finish, sentences
from napari_apprentice.core.correction import Stroke
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.errors import StorageError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.repair import repair
from napari_apprentice.store.study import LAYOUT, Study
from sound_study import sound_study

ZEROS = np.zeros(SHAPE, np.uint8)
WRITERS = {
    "case": lambda s: s.cases.add("c9", "s9", volume(9)),
    "revision": lambda s: s.revisions.save("c1", ZEROS, ZEROS, Provenance("a")),
    "prediction": lambda s: s.predictions.write("c1", "v0001", Prediction(ZEROS, ZEROS, {})),
    "journal": lambda s: s.journal.start("c9", None, None),
    "stroke": lambda s: s.journal.append("c1", Stroke((0, 0, 0), ZEROS, ZEROS, ZEROS, ZEROS)),
    "another stroke": lambda s: s.journal.another().append("c1", Stroke((0, 0, 0), ZEROS, ZEROS, ZEROS, ZEROS)),
    "end of a journal": lambda s: s.journal.close("c1"),
    "model": lambda s: s.models.register(s.models.info("v0001"), s.models.weights("v0001")),
    "activation": lambda s: s.models.activate("v0001", "x"),
    "run": lambda s: s.runs.create("train", {}),
    "deciding about runs": lambda s: s.runs.alone(),
    "no run": lambda s: s.runs.discard(s.runs.ids()[0]),
    "side": lambda s: s.split.assign("s9"),
    "another side": lambda s: s.split.move("s1", "validation", "x"),
    "labels": lambda s: s.set_schema(s.schema),
    "repair": lambda s: finish(repair(s.path)),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = sound_study(tmp_path / "a.study")
    document = json.loads((made / "study.json").read_text())
    (made / "study.json").write_text(json.dumps(document | {"apprentice_study": LAYOUT + 1, "unheard": "of"}))
    return made


def test_a_newer_study_can_be_read(path):
    study = Study.open(path)
    assert "Update Apprentice".lower() in study.refusal.lower()
    assert study.cases.voxels("c1").shape == (1, *SHAPE)
    assert study.revisions.read("c1", "r0002")[0].max() == 2
    assert len(study.journal.read("c1").strokes) == 2
    assert study.models.active() == "v0001"
    assert sentences(check(path)) == (study.refusal,)


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_refuses_and_nothing_changes(path, writer):
    before = {p: p.read_bytes() if p.is_file() else None for p in path.rglob("*")}
    with pytest.raises(StorageError, match="newer version"):
        WRITERS[writer](Study.open(path))
    assert {p: p.read_bytes() if p.is_file() else None for p in path.rglob("*")} == before


def test_one_that_cannot_be_read_either_says_why(path):
    (path / "study.json").write_text(json.dumps({"apprentice_study": LAYOUT + 1, "labels": "elsewhere"}))
    with pytest.raises(StudyError, match=r"newer version .* cannot even read it"):
        Study.open(path)
