"""Label maps made elsewhere, against what a case showed before."""

from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE, volume
from builders import study as make_study
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import InputError
from napari_apprentice.loop.correcting import check_fits, store_label_map
from napari_apprentice.store.study import Study


def test_what_was_known_stays_known_where_the_newest_model_says_the_same(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    study: Study = make_study(tmp_path)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2] = 1
    status = np.zeros(SHAPE, np.uint8)
    status[2], status[3] = 2, 1
    study.revisions.save("c1", labels, status, Provenance("ann"))
    study.predictions.write("c1", "v0001", Prediction(labels, np.zeros(SHAPE, np.uint8), {}))
    monkeypatch.setattr(study.models, "active", lambda: "v0001")
    labels[4] = 2
    revision = store_label_map(study, "c1", labels, accept="edited", author="bob")
    stored = study.revisions.read("c1", revision.name)[1]
    assert [int(stored[z].max()) for z in range(SHAPE[0])] == [0, 0, 2, 1, 2, 0]
    assert (revision.provenance.parent, revision.provenance.model) == ("r0001", "v0001")


def test_instance_labels_are_refused_with_a_hint() -> None:
    labels = LabelMap(np.arange(480, dtype=np.uint16).reshape(SHAPE), volume().geometry)
    with pytest.raises(InputError, match=r"2, 3, 4, 5, 6, 7, 8, 9 and 470 more.*one by one"):
        check_fits(LabelSchema.from_names(["nucleus"]), labels, "a.nii")
