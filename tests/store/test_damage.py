"""Every file of a study is harmed in turn: what is read is as before, or `check` says what is wrong."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults import finish, sentences
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.check import check
from napari_apprentice.store.keys import VARIABLE
from napari_apprentice.store.repair import repair
from napari_apprentice.store.study import Study
from sound_study import sound_study

# Files in which a person's work or what it stands on lies; events tell how far a run got, no more.
_TOLD_BY_NOBODY = ("events.jsonl",)


def _read(path: Path) -> dict[str, object]:
    """Everything that the program takes from a study."""
    study = Study.open(path)
    facts: dict[str, object] = {
        "study": (study.title, study.schema),
        "sides": dict(study.split.sides()),
        "models": [study.models.info(n) for n in study.models.names()],
        "activations": study.models.activations(),
        "runs": [(r, study.runs.open(r).kind, study.runs.open(r).request) for r in study.runs.ids()],
    }
    for case_id in study.cases.ids():
        facts[case_id] = _read_case(study, case_id)
    return facts


def _read_case(study: Study, case_id: str) -> list[object]:
    info = study.cases.info(case_id)
    voxels = [digest(level[...]) for level in study.cases.levels(case_id)]
    revisions = [study.revisions.info(case_id, n) for n in study.revisions.names(case_id)]
    read = [digest(*study.revisions.read(case_id, r.name)) for r in revisions]
    predictions = [study.predictions.read(case_id, m) for m in study.predictions.models(case_id)]
    journal = study.journal.read(case_id)
    strokes = [digest(s.labels_after, s.status_after) + s.tool for s in journal.strokes] if journal else []
    grid = (info.geometry.to_json(), info.channels, info.subject, info.source_name, info.added)
    return [grid, voxels, revisions, read, [(digest(p.labels, p.uncertainty), p.quality) for p in predictions], strokes]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "encrypted"])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "01" * 32)
        yield sound_study(tmp_path_factory.mktemp("sound") / "sound.study", encrypted=request.param)


@pytest.fixture(scope="module")
def known(sound: Path) -> dict[str, object]:
    """What the program takes from the sound study."""
    return _read(sound)


@pytest.fixture
def harmed_copy(sound: Path, tmp_path: Path) -> Path:
    """For one file at a time, which is made whole again afterwards: copies took half of the time."""
    return Path(shutil.copytree(sound, tmp_path / "s.study"))


@contextmanager
def _holding(file: Path, harmed: bytes) -> Iterator[None]:
    whole = file.read_bytes()
    file.write_bytes(harmed)
    try:
        yield
    finally:
        file.write_bytes(whole)


def _files(study: Path) -> list[str]:
    found = (p for p in study.rglob("*") if p.is_file() and p.suffix != ".lock")  # those hold nothing
    return sorted(str(p.relative_to(study)) for p in found)


def _same_or_told(path: Path, before: dict[str, object], harm: str) -> None:
    faults = sentences(check(path))
    if faults:
        assert all(fault.endswith(".") for fault in faults), faults
        return
    try:
        after = _read(path)
    except ApprenticeError as error:
        pytest.fail(f"{harm}: check is content, but {error}")
    assert after == before, f"{harm}: check is content, but something else is read"


def test_the_sound_study_is_sound(sound):
    assert finish(check(sound)) == ()
    assert finish(repair(sound)) == ()
    assert not (sound / "repaired").exists()


def test_every_file_that_goes_missing_is_told(sound, tmp_path):
    path = Path(shutil.copytree(sound, tmp_path / "s.study"))
    for name in _files(path):
        if name.endswith(_TOLD_BY_NOBODY) or name.startswith("journal"):
            continue
        (path / name).rename(tmp_path / "missing")
        assert finish(check(path)), name
        (tmp_path / "missing").rename(path / name)


def test_a_case_that_was_deleted_whole_is_told(sound, tmp_path):
    for case_id in Study.open(sound).cases.ids():
        path = Path(shutil.copytree(sound, tmp_path / case_id / "s.study"))
        shutil.rmtree(path / "cases.zarr" / case_id)
        shutil.rmtree(path / "journal", ignore_errors=True)
        assert any("missing" in fault for fault in sentences(check(path)))


def test_a_split_that_was_cut_at_a_corrected_subject_is_told(sound, tmp_path):
    path = Path(shutil.copytree(sound, tmp_path / "s.study"))
    (path / "split.jsonl").write_bytes(b"")
    assert any("its end is missing" in fault for fault in sentences(check(path)))


@given(st.data())
@settings(
    max_examples=30,  # for each of two studies
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_changed_bit_is_told_or_changes_nothing(harmed_copy, known, data):
    path = harmed_copy
    name = data.draw(st.sampled_from([n for n in _files(path) if not n.endswith(_TOLD_BY_NOBODY)]))
    harmed = bytearray((path / name).read_bytes())
    place = data.draw(st.integers(0, len(harmed) - 1))
    harmed[place] ^= 1 << data.draw(st.integers(0, 7))
    with _holding(path / name, harmed):
        _same_or_told(path, known, f"a bit of byte {place} of {name}")


@given(st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_short_is_told(harmed_copy, known, data):
    path = harmed_copy
    # The end of a journal or ledger that a crash cut off is what was never acknowledged.
    names = [n for n in _files(path) if not n.endswith((".jsonl", ".bin"))]
    name = data.draw(st.sampled_from(names))
    whole = (path / name).read_bytes()
    with _holding(path / name, whole[: data.draw(st.integers(0, len(whole) - 1))]):
        _same_or_told(path, known, f"{name} cut short")
