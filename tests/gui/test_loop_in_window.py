"""Once around the loop in a real window, by its real buttons, with real child processes; and it stays alive."""

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from driving import Heartbeat, Person
from models import add_model

from builders import study as make_study
from napari_apprentice.core.correction import whole
from napari_apprentice.loop.sample import sample_reference

pytestmark = [pytest.mark.window, pytest.mark.timeout(600)]

LATEST_MS = 100.0
IDLE_SECONDS = 3.0
MOST_FOREIGN = 25.0  # per cent of all cores


def foreign_load(person: Person) -> float:
    """Per cent of all cores that others use while this program has nothing to do.

    Without a GPU every redraw of the window is computed on these same cores, by threads that wait for
    their turn like everybody's. On a machine that is busy with something else a late beat says nothing
    about this program; the limit stays, but then it cannot be measured.
    """
    psutil.cpu_percent()
    person.rest(IDLE_SECONDS)
    return float(psutil.cpu_percent())


def correct_like_the_reference(person: Person) -> None:
    """One big stroke, as a paint tool would leave it: in the layer already, then recorded."""
    case = person.session.case
    before = case.canvas.labels.copy()
    reference = sample_reference(case.info.case_id).voxels.astype(before.dtype)
    case.canvas.labels[...] = reference
    person.session.record(whole(before.shape), before, reference, "paint")


@pytest.mark.alone
def test_once_around_the_loop(person: Person) -> None:
    dock, beat = person.dock, Heartbeat()
    person.click(dock.study_panel.sample)
    person.wait(lambda: person.desk.facts.now.active == "starter", 120)
    person.settle()

    foreign = foreign_load(person)
    person.click(dock.predict_panel.all_open)
    person.wait(lambda: person.desk.models.prediction.last is not None, 180)  # the child process has started
    beat.reset()
    person.wait(lambda: person.desk.models.prediction is None, 180)
    late_predicting, busy_predicting = beat.worst_ms, beat.busy_ms
    person.settle()
    assert all(r.state != "unseen" for r in person.desk.facts.now.rows)

    corrected = []
    for _ in range(3):
        before = person.session.case
        person.click(dock.queue_panel.next)
        person.wait(lambda b=before: person.session.case is not b)
        person.settle()
        corrected.append(person.session.case.info.case_id)
        correct_like_the_reference(person)
        person.click(dock.correct_panel.accept_scan)
        person.click(dock.correct_panel.save)
        person.settle()
        assert (person.session.case.canvas.status != 0).all()
    assert len(set(corrected)) == 3

    dock.tune_panel.form.set("steps", 30)
    dock.tune_panel.form.set("validate_every", 10)
    assert dock.tune_panel.fine_tune.text() == "Fine-tune on corrections"
    dock.area.ensureWidgetVisible(dock.tune_panel.fine_tune)
    person.click(dock.tune_panel.fine_tune)
    training = person.desk.models.training
    person.wait(lambda: training.last is not None and training.last.loss is not None, 240)
    beat.reset()
    person.wait(lambda: person.desk.models.training is None, 400)
    late_training, busy_training = beat.worst_ms, beat.busy_ms
    person.settle()

    assert person.complaints == []
    assert dock.tune_panel.table.rowCount() >= 3
    assert "v0001" in dock.tune_panel.verdict.text()
    assert min(dock.tune_panel.curves.points) >= 2
    assert dock.tune_panel.models.list.count() == 2
    person.click(dock.queue_panel.next)
    person.settle()
    assert person.session.case.info.case_id not in corrected
    assert np.shares_memory(person.desk.layers.labels.data, person.session.case.canvas.labels)
    foreign = max(foreign, foreign_load(person))
    measured = (
        f"others use {foreign:.0f} % of the cores, "
        f"predicting {late_predicting:.0f} ms (computed {busy_predicting:.0f}), "
        f"training {late_training:.0f} ms (computed {busy_training:.0f})"
    )
    sys.stderr.write(f"\nlatest beat: {measured}\n")
    if max(late_predicting, late_training) > LATEST_MS and foreign > MOST_FOREIGN:
        pytest.skip(f"this machine is too busy to tell: {measured}")
    assert late_predicting <= LATEST_MS, measured
    assert late_training <= LATEST_MS, measured


def test_the_prediction_process_ends_with_the_window(person: Person, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    add_model(study, tmp_path)
    person.open_study(study.path)
    person.click(person.dock.predict_panel.all_open)
    person.wait(lambda: person.session._engines.of("auto")._process is not None)
    engine = person.session._engines.of("auto")._process
    assert engine.poll() is None
    person.viewer.close()
    person.wait(lambda: engine.poll() is not None, 20)
    assert person.complaints == []
