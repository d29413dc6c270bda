"""Two processes that correct and save the same case as fast as they can."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import study as make_study
from faults import finish
from napari_apprentice.core.correction import Stroke
from napari_apprentice.errors import ConflictError
from napari_apprentice.session import Session
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

WRITER = """
import json, sys
from pathlib import Path
import numpy as np
from napari_apprentice.session import Session
from napari_apprentice.store.arrays import digest

author, path, times = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
session, told, saved = Session(author), [], []
session.events.noticed.connect(told.append)
session.open_study(path)
session.show_case(session.load_case("c1"))
print("ready", flush=True)
sys.stdin.readline()
random, case = np.random.default_rng(len(author)), session.case
for number in range(times):
    box = tuple(slice(a, a + 2) for a in (int(random.integers(0, n - 2)) for n in case.info.shape))
    before = case.canvas.labels[box].copy()
    case.canvas.labels[box] = number % 2 + 1
    session.record(box, before, case.canvas.labels[box].copy())
    case.settle()
    assert case.unwritten == 0, "some disk has every stroke"
    told.clear()
    revision = session.save()
    facts = {"name": revision.name, "parent": revision.provenance.parent, "told": list(told)}
    saved.append({**facts, "digest": digest(case.canvas.labels, case.canvas.status)})
session.close()
print(json.dumps(saved), flush=True)
"""


def two_writers(study: Study, times: int) -> dict[str, list[dict[str, Any]]]:
    """Let Ada and Bo save so many times each, at once; what each of them believes to have saved."""
    command = [sys.executable, "-c", WRITER]
    running = {
        who: subprocess.Popen(
            [*command, who, str(study.path), str(times)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for who in ("Ada", "Bo")
    }
    for process in running.values():
        assert process.stdout.readline() == "ready\n"
    for process in running.values():
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {who: process.communicate()[0] for who, process in running.items()}
    return {who: json.loads(text) for who, text in said.items()}


def judge(study: Study, believed: dict[str, list[dict[str, Any]]], times: int) -> int:
    """Every revision is there, is what its writer saved, and no conflict went unseen; how many there were."""
    names = study.revisions.names("c1")
    assert names == tuple(f"r{n:04d}" for n in range(1, 2 * times + 1))
    by_name = {facts["name"]: (who, facts) for who, all_saved in believed.items() for facts in all_saved}
    assert tuple(sorted(by_name)) == names, "nobody's revision was taken for another's"
    conflicts = 0
    for number, name in enumerate(names, 1):
        who, facts = by_name[name]
        info = study.revisions.info("c1", name)
        assert (info.provenance.author, info.provenance.parent) == (who, facts["parent"])
        assert info.digest == digest(*study.revisions.read("c1", name)) == facts["digest"]
        before = f"r{number - 1:04d}" if number > 1 else None
        other = {"Ada": "Bo", "Bo": "Ada"}[who]
        told = any(f"{other} saved {before} of this case in the meantime" in text for text in facts["told"])
        assert told == (info.provenance.parent != before), f"{name} by {who}: {facts}"
        conflicts += told
    return conflicts


@pytest.mark.parametrize("times", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_no_revision_is_lost_and_no_conflict_unseen(tmp_path: Path, times: int) -> None:
    study = make_study(tmp_path)
    conflicts = judge(study, two_writers(study, times), times)
    print(f"{2 * times} revisions, {conflicts} conflicts, all told")  # noqa: T201 - shown by pytest -s
    assert conflicts > 0, "they hardly met"
    assert finish(check(study.path)) == ()
    last = Session("Cy")
    last.open_study(study.path)
    assert last.load_case("c1").unsaved == 0
    last.close()


def test_of_two_who_begin_a_journal_at_once_one_is_refused(tmp_path: Path) -> None:
    study, ones = make_study(tmp_path), np.ones((1, 1, 1), np.uint8)
    for _ in range(60):
        gate, outcomes = threading.Barrier(2), []

        def begin(value: int, gate: threading.Barrier = gate, outcomes: list[object] = outcomes) -> None:
            journal = study.journal.another()
            stroke = Stroke((value, 0, 0), ones, ones, ones, ones)
            gate.wait()
            try:
                journal.start("c1", None, None, [stroke])
                outcomes.append(value)
            except ConflictError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=begin, args=(value,)) for value in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [o for o in outcomes if isinstance(o, int)]
        kept = [stroke.start[0] for stroke in study.journal.read("c1").strokes]
        assert winners == kept
        study.journal.close("c1")
