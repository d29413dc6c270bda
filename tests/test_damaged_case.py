"""One damaged case is told as such, and the others are worked on."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from builders import study as make_study
from builders import volume
from napari_apprentice.cli import main
from napari_apprentice.core.cohort import CohortSettings
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import StorageError, StudyError
from napari_apprentice.loop.cohort import predict_cohort
from napari_apprentice.loop.rows import case_rows
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study
from sound_study import sound_study


def test_the_table_and_the_queue_go_on_without_it(tmp_path: Path) -> None:
    study = make_study(tmp_path, cases=3)
    (study.cases.folder("c2") / "image" / "zarr.json").write_text("{")
    session = Session()
    session.open_study(study.path)
    states = [(row.case_id, row.state) for row in session.case_rows()]
    assert states == [("c1", "unseen"), ("c2", "damaged"), ("c3", "unseen")]
    assert [item.case_id for item in session.queue()] == ["c1", "c3"]
    with pytest.raises(StudyError, match="c2"):
        session.load_case("c2")
    session.show_case(session.load_case("c3"))
    assert session.case is not None
    session.close()


def test_a_case_that_the_disk_does_not_give_keeps_nobody_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))
    bad_sector, real = study.cases.folder("c2") / "image" / "zarr.json", Path.read_bytes

    def read(path: Path) -> bytes:
        if path == bad_sector:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert [(row.case_id, row.state) for row in case_rows(study)] == [("c1", "in correction"), ("c2", "damaged")]
    predicting = predict_cohort(study, ["c1", "c2"], PredictSettings(), CohortSettings())
    assert "Starting to predict 2 cases" in next(predicting).text
    predicting.close()
    study.path.rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        case_rows(study)


def test_an_empty_queue_on_the_command_line_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(tmp_path, cases=0)
    assert main(["queue", str(study.path)]) == 0
    assert "There are no cases yet" in capsys.readouterr().out
    study.cases.add("c1", "s1", volume())
    (study.cases.folder("c1") / "image" / "zarr.json").write_text("{")
    assert main(["queue", str(study.path)]) == 0
    told = capsys.readouterr().out
    assert "corrected" not in told
    assert "Damaged, not in the queue: c1" in told


@pytest.mark.parametrize(
    "gone", ["image", "image/0", "image/labels", "image/labels/r0002/0", "predictions", "predictions/v0001/label_map"]
)
def test_a_case_that_was_copied_in_part_keeps_nobody_from_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gone: str
) -> None:
    path = sound_study(tmp_path / "a.study")
    shutil.rmtree(path / "cases.zarr" / "c1" / gone)
    for command in (["queue", path], ["history", path, "c2"], ["export-audit", path, tmp_path / "a.csv"]):
        assert main([*map(str, command)]) == 0, command
    assert main(["check", str(path)]) == 1
    for line in capsys.readouterr().out.splitlines()[-1:]:
        assert "c1" in line
        assert "missing" in line or "damaged" in line
    assert main(["repair", str(path)]) == (0 if gone.startswith("predictions") else 1)
    assert "cannot be reached" not in "".join(capsys.readouterr())
