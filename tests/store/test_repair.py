import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE
from faults import finish, sentences
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.loop.opening import load_case
from napari_apprentice.store.check import check
from napari_apprentice.store.files import aside_of, commit_folder, write_durably
from napari_apprentice.store.presence import Presence
from napari_apprentice.store.repair import repair
from napari_apprentice.store.study import Study
from sound_study import sound_study


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return sound_study(tmp_path / "a.study")


def _kept(path: Path) -> list[Path]:
    return sorted(p for p in (path / "repaired").rglob("*") if p.is_file())


def _mended(path: Path, *words: str) -> None:
    done = sentences(repair(path))
    for word in words:
        assert any(word in sentence for sentence in done), (word, done)
    assert finish(check(path)) == ()
    assert finish(repair(path)) == (), "a second repair finds nothing to do"


def test_a_sound_study_is_left_as_it_is(path):
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert finish(repair(path)) == ()
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


def test_what_is_no_study_is_told(tmp_path):
    with pytest.raises(StudyError, match="no study"):
        finish(repair(tmp_path))


@pytest.mark.parametrize("harm", ["cut", "zeros", "bit"])
def test_a_torn_or_damaged_last_stroke_goes_and_the_ones_before_stay(path, harm):
    file = path / "journal" / "c2" / "strokes.bin"
    whole = file.read_bytes()
    harmed = {"cut": whole[:-5], "zeros": whole + bytes(512), "bit": whole[:-5] + b"\xff" + whole[-4:]}[harm]
    file.write_bytes(harmed)
    assert bool(finish(check(path))) == (harm == "bit"), "what a crash leaves is no fault"
    _mended(path, "journal of case c2")
    assert len(Study.open(path).journal.read("c2").strokes) == (2 if harm == "zeros" else 1)
    assert [p.read_bytes() for p in _kept(path)] == [harmed]


def test_a_journal_that_somebody_works_on_is_left_alone(path):
    file = path / "journal" / "c2" / "strokes.bin"
    file.write_bytes(torn := file.read_bytes()[:-5])
    presence = Presence(path / "journal", "Ada")
    presence.enter("c2")
    until = time.monotonic() + 10
    while not list(file.parent.glob("open-*.json")) and time.monotonic() < until:
        time.sleep(0.01)
    (sentence,) = sentences(repair(path))
    assert "Ada has the case open" in sentence
    assert file.read_bytes() == torn
    presence.leave(10)
    _mended(path, "journal of case c2")


def test_damage_within_a_journal_keeps_what_is_before_it(path):
    file = path / "journal" / "c1" / "strokes.bin"
    whole = bytearray(file.read_bytes())
    first = whole.find(b"STRK", 4)
    whole[first + 40] ^= 1
    file.write_bytes(whole)
    _mended(path, "keeps its first 0 strokes")
    assert _kept(path)[0].read_bytes() == whole


def test_a_journal_without_a_beginning_is_moved_aside_whole(path):
    file = path / "journal" / "c1" / "strokes.bin"
    harmed = b"\xff" + file.read_bytes()[1:]
    file.write_bytes(harmed)
    _mended(path, "damaged at its beginning")
    assert Study.open(path).journal.read("c1") is None
    assert [p.read_bytes() for p in _kept(path)] == [harmed]


def test_an_empty_journal_goes_and_its_case_opens(path):
    file = path / "journal" / "c2" / "strokes.bin"
    os.truncate(file, 0)
    _mended(path, "damaged at its beginning")
    assert load_case(Study.open(path), "c2").unsaved == 0


def test_strokes_on_a_revision_that_is_gone_are_moved_aside_whole_and_the_case_opens(path):
    strokes = (path / "journal" / "c1" / "strokes.bin").read_bytes()
    shutil.rmtree(path / "cases.zarr/c1/image/labels/r0002")
    with pytest.raises(InputError, match="no revision r0002"):
        load_case(Study.open(path), "c1")
    told = sentences(repair(path))
    assert any("drawn on revision r0002, which is missing" in text and "moved to repaired/" in text for text in told)
    assert load_case(Study.open(path), "c1").parent == "r0001"
    assert [p.read_bytes() for p in _kept(path)] == [strokes]


def test_what_is_being_written_stays_where_clocks_differ(path, monkeypatch):
    aside = aside_of(path / "models" / "v0009")
    aside.mkdir()
    monkeypatch.setattr(time, "time", lambda: aside.stat().st_mtime + 2 * 24 * 3600)  # this computer's is wrong
    assert finish(repair(path)) == ()
    done = aside_of(path / "models" / "v0008")
    done.mkdir()
    assert commit_folder(done, path / "models" / "v0008")
    assert aside.exists()


def test_what_is_finished_while_it_is_looked_at_stops_nothing(path, monkeypatch):
    aside = aside_of(path / "runs" / "run")
    aside.mkdir()
    (aside / "run.json").touch()
    (path / "split.jsonl").write_bytes((path / "split.jsonl").read_bytes() + b"torn")

    def finished(folder, *args):
        yield from walk(folder, *args)
        if Path(folder) == aside:
            shutil.rmtree(aside)

    walk = os.walk
    monkeypatch.setattr(os, "walk", finished)
    assert "unfinished last line out of split.jsonl" in sentences(repair(path))[0]


def test_leftovers_of_a_crash_go_but_not_what_is_being_written(path):
    old, young = aside_of(path / "cases.zarr" / "c9"), aside_of(path / "models" / "v0009")
    for folder in (old, young):
        (folder / "image").mkdir(parents=True)
        (folder / "image" / "half").write_text("x")
    for place in (old / "image" / "half", old / "image", old):
        os.utime(place, (0, 0))
    _mended(path, old.name)
    assert not old.exists()
    assert (young / "image" / "half").exists()


@pytest.mark.parametrize("group", ["cases.zarr", "cases.zarr/c1", "cases.zarr/c1/predictions"])
@pytest.mark.parametrize("text", [None, "{", '{"zarr_format": 2}'])
def test_groups_are_written_anew(path, group, text):
    file = path / group / "zarr.json"
    before = json.loads(file.read_text())
    file.unlink() if text is None else file.write_text(text)
    _mended(path, "zarr.json anew")
    assert json.loads(file.read_text()) == before


def test_the_list_of_label_maps_is_written_anew(path):
    file = path / "cases.zarr" / "c1" / "image" / "labels" / "zarr.json"
    before = json.loads(file.read_text())
    lists = ((["r0002"], True), (["r0001"], False), (["r0001", "r0002", "r0003"], True), (None, True))
    for names, told in lists:  # a kill right after saving leaves the newest out of the list
        document = json.loads(file.read_text())
        document["attributes"]["ome"]["labels"] = names
        file.write_text(json.dumps(document))
        assert bool(finish(check(path))) == told
        _mended(path, "list of label maps")
        assert json.loads(file.read_text()) == before


def test_attributes_for_other_tools_are_written_anew(path):
    file = path / "cases.zarr" / "c2" / "image" / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["ome"]["multiscales"][0]["datasets"].pop()
    file.write_text(json.dumps(document))
    _mended(path, "OME-Zarr attributes of case c2")


def test_coarse_levels_are_made_anew(path):
    before = [level[...] for level in Study.open(path).cases.levels("c2")]
    chunk = next(p for p in (path / "cases.zarr/c2/image/1/c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-3])
    _mended(path, "level 1 of case c2")
    for old, new in zip(before, Study.open(path).cases.levels("c2"), strict=True):
        np.testing.assert_array_equal(old, new[...])


def test_a_damaged_prediction_is_taken_away_and_kept(path):
    (path / "cases.zarr/c1/predictions/v0001/uncertainty/zarr.json").write_text("{")
    _mended(path, "predict it again")
    assert not Study.open(path).predictions.has("c1", "v0001")
    assert _kept(path)


def test_an_unreadable_line_of_a_ledger_goes_and_the_others_stay(path):
    file = path / "split.jsonl"
    whole = file.read_bytes()
    file.write_bytes(b"\xff\n" + whole + b'{"subject": "s3", "si')
    _mended(path, "line 1 out of split.jsonl")
    assert file.read_bytes() == whole
    assert dict(Study.open(path).split.sides()) == {"s1": "train", "s2": "train"}


def test_a_line_that_somebody_adds_to_a_ledger_while_it_is_repaired_is_kept(path, monkeypatch):
    ledger = Study.open(path).split.ledger
    with ledger.path.open("ab") as file:
        file.write(b"no JSON\n")
    adding = threading.Thread(target=ledger.append, args=({"subject": "s9", "side": "train"},))

    def slowly(target, data):
        if target == ledger.path:
            adding.start()
            adding.join(0.3)
        write_durably(target, data)

    monkeypatch.setattr("napari_apprentice.store.repair.write_durably", slowly)
    done = sentences(repair(path))
    adding.join()
    assert "Took line" in done[0]
    assert [r["subject"] for r in ledger.read()] == ["s1", "s2", "s9"]


def test_revisions_and_scans_are_never_touched(path):
    study = Study.open(path)
    zeros = np.zeros(SHAPE, np.uint8)
    study.revisions.save("c1", zeros, zeros, Provenance("Cy"))
    for harmed in ("c1/image/labels/r0001/zarr.json", "c1/image/labels/r0002/0/zarr.json", "c2/image/0/zarr.json"):
        (path / "cases.zarr" / harmed).write_text("{")
    before = {p: p.read_bytes() for p in (path / "cases.zarr").rglob("*") if p.is_file()}
    (told,) = sentences(repair(path))
    assert "drawn on revision r0002" in told, "strokes on the damaged one are moved aside, and nothing else is"
    assert {p: p.read_bytes() for p in (path / "cases.zarr").rglob("*") if p.is_file()} == before
    assert len(finish(check(path))) >= 3
