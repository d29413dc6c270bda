"""Looking back: comparing and restoring revisions in a session, and studies that only can be looked at."""

import json
from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE
from napari_apprentice.core.correction import whole
from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.session import Session
from napari_apprentice.store.study import LAYOUT
from sound_study import sound_study


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = Session("Cy")
    made.open_study(sound_study(tmp_path / "a.study"))
    return made


def _discard(session: Session, case_id: str) -> None:
    session.study.journal.close(case_id)


def test_a_restored_revision_is_shown_and_the_others_stay(session: Session) -> None:
    _discard(session, "c1")
    session.show_case(session.load_case("c1"))
    told: list[str] = []
    session.events.saved.connect(told.append)
    restored = session.restore_revision("c1", "r0001")
    assert told == [restored.name] == ["r0003"]
    assert session.case is not None
    assert (session.case.parent, session.case.unsaved) == ("r0003", 0)
    assert (session.case.canvas.labels[1] == 1).all()
    assert session.compare_revisions("c1", "r0002", "r0003").voxels == 2 * SHAPE[1] * SHAPE[2]
    assert [row.origin for row in session.case_history("c1")] == ["correction", "correction", "restore"]
    session.close()


def test_strokes_that_are_not_saved_are_never_covered(session: Session) -> None:
    session.show_case(session.load_case("c1"))
    for case_id in ("c1",):
        with pytest.raises(InputError, match="no revision yet"):
            session.restore_revision(case_id, "r0001")
    session.show_case(None)
    with pytest.raises(InputError, match="no revision yet"):
        session.restore_revision("c1", "r0001")
    session.close()


def test_a_newer_study_is_told_and_only_looked_at(session: Session) -> None:
    path = session.study.path
    session.close()
    document = json.loads((path / "study.json").read_text())
    (path / "study.json").write_text(json.dumps(document | {"apprentice_study": LAYOUT + 1}))
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    newer, notices = Session("Cy"), []
    newer.events.noticed.connect(notices.append)
    newer.open_study(path)
    assert len(notices) == 1
    assert f"newer version of Apprentice (layout {LAYOUT + 1}" in notices[0]
    newer.show_case(newer.load_case("c1"))
    box = whole(SHAPE)
    newer.record(box, newer.case.canvas.labels.copy(), np.full(SHAPE, 2, np.uint8))
    with pytest.raises(StorageError, match="newer version"):
        newer.flush()
    with pytest.raises(StorageError, match="newer version"):
        newer.save()
    newer.close()
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
