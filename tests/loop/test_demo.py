"""The sample study, and once around the loop on it without a screen."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from faults import finish
from napari_apprentice.cli import main
from napari_apprentice.core.config import TrainSettings
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.loop import demo, sample
from napari_apprentice.loop.demo import DemoReport, run_demo
from napari_apprentice.loop.sample import (
    STARTER,
    make_sample_study,
    making_sample_study,
    sample_folder,
    sample_list,
    sample_reference,
)
from napari_apprentice.store import file_lock
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study


def test_sample_study_is_ready_to_use(tmp_path: Path) -> None:
    study = make_sample_study(tmp_path / "s.study")
    sample = sample_list()
    assert len(sample.schema.labels) >= 3
    assert study.models.active() == STARTER
    starter = study.models.info(STARTER)
    known = {f"{c}/r0001" for c in sample.known}
    assert set(starter.revisions) | set(starter.held_out) == known
    held_out = {c for c in sample.known if study.split.side(c) == "validation"}
    assert {f"{c}/r0001" for c in held_out} == set(starter.held_out)
    assert finish(check(study.path)) == ()


def test_a_demo_that_was_stopped_while_its_study_was_made_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(sample_list(), known=sample_list().known[:2], first_site=sample_list().first_site[:1], second_site=())
    accept = sample.keep_accepted

    def stopped(study: Study, case_id: str, labels: np.ndarray, author: str) -> None:
        if case_id == few.known[1]:
            raise KeyboardInterrupt
        accept(study, case_id, labels, author=author)

    monkeypatch.setattr(sample, "sample_list", lambda: few)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("subprocess.call", lambda _: 0)
    with monkeypatch.context() as patch:
        patch.setattr(sample, "keep_accepted", stopped)
        assert main(["demo", "--folder", str(tmp_path), "--json"]) == 1
    assert main(["demo", "--folder", str(tmp_path), "--json"]) == 0
    study = Study.open(tmp_path / "sample.study")
    assert set(study.cases.ids()) == {*few.known, *few.first_site}
    assert [len(study.revisions.names(case_id)) for case_id in few.known] == [1, 1]
    assert study.models.active() == STARTER
    with pytest.raises(InputError, match="exists already"):
        make_sample_study(study.path)


@pytest.fixture
def one_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample study has one scan, and the window is none."""
    few = replace(sample_list(), known=(), first_site=sample_list().first_site[:1], second_site=())
    monkeypatch.setattr(sample, "sample_list", lambda: few)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("subprocess.call", lambda _: 0)


@pytest.mark.usefixtures("one_scan")
def test_a_second_demo_waits_for_the_study_that_the_first_is_making(tmp_path: Path) -> None:
    first = making_sample_study(tmp_path / "sample.study")
    next(first)
    with ThreadPoolExecutor() as pool:
        second = pool.submit(main, ["demo", "--folder", str(tmp_path), "--json"])
        time.sleep(0.2)
        assert not second.done()
        study = finish(first)
        assert second.result(30) == 0
    assert len(study.cases.ids()) == 1
    assert study.models.active() == STARTER


@pytest.mark.usefixtures("one_scan")
def test_a_second_demo_says_so_where_the_first_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "_PATIENCE_SECONDS", 0.05)
    first = making_sample_study(tmp_path / "sample.study")
    next(first)
    with pytest.raises(StudyError, match="busy with the sample scans"):
        make_sample_study(tmp_path / "sample.study")
    assert len(finish(first).cases.ids()) == 1


@pytest.mark.usefixtures("one_scan")
def test_a_demo_begins_anew_what_was_killed_before_it_was_a_study_and_leaves_a_damaged_one_to_the_window(
    tmp_path: Path,
) -> None:
    study = tmp_path / "sample.study"
    (study / "runs").mkdir(parents=True)
    assert main(["demo", "--folder", str(tmp_path), "--json"]) == 0
    assert Study.open(study).models.active() == STARTER
    (study / "study.json").write_text("{")
    assert main(["demo", "--folder", str(tmp_path), "--json"]) == 0
    assert (study / "study.json").read_text() == "{"


def test_a_demo_with_a_window_tells_in_the_terminal_what_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Making the study and loading napari take long on a slow computer, and the window stays as long as one likes."""
    told: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sample, "sample_list", lambda: replace(sample_list(), known=(), second_site=()))
    monkeypatch.setattr("subprocess.call", lambda command: told.append(capsys.readouterr().err) or len(command))
    assert main(["demo", "--folder", str(tmp_path)]) == 0
    assert "Adding site-a-11 (1 of 3)\n" in told[0]
    assert told[0].splitlines()[-1].startswith("Opening the window")
    assert main(["demo", "--folder", str(tmp_path), "--json"]) == 0
    assert told[1] == ""


def test_sample_data_stay_small() -> None:
    folder = sample_folder()
    assert (folder / "starter" / "weights.safetensors").stat().st_size < 5_000_000
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 10_000_000


def test_references_hold_every_label() -> None:
    for case_id in sample_list().second_site:
        assert set(np.unique(sample_reference(case_id).voxels)) == {0, 1, 2, 3}


@pytest.mark.slow
def test_demo_leaves_a_report_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sample_list()
    few = replace(whole, first_site=whole.first_site[:1], second_site=whole.second_site[:5])
    monkeypatch.setattr(demo, "sample_list", lambda: few)
    monkeypatch.setattr(demo, "TrainSettings", partial(TrainSettings, interpolation=1))
    report: DemoReport = finish(run_demo(tmp_path, steps=3))
    assert {r.site for r in report.rows} == {"first", "second"}
    assert len(report.corrected) == 3
    facts = json.loads((report.folder / "report.json").read_text())
    assert len(facts["rows"]) == len(report.rows)
    assert len(list(report.folder.glob("*.png"))) == len(few.second_site) - len(report.corrected)
    assert finish(check(Study.open(tmp_path / "sample.study").path)) == ()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_three_corrected_scans_mend_the_second_site_and_spare_the_first(tmp_path: Path, seed: int) -> None:
    report: DemoReport = finish(run_demo(tmp_path, seed=seed))
    assert report.mean_change("second") >= 0.05
    assert report.mean_change("first") >= -0.02
