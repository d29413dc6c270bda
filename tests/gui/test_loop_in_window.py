"""Once around the loop in a real window, by its real buttons, with real child processes; and it stays alive."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from driving import Heartbeat, Person
from models import add_model

from builders import study as make_study
from napari_apprentice.core.correction import whole
from napari_apprentice.loop import sample
from napari_apprentice.loop.sample import sample_reference

pytestmark = [pytest.mark.window, pytest.mark.timeout(600)]

LATE_MS = 50.0  # 95 of 100 beats; the benchmark of the heartbeat asks for 99, where nothing else draws
COMPUTING_MS = 100.0  # every beat
MOST_FOREIGN = 25.0  # per cent of all cores


def foreign_load(person: Person, seconds: float = 3.0) -> float:
    """Per cent of all cores that others use while this program has nothing to do.

    Without a GPU every redraw of the window is computed on these same cores, by threads that wait for
    their turn like everybody's. On a machine that is busy with something else late beats say nothing
    about this program, and a single one may be late on any machine that is shared; how long the window's
    own thread computed is this program's in any case.
    """
    began = own_seconds()
    psutil.cpu_percent()
    person.rest(seconds)
    busy, ended = float(psutil.cpu_percent()), own_seconds()
    ours = sum(ended[pid] - began[pid] for pid in ended if pid in began)
    return max(0.0, busy - 100 * ours / seconds / psutil.cpu_count())


def own_seconds() -> dict[int, float]:
    """Processor time of this process and its children."""
    me, found = psutil.Process(), {}
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended
            spent = process.cpu_times()
            found[process.pid] = float(spent.user + spent.system)
    return found


def correct_like_the_reference(person: Person) -> None:
    """One big stroke, as a paint tool would leave it: in the layer already, then recorded."""
    case = person.session.case
    before = case.canvas.labels.copy()
    reference = sample_reference(case.info.case_id).voxels.astype(before.dtype)
    case.canvas.labels[...] = reference
    person.session.record(whole(before.shape), before, reference, "paint")


@pytest.fixture
def few_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample study with six open scans instead of eleven."""
    whole_list = sample.sample_list()
    few = replace(whole_list, first_site=whole_list.first_site[:1], second_site=whole_list.second_site[:5])
    monkeypatch.setattr(sample, "sample_list", lambda: few)


@pytest.mark.alone
@pytest.mark.usefixtures("few_scans")
def test_once_around_the_loop(person: Person) -> None:
    dock, predicting, learning = person.dock, Heartbeat(), Heartbeat()
    person.click(dock.study_panel.sample)
    person.wait(lambda: person.desk.facts.now.active == "starter", 120)
    person.settle()

    foreign = foreign_load(person)
    dock.predict_panel.form.set("quality", "draft")
    person.click(dock.predict_panel.all_open)
    person.wait(lambda: person.desk.models.prediction.last is not None, 180)  # the child process has started
    predicting.reset()
    person.wait(lambda: person.desk.models.prediction is None, 180)
    predicting.stop()
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

    dock.tune_panel.form.set("steps", 4)
    dock.tune_panel.form.set("validate_every", 2)
    dock.tune_panel.form.set("interpolation", 1)
    assert dock.tune_panel.fine_tune.text() == "Fine-tune on corrections"
    dock.area.ensureWidgetVisible(dock.tune_panel.fine_tune)
    person.click(dock.tune_panel.fine_tune)
    training = person.desk.models.training
    person.wait(lambda: training.last is not None and training.last.loss is not None, 240)
    learning.reset()
    person.wait(lambda: person.desk.models.training is None, 400)
    learning.stop()
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
    measured = f"others use {foreign:.0f} % of the cores; predicting: {predicting}; training: {learning}"
    sys.stderr.write(f"\n{measured}\n")
    assert max(*predicting.computed_ms, *learning.computed_ms) <= COMPUTING_MS, measured
    late = max(predicting.late(95), learning.late(95))
    if late > LATE_MS and foreign > MOST_FOREIGN:
        pytest.skip(f"this machine is too busy to tell: {measured}")
    assert late <= LATE_MS, measured


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
