"""A study from somebody else: it runs no code, leads nowhere else and takes no more memory than there is."""

import json
import os
import pickle
import shutil
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google_crc32c import value as crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs import Zstd

from faults import finish, sentences
from napari_apprentice.core.correction import Stroke
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import ApprenticeError, StudyError
from napari_apprentice.loop.history import case_history
from napari_apprentice.loop.opening import load_case
from napari_apprentice.store.arrays import read_array
from napari_apprentice.store.bounded_zstd import content_bytes
from napari_apprentice.store.check import check
from napari_apprentice.store.keys import new_key, to_text
from napari_apprentice.store.prediction_place import sweep_dead
from napari_apprentice.store.repair import repair
from napari_apprentice.store.stroke_record import decode, encode
from napari_apprentice.store.study import Study
from napari_apprentice.store.trust import LARGEST_DOCUMENT, physical_memory
from sound_study import LONG, sound_study

ARRAY = "cases.zarr/c1/image/0"
MEMORY = 64 * 1024**2  # far more than reading the sound study takes


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_study(tmp_path_factory.mktemp("sound") / "sound.study")


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "a.study"))


def _use(path: Path) -> None:
    """What a person does with a study, as far as it goes."""
    study = Study.open(path)
    for verb in (study.cases.voxels, study.cases.info, lambda c: load_case(study, c), lambda c: case_history(study, c)):
        for case_id in (*study.cases.ids(), "c1"):
            try:
                verb(case_id)
            except ApprenticeError:
                continue


def _changed(path: Path, **changes: Any) -> None:
    document = json.loads((path / ARRAY / "zarr.json").read_text())
    (path / ARRAY / "zarr.json").write_text(json.dumps(document | changes))


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_an_array_of_another_format_is_not_unpickled(path, tmp_path):
    shutil.rmtree(path / ARRAY)
    (path / ARRAY).mkdir()
    described = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C"}
    (path / ARRAY / ".zarray").write_text(
        json.dumps({**described, "compressor": None, "filters": [{"id": "pickle", "protocol": 5}]})
    )
    (path / ARRAY / "0").write_bytes(pickle.dumps(_Evil(tmp_path / "ran")))
    with pytest.raises(StudyError):
        Study.open(path).cases.voxels("c1")
    _use(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("codec", ["numcodecs.pickle", "gzip", "vlen-bytes", "anything.at.all"])
def test_only_codecs_that_this_program_writes_are_loaded(path, codec):
    _changed(path, codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, {"name": codec}])
    with pytest.raises(StudyError, match="description"):
        Study.open(path).cases.voxels("c1")


def test_more_voxels_than_memory_are_refused_before_they_are_asked_for(path):
    memory = physical_memory()
    if memory is None:
        pytest.skip("this system does not say how much memory it has")
    side = round((memory / 2) ** (1 / 3)) + 500
    _changed(path, shape=[1, side, side, side])
    with pytest.raises(StudyError, match="GB of memory"):
        Study.open(path).cases.voxels("c1")


lengths = st.one_of(st.integers(-3, 2**70), st.sampled_from([0, 1, 64, 256, 2**31, 2**63]), st.none(), st.text())


@given(
    shape=st.lists(lengths, max_size=5),
    chunk=st.lists(lengths, max_size=5),
    kind=st.sampled_from(["int16", "uint8", "float64", "O", "r99999999", "string", 7]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_description_takes_memory_or_another_error(sound, tmp_path_factory, shape, chunk, kind):
    path = Path(shutil.copytree(sound / ARRAY, tmp_path_factory.mktemp("a") / "cases.zarr" / "0"))
    document = json.loads((path / "zarr.json").read_text())
    document |= {"shape": shape, "data_type": kind}
    document["chunk_grid"]["configuration"]["chunk_shape"] = chunk
    (path / "zarr.json").write_text(json.dumps(document))
    tracemalloc.start()
    try:
        read_array(path)
    except StudyError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MEMORY


@pytest.mark.parametrize("name", ["study.json", f"{ARRAY}/zarr.json", "models/v0001/model.json"])
def test_a_document_larger_than_any_is_not_read(path, name):
    with (path / name).open("r+b") as file:
        file.truncate(LARGEST_DOCUMENT * 1000)  # sparse: it takes no room on the disk
    (sentence, *_) = sentences(check(path))
    assert "larger" in sentence or "damaged" in sentence


def test_deep_json_is_a_sentence(path):
    (path / "models" / "v0001" / "model.json").write_text('{"a":' * 100_000)
    with pytest.raises(StudyError, match="not JSON"):
        Study.open(path).models.info("v0001")


LINKED = [
    "study.json", "split.jsonl", "models/activations.jsonl", "models/v0001", "models/v0001/weights.safetensors",
    "cases.zarr/c1", "cases.zarr/c1/image", "cases.zarr/c1/image/labels", "cases.zarr/c1/image/labels/r0001",
    "cases.zarr/c1/image/zarr.json", "cases.zarr/c1/image/0/c", "cases.zarr/c1/predictions/v0001", "journal/c1",
    "journal/c1/strokes.bin",
]  # fmt: skip


@pytest.mark.parametrize("name", LINKED)
def test_links_are_found_not_followed_and_never_written_through(path, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (path / name).rename(elsewhere)
    (path / name).symlink_to(elsewhere)
    before = _content(elsewhere)
    faults = sentences(check(path))
    assert any("link" in fault for fault in faults), faults
    with suppress(ApprenticeError):
        _write_everywhere(Study.open(path))
    assert _content(elsewhere) == before


def _content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


def _write_everywhere(study: Study) -> None:
    shape = (6, 8, 10)
    zeros, one = np.zeros(shape, np.uint8), np.ones((1, 1, 1), np.uint8)
    verbs = (
        lambda: study.split.assign("s9"),
        lambda: study.models.activate("v0001", "x"),
        lambda: study.revisions.save("c1", zeros, zeros, Provenance("x")),
        lambda: study.journal.append("c1", Stroke((0, 0, 0), one, one + 1, one, one)),
        lambda: study.journal.close("c1"),
        lambda: study.set_schema(study.schema),
    )
    for verb in verbs:
        try:
            verb()
        except ApprenticeError:
            continue


@pytest.mark.parametrize("name", ["events.jsonl", "run.json"])
def test_a_run_is_not_written_through_a_link(path, tmp_path, name):
    study = Study.open(path)
    run = study.runs.root / study.runs.ids()[0]
    (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StudyError, match="link"):
        study.runs.open(run.name).emit({"step": 2})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_in_place_of_a_file_does_not_hang(path):
    (path / "cases.zarr/c1/image/zarr.json").unlink()
    os.mkfifo(path / "cases.zarr/c1/image/zarr.json")
    with pytest.raises(StudyError, match="no file"):
        Study.open(path).cases.info("c1")


@pytest.mark.parametrize("name", ["../c1", "..", "/etc", "c1/../c2", "c1\\..\\c2", "C1/", "", ".c1", "con"])
def test_names_that_lead_elsewhere_are_refused_everywhere(path, name):
    study = Study.open(path)
    verbs = (
        study.cases.info, study.revisions.names, lambda n: study.revisions.read("c1", n), study.models.info,
        lambda n: study.predictions.read("c1", n), study.journal.read, study.runs.open,
        lambda n: study.cases.add(n, "s", None),
    )  # fmt: skip
    for verb in verbs:
        with pytest.raises(ApprenticeError):
            verb(name)


def test_a_case_whose_folder_was_renamed_is_told(path):
    (path / "cases.zarr" / "c2").rename(path / "cases.zarr" / "c7")
    assert any("The folder of case c2 is called c7" in fault for fault in sentences(check(path)))


def test_a_model_version_whose_folder_was_renamed_is_told(path):
    (path / "models" / "v0001").rename(path / "models" / "v0002")
    assert any("model version v0001 is called v0002" in fault for fault in sentences(check(path)))


def test_a_stroke_that_claims_to_be_huge_takes_no_memory(path):
    study = Study.open(path)
    zeros = np.zeros(LONG, np.uint8)
    study.journal.append("c2", Stroke((0, 0, 0), zeros, zeros, zeros, zeros))
    file = path / "journal" / "c2" / "strokes.bin"
    data = file.read_bytes()
    file.write_bytes(_claiming(data, [1 << 20, 1 << 20, 1 << 20]))
    tracemalloc.start()
    content = Study.open(path).journal.read("c2")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(content.strokes) == 2
    assert peak < MEMORY


PIPED = ("journal/c2/strokes.bin", "journal/c1/r0002.bin", f"{ARRAY}/c/0/0/0/0")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.parametrize("name", PIPED)
def test_a_pipe_in_place_of_strokes_or_voxels_does_not_hang(path, name):
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)
    assert any(" no file" in f or "are damaged" in f for f in sentences(check(path)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_pipes_in_place_of_events_and_slabs_do_not_hang(path):
    run = Study.open(path).runs.ids()[0]
    (path / "runs" / run / "events.jsonl").unlink()
    os.mkfifo(path / "runs" / run / "events.jsonl")
    aside = path / "cases.zarr" / "c1" / "predictions" / ".v0001.12345678.aside"
    aside.mkdir()
    os.mkfifo(aside / "slabs.jsonl")
    study = Study.open(path)
    for verb in (lambda: study.runs.open(run).events(0), lambda: study.runs.open(run).emit({"step": 2})):
        with pytest.raises(StudyError, match="no file"):
            verb()
    sweep_dead(aside.parent)


@pytest.mark.parametrize("name", ["journal/c2/strokes.bin", f"{ARRAY}/c/0/0/0/0"])
def test_a_file_that_claims_to_be_larger_than_memory_is_a_sentence(path, name):
    with (path / name).open("rb+") as file:
        file.truncate(2**42)  # takes no room on the disk
    assert any("larger than such a file can be" in fault for fault in sentences(check(path)))
    finish(repair(path))  # leaves it alone


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_chunk_that_unpacks_to_more_than_its_voxels_is_not_unpacked(path, tmp_path, monkeypatch, encrypted):
    bomb, case_id = Zstd(1).encode(bytes(4 * MEMORY)), "c1"
    if encrypted:
        monkeypatch.setenv("APPRENTICE_KEY", to_text(new_key()))
        path, case_id = sound_study(tmp_path / "sealed.study", encrypted=True), "case-0001"
    array, vault = path / "cases.zarr" / case_id / "image" / "0", Study.open(path).vault.at(case_id, "image", "0")
    described = json.loads((array / "zarr.json").read_text())["codecs"][0]["configuration"]["codecs"][-1]
    if encrypted:
        bomb = bytes(vault.at(described["configuration"]["array"]).seal(bomb))
    shard = array / "c/0/0/0/0"
    index = np.array([0, len(bomb)], "<u8").tobytes()
    shard.write_bytes(bomb + index + np.uint32(crc32c(index)).tobytes())
    tracemalloc.start()
    with pytest.raises(StudyError, match="as many voxels"):
        read_array(array, vault)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY


@given(st.integers(0, 2**40), st.sampled_from([0, 1, 3]))
def test_what_a_frame_says_of_its_size_is_understood(size, level):
    small = size % 70_000
    assert content_bytes(Zstd(level, checksum=bool(level)).encode(bytes(small))[:18]) == small
    assert content_bytes(b"\x28\xb5\x2f\xfd\xc0\x50" + size.to_bytes(8, "little")) == size


def test_a_stroke_that_unpacks_to_more_than_the_scan_is_not_unpacked(path):
    file = path / "journal" / "c2" / "strokes.bin"
    shape, voxels = [256, 512, 512], 256 * 512 * 512
    header = {"start": [0, 0, 0], "shape": shape, "tool": "paint", "seconds": 1.0, "dtypes": ["|u1"] * 4}
    data = file.read_bytes() + encode(header, zlib.compress(bytes(4 * voxels), 1))
    file.write_bytes(data)
    (path / "journal" / "c1" / "r0002.bin").write_bytes(data)
    tracemalloc.start()
    content = Study.open(path).journal.read("c2")
    faults = sentences(check(path))
    done = sentences(repair(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert content is not None
    assert content.damaged
    assert any("The journal of case c2 is damaged" in fault or "ends in a damaged" in fault for fault in faults)
    assert any("keeps its first" in line for line in done)
    assert peak < MEMORY


def _claiming(data: bytes, shape: list[int]) -> bytes:
    """The journal with its last stroke of another shape, checksums and all."""
    offset, last = 0, 0
    while offset < len(data):
        last = offset
        header, payload, offset = decode(memoryview(data), offset)
    return data[:last] + encode({**header, "shape": shape}, bytes(payload))
