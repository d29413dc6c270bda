"""Nobody is examined on what they learned, however subjects are moved between the rounds."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import study as small_study
from builders import volume
from faults import finish
from learn.small import make_plan
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.records import Example, ModelVersion, now
from napari_apprentice.loop.leakage import fair, subjects_learned
from napari_apprentice.loop.model_export import export_model
from napari_apprentice.loop.model_import import import_model
from napari_apprentice.loop.sides import subject_sides
from napari_apprentice.store.study import Study

SUBJECTS = ("s1", "s2", "s3", "s4")
_MOVE = st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(("train", "validation")))
_ROUND = st.sampled_from(("first", "tuned", "activated"))


def _example(n: int) -> Example:
    empty = np.zeros((1, 1, 1), np.uint8)
    return Example(f"c{n}/r0001", f"s{n}", empty[None], empty, empty, (1.0, 1.0, 1.0))


def _register(
    study: Study, parent: str | None, taught: list[Example], held_out: list[Example], folder: Path, run: str = ""
) -> str:
    weights = folder / "w"
    weights.write_bytes(f"{study.path} {study.models.next_name()}".encode())
    revisions = [tuple(e.revision for e in some) for some in (taught, held_out)]
    version = ModelVersion(
        study.models.next_name(), parent, now(), make_plan(), study.schema, *revisions, None, {}, 0, {}, "", run=run
    )
    return study.models.register(version, weights).name


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(_MOVE, _ROUND), min_size=3, max_size=9))
def test_no_scan_judges_a_model_that_learned_its_subject(steps: list[str | tuple[str, str]]) -> None:
    with TemporaryDirectory() as name:
        study = small_study(Path(name), len(SUBJECTS))
        for n, subject in enumerate(SUBJECTS):
            study.split.assign(subject, side="validation" if n == 2 else "train")
        learned: dict[str | None, set[str]] = {None: set()}  # kept by the test itself, version by version
        for step in steps:
            if isinstance(step, tuple):
                if study.split.side(step[0]) != step[1]:
                    study.split.move(*step, reason="trial")
                continue
            _one_round(study, step, learned, Path(name))


def _one_round(study: Study, kind: str, learned: dict[str | None, set[str]], folder: Path) -> None:
    active = study.models.active()
    base = None if active is None or kind == "first" else study.models.base_of(active)
    held = study.split.validation()
    taught = [_example(n) for n, s in enumerate(SUBJECTS, 1) if s not in held]
    held_out = [_example(n) for n, s in enumerate(SUBJECTS, 1) if s in held]
    measured = {e.subject for e in fair(study, (active, base), taught, held_out)}
    mine = {e.subject for e in taught} | learned[base]
    assert not measured & (mine | learned[active])
    assert measured == set(held) - mine - learned[active]  # and none is left out without need
    name = _register(study, base, taught, held_out, folder)
    learned[name] = mine
    assert subjects_learned(study, name) == mine
    if active is None or kind == "activated":
        study.models.activate(name, "trial")


def test_what_another_study_taught_is_unknown_and_does_not_stop_anything(tmp_path: Path) -> None:
    study = small_study(tmp_path, 2)
    name = _register(study, None, [], [], tmp_path)
    assert subjects_learned(study, name) == frozenset()
    gone = _register(study, "imported", [_example(9)], [], tmp_path)
    assert subjects_learned(study, gone) == frozenset()
    assert [e.subject for e in fair(study, (name, None), [_example(1)], [_example(1), _example(2)])] == ["s2"]


def _scans(folder: Path) -> Study:
    """The same four scans every time."""
    made = small_study(folder, 0)
    for n, subject in enumerate(SUBJECTS, 1):
        made.cases.add(f"c{n}", subject, replace(volume(n), source_digest=f"{n:064d}"))
    return made


@pytest.mark.parametrize("exported", [False, True])
def test_an_imported_model_does_not_forget_whom_it_learned_from(tmp_path: Path, exported: bool) -> None:
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    there, here = (_scans(tmp_path / name) for name in ("there", "here"))
    base = _register(there, None, [_example(1)], [], tmp_path)
    tuned = _register(there, base, [_example(2)], [_example(3)], tmp_path)
    source = export_model(there, tuned, tmp_path / "out") if exported else there.path
    settings = ImportSettings(version="" if exported else tuned)
    name = finish(import_model(here, source, settings)).model
    again = _register(here, name, [_example(4)], [], tmp_path)
    assert subjects_learned(here, name) == {"s1", "s2"}
    assert subjects_learned(here, again) == {"s1", "s2", "s4"}
    here.split.assign("s1", side="validation")
    assert subject_sides(here)[0].learned == (name, again)
    handed_on = export_model(here, again, tmp_path / "on")
    (tmp_path / "third").mkdir()
    third = _scans(tmp_path / "third")
    assert subjects_learned(third, finish(import_model(third, handed_on, ImportSettings())).model) == {"s1", "s2", "s4"}


def test_what_came_back_is_known_by_its_weights(tmp_path: Path) -> None:
    study = small_study(tmp_path, 3)
    base = _register(study, None, [_example(1)], [], tmp_path)
    tuned = _register(study, base, [_example(2)], [], tmp_path)
    out = export_model(study, tuned, tmp_path / "out")
    document = json.loads((out / "model.json").read_text())
    del document["scans"]  # as exports were that did not have it yet
    (out / "model.json").write_text(json.dumps(document))
    name = finish(import_model(study, out, ImportSettings())).model
    assert subjects_learned(study, name) == {"s1", "s2"}
    held_out = [_example(1), _example(3)]
    assert [e.subject for e in fair(study, (name, None), [], held_out)] == ["s3"]


@pytest.mark.parametrize("exported", [False, True])
def test_a_study_with_a_damaged_case_hands_its_models_on_with_what_they_learned(tmp_path: Path, exported: bool) -> None:
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    there, here = (_scans(tmp_path / name) for name in ("there", "here"))
    run = there.runs.create("train", {})
    taught = [{"revision": f"c{n}/r0001", "scan": there.cases.info(f"c{n}").source_digest} for n in (1, 2)]
    run.note({"revisions": taught})
    name = _register(there, None, [_example(1), _example(2)], [_example(3)], tmp_path, run.run_id)
    (there.cases.root / "c1" / "image" / "zarr.json").write_text("{")
    source = export_model(there, name, tmp_path / "out") if exported else there.path
    made = finish(import_model(here, source, ImportSettings(version="" if exported else name))).model
    assert subjects_learned(here, made) == {"s1", "s2"}
    assert here.models.info(made).run == ""
    if exported:
        assert run.run_id not in (source / "model.json").read_text()
