"""An encrypted study lived in: nothing of a name can be read in it, all of it works, and altered bytes are told."""

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from builders import volume, write_nifti
from faults import fail_from, finish, sentences
from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.gate import GateReport, GateRow
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.postprocess import PostRecipe
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import ModelVersion, Prediction, now
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.session import Session
from napari_apprentice.store.check import check
from napari_apprentice.store.keys import VARIABLE, new_key, to_text
from napari_apprentice.store.postprocess import write_recipe
from napari_apprentice.store.presence import Presence
from napari_apprentice.store.recent import RecentStudies
from napari_apprentice.store.study import Study

PERSON, FOLDER, TITLE = "Mustermann", "Quincy", "Glioblastoma"
LABEL, AUTHOR, HOST = "Zirbeldrüse", "Ottokar", "Ottosrechner"
NAMES = (PERSON, TITLE, LABEL, AUTHOR, HOST)
BOX = (slice(1, 3), slice(2, 5), slice(2, 6))
ZSTD = b"\x28\xb5\x2f\xfd"  # every plain chunk begins with it


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> bytes:
    made = new_key()
    monkeypatch.setenv(VARIABLE, to_text(made))
    monkeypatch.setattr("platform.node", lambda: HOST)
    return made


def scan(folder: Path, seed: int = 1) -> Path:
    place = folder / f"Praxis_{FOLDER}"
    place.mkdir(exist_ok=True)
    voxels = np.random.default_rng(seed).integers(-900, 900, (10, 8, 6)).astype(np.int16)
    return write_nifti(place / f"{PERSON}_Erika_{seed}.nii.gz", voxels)


def labels_of(folder: Path) -> Path:
    return write_nifti(folder / f"{PERSON}_map.nii.gz", np.ones((10, 8, 6), np.uint8))


def paint(session: Session, label: int) -> None:
    labels = session.case.canvas.labels
    before = labels[BOX].copy()
    labels[BOX] = label
    session.record(BOX, before, labels[BOX].copy())
    session.case.settle()


def lived_in(folder: Path, encrypted: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A study in which each step of the loop was done, and the user's own folder, with a rescue journal in it."""
    path, home = folder / "x.study", folder / "home"
    session = Session(AUTHOR, RecentStudies(home))
    session.create_study(path, LabelSchema.from_names([LABEL, "two"]), f"{TITLE} of {PERSON}", encrypted=encrypted)
    first = scan(folder)
    report = finish(session.add_scans([first], corrected=labels_of(folder)))
    assert (len(report.added), report.refused) == (1, ())
    assert len(finish(session.add_scans([scan(folder, 2)])).added) == 1
    case_id, other = session.study.cases.ids()
    model(session.study, case_id)
    shape = session.study.cases.info(case_id).shape
    proposed = np.random.default_rng(3).integers(0, 3, shape).astype(np.uint8)
    session.study.predictions.write(other, "v0001", Prediction(proposed, proposed, {1: 0.5}, 1.5, HOST))
    for each in (case_id, other):
        session.show_case(session.load_case(each))
        paint(session, 2)
    session.save()
    paint(session, 1)
    session.show_case(session.load_case(case_id))
    study = session.study
    subject = study.cases.info(other).subject
    assert subject == f"{PERSON}_Erika_2"
    study.split.assign(subject)
    study.split.move(subject, "validation", f"as {AUTHOR} wished")
    study.runs.create("train", {"for": AUTHOR}).emit({"event": "progress", "text": f"{LABEL} 0.5"})
    write_recipe(study, PostRecipe(), AUTHOR, f"because of {LABEL}")
    with monkeypatch.context() as patch:
        fail_from(patch, "napari_apprentice.store.journal.append_durably", 0)
        fail_from(patch, "napari_apprentice.store.journal.create_durably", 0)
        paint(session, 1)  # goes to the rescue journal
        session.close()
    still_here(study, case_id)
    return path, home


def model(study: Study, case_id: str) -> None:
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), ((1, 1, 1),), ((3, 3, 3),), (4,), 2, (Normalisation("zscore"),), (1,))
    gate = GateReport((GateRow(1, False, 0.5, 0.6, 1),), True, f"{LABEL} gained")
    version = ModelVersion(
        "v0001", None, now(), plan, study.schema, (f"{case_id}/r0001",), (), gate, {"by": AUTHOR}, 7, {}, "", LABEL
    )
    weights = study.path.with_name("weights")
    weights.write_bytes(b"only numbers" * 20)
    study.models.register(version, weights)
    study.models.activate("v0001", f"passed the gate: {LABEL} gained")


def still_here(study: Study, case_id: str) -> None:
    """Leave the file that says who has a case open as it is while somebody has."""
    folder = study.journal.root / case_id
    presence = Presence(study.journal.root, AUTHOR, study.vault)
    presence.enter(case_id)
    wait_for(lambda: list(folder.glob("open-*.json")))
    (found,) = folder.glob("open-*.json")
    kept = found.read_bytes()
    presence.leave(2.0)
    found.with_name("open-00000000.json").write_bytes(kept)


def wait_for(truth: Callable[[], object]) -> None:
    patience = time.monotonic() + 10
    while not truth():
        assert time.monotonic() < patience
        time.sleep(0.01)


def told(*folders: Path) -> set[str]:
    """Names that can be read in what lies in folders: in names of files, in bytes, in whatever common writing."""
    everything = b"\n".join(
        data
        for folder in folders
        for found in folder.rglob("*")
        for data in (str(found.relative_to(folder)).encode(), found.read_bytes() if found.is_file() else b"")
    ).lower()
    return {name for name in NAMES if any(form.lower() in everything for form in forms(name))}


def forms(name: str) -> Iterator[bytes]:
    yield from (name.encode(c) for c in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"))
    yield json.dumps(name)[1:-1].encode()
    for shift in range(3):  # base64 of it within something longer; its first and last character hang on neighbours
        yield b64encode(b"\0" * shift + name.encode()).rstrip(b"=")[2 if shift else 0 : -1]


def chunks(path: Path) -> list[bytes]:
    return [p.read_bytes() for p in path.glob("cases.zarr/**/c/**/*") if p.is_file()]


def test_nothing_of_a_name_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").mkdir()
    plain, home = lived_in(tmp_path / "plain", False, monkeypatch)
    (home / "recent.json").unlink()  # it names folders that the person chose, outside of the study
    assert told(plain, home) == set(NAMES)  # so the search does find them
    assert told(home) >= {AUTHOR}
    assert all(chunk.startswith(ZSTD) for chunk in chunks(plain) if chunk)
    (tmp_path / "secret").mkdir()
    secret, home = lived_in(tmp_path / "secret", True, monkeypatch)
    assert [p.suffix for p in home.rglob("*") if p.is_file()].count(".strokes") == 1
    (home / "recent.json").unlink()
    assert told(secret, home) == set()
    assert len(chunks(secret)) == len(chunks(plain))
    assert not any(ZSTD in chunk[:64] for chunk in chunks(secret))
    assert sentences(check(secret)) == ()


def test_it_is_read_as_a_plain_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every voxel, stroke and word comes back, and what is exported is bit for bit the same."""
    sessions = []
    for name, encrypted in (("plain", False), ("secret", True)):
        (tmp_path / name).mkdir()
        path, home = lived_in(tmp_path / name, encrypted, monkeypatch)
        session = Session(AUTHOR, RecentStudies(home))
        session.open_study(path)
        sessions.append(session)
    plain, secret = (session.study for session in sessions)
    assert (secret.title, secret.schema) == (plain.title, plain.schema)
    assert secret.cases.ids() == ("case-0001", "case-0002")
    assert secret.cases.info("case-0001").source_name == f"{PERSON}_Erika_1.nii.gz"
    for one, two in zip(plain.cases.ids(), secret.cases.ids(), strict=True):
        assert plain.cases.info(one).subject == secret.cases.info(two).subject
        assert plain.revisions.names(one) == secret.revisions.names(two)
        np.testing.assert_array_equal(plain.cases.levels(one)[0][0, 2:4], secret.cases.levels(two)[0][0, 2:4])
        for number, session, case_id in ((0, sessions[0], one), (1, sessions[1], two)):
            session.export(case_id, tmp_path / f"{number}.nii.gz")
        files = [nib.load(tmp_path / f"{number}.nii.gz") for number in (0, 1)]
        assert np.array_equal(np.asanyarray(files[0].dataobj), np.asanyarray(files[1].dataobj))
        assert files[0].header.structarr.tobytes() == files[1].header.structarr.tobytes()
        for number in (0, 1):
            (tmp_path / f"{number}.nii.gz").unlink()
        canvases = []
        for session, case_id in ((sessions[0], one), (sessions[1], two)):
            session.show_case(session.load_case(case_id))  # rescued strokes come over
            canvases.append(session.case.canvas.labels.copy())
            session.undo()
        np.testing.assert_array_equal(*canvases)
    assert dict(secret.split.sides()) == dict(plain.split.sides())
    assert secret.models.info("v0001").gate == plain.models.info("v0001").gate
    (event,) = secret.runs.open(secret.runs.ids()[0]).events(0)[0]
    assert event["text"] == f"{LABEL} 0.5"
    for session in sessions:
        session.close()
    assert sentences(check(secret.path)) == ()


def test_a_case_is_named_by_number_whatever_it_was_to_be_called(tmp_path: Path) -> None:
    study = Study.create(tmp_path / "x.study", LabelSchema.from_names(["one"]), encrypted=True)
    session = Session(AUTHOR, RecentStudies(tmp_path / "home"))
    session.open_study(study.path)
    refused = finish(session.add_scans([scan(tmp_path)], collect=AddSettings(case=PERSON))).refused
    assert "a case is called case-0001 and so on, not 'Mustermann'" in refused[0][1]
    assert finish(session.add_scans([scan(tmp_path)])).added == ("case-0001",)
    hidden = finish(session.add_scans([scan(tmp_path, 2)], settings=ReadSettings(hide_names=True))).added
    assert (hidden, study.cases.info("case-0002").source_name) == (("case-0002",), "case-0002")
    assert session.add_volume(volume(3), PERSON) == "case-0003"
    with pytest.raises(InputError, match="This study is encrypted, and the names of its folders can be read"):
        study.cases.add(PERSON, "s", volume(3))
    session.close()


@pytest.mark.parametrize("planted", ["another case's", "a plain one"])
def test_strokes_that_were_put_there_are_refused(tmp_path: Path, planted: str) -> None:
    """With right checksums: only the key tells that they do not belong there."""
    secret = Study.create(tmp_path / "x.study", LabelSchema.from_names(["one"]), encrypted=True)
    plain = Study.create(tmp_path / "y.study", LabelSchema.from_names(["one"]))
    session = Session(AUTHOR, RecentStudies(tmp_path / "home"))
    for study in (secret, plain):
        session.open_study(study.path)
        for number in (1, 2):
            study.cases.add(f"case-000{number}", f"s{number}", volume(number))
            session.show_case(session.load_case(f"case-000{number}"))
            paint(session, 1)
    session.close()
    assert len(secret.journal.read("case-0001").strokes) == 1
    other = secret.path / "journal/case-0002" if planted == "another case's" else plain.path / "journal/case-0001"
    (secret.path / "journal/case-0001/strokes.bin").write_bytes((other / "strokes.bin").read_bytes())
    with pytest.raises(StudyError, match="journal of case case-0001 is damaged at its beginning"):
        secret.journal.read("case-0001")
    assert any("case-0001 is damaged" in fault for fault in sentences(check(secret.path)))
