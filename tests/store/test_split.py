import threading

import pytest

from napari_apprentice.core.records import now
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.store.split import Split


@pytest.fixture
def split(tmp_path):
    return Split(tmp_path / "split.jsonl")


def test_two_to_learn_from_then_one_to_prove_it_on(split):
    sides = [split.assign(f"s{n}") for n in range(1, 14)]
    assert [n for n, side in enumerate(sides, 1) if side == "validation"] == [3, 8, 13]
    assert split.validation() == {"s3", "s8", "s13"}


def test_a_side_is_kept_for_good(split):
    assert split.side("a") is None
    assert split.assign("a") == split.assign("a") == split.side("a") == "train"
    assert len(split.sides()) == 1
    assert Split(split.ledger.path).side("a") == "train"


def test_a_side_can_be_chosen_for_a_new_subject_only(split):
    assert split.assign("a", side="validation") == "validation"
    assert split.assign("a", side="validation") == "validation"
    with pytest.raises(InputError, match="already"):
        split.assign("a", side="train")
    with pytest.raises(InputError, match="train or validation"):
        split.assign("b", side="test")


def test_moves_are_recorded(split):
    split.assign("a")
    split.move("a", "validation", "to balance sites")
    assert split.side("a") == "validation"
    assert split.ledger.read()[-1]["reason"] == "to balance sites"
    with pytest.raises(InputError, match="no side yet"):
        split.move("b", "train", "x")


def test_of_two_writers_the_first_counts(split):
    split.assign("a", side="train")
    split.ledger.append({"subject": "a", "side": "validation", "time": "later"})
    assert split.side("a") == "train"


def test_a_torn_last_line_is_repaired(split):
    split.assign("a")
    path = split.ledger.path
    path.write_bytes(path.read_bytes() + b'{"subject": "b", "si')
    assert split.sides() == {"a": "train"}
    split.assign("c")
    assert list(split.sides()) == ["a", "c"]


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"subject": "a", "side": "left"}'])
def test_a_damaged_line_is_told(split, line):
    split.assign("a")
    path = split.ledger.path
    path.write_text(f"{line}\n" + path.read_text())
    with pytest.raises(StudyError, match="line 1"):
        split.sides()


def test_of_two_subjects_that_come_at_once_one_is_the_third(split, monkeypatch):
    for subject in ("s1", "s2"):
        split.assign(subject)
    other = threading.Thread(target=Split(split.ledger.path).assign, args=("s4",))

    def slowly():
        monkeypatch.setattr("napari_apprentice.store.split.now", now)
        other.start()
        other.join(0.3)
        return now()

    monkeypatch.setattr("napari_apprentice.store.split.now", slowly)
    split.assign("s3")
    other.join()
    assert dict(split.sides()) == {"s1": "train", "s2": "train", "s3": "validation", "s4": "train"}
