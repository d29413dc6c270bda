"""One damaged case is told as such, and the others are worked on."""

from pathlib import Path

import pytest

from builders import study as make_study
from builders import volume
from napari_apprentice.cli import main
from napari_apprentice.errors import StudyError
from napari_apprentice.session import Session


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
