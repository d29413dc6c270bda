import errno

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.errors import RunError
from napari_apprentice.learn.cells import Cells
from napari_apprentice.store.cipher import PassingCipher

CPU = torch.device("cpu")
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "look", "add", "drop", "halve"]), st.integers(0, 5), st.integers(1, 4)),
    max_size=60,
)


@given(STEPS, st.integers(0, 200), st.booleans())
def test_cells_keep_what_was_put_however_little_memory_there_is(steps, budget, veiled):
    cells, expected = Cells(budget, CPU, PassingCipher() if veiled else None), {}
    for verb, i, size in steps:
        key = (i, 0, 0)
        if verb == "put":
            expected[key] = torch.randn(size, 3)
            cells.put(key, expected[key].clone())
        elif verb == "halve":
            cells.halve()
        elif key not in expected:
            assert key not in cells
        elif verb == "drop":
            cells.drop(key)
            del expected[key]
        elif verb == "add":
            amount = torch.randn(expected[key].shape)
            expected[key] = expected[key] + amount
            cell = cells.get(key)
            cell += amount
        elif verb == "look":
            assert torch.equal(cells.look(key), expected[key])
        else:
            assert torch.equal(cells.get(key), expected[key])
    for key, cell in expected.items():
        assert key in cells
        assert torch.equal(cells.get(key), cell)
    cells.close()


def test_what_is_needed_last_leaves_first():
    cells = Cells(3 * 400, CPU)
    for i, needed in enumerate((2.0, 9.0, 1.0, 5.0)):
        cells.put((i, 0, 0), torch.ones(100), needed)
    assert set(cells._away) == {(1, 0, 0)}
    cells.get((0, 0, 0), 20.0)
    cells.put((4, 0, 0), torch.ones(100), 30.0)  # what was touched last stays nevertheless
    assert set(cells._away) == {(1, 0, 0), (0, 0, 0)}
    cells.close()


def test_what_is_only_looked_at_is_not_written_again():
    cells = Cells(0, CPU)
    for i in range(4):
        cells.put((i, 0, 0), torch.full((100,), float(i)))
    cells.look((0, 0, 0))
    written = cells.spilled
    for _ in range(3):
        for i in range(4):
            assert (cells.look((i, 0, 0)) == i).all()
    assert cells.spilled == written == 4 * 400
    cells.close()


def test_places_in_the_file_are_used_again():
    cells = Cells(0, CPU)
    for _ in range(50):
        for i in range(4):
            cells.put((i, 0, 0), torch.ones(100))
        for i in range(4):
            cells.get((i, 0, 0))
            cells.drop((i, 0, 0))
    assert cells._end <= 4 * 400
    assert cells.spilled > 100 * 400
    cells.close()


def test_under_a_veil_nothing_of_them_is_in_the_file():
    files = {}
    for name, veil in (("plain", None), ("veiled", PassingCipher())):
        cells = Cells(0, CPU, veil)
        for _ in range(2):  # the second time into the place of the first
            for i in range(2):
                cells.put((i, 0, 0), torch.full((100,), 3.0))
                cells.drop((1 - i, 0, 0))
        cells.put((0, 0, 0), torch.full((100,), 3.0))
        cells.put((1, 0, 0), torch.full((100,), 3.0))
        file = cells._open()
        file.seek(0)
        files[name] = file.read()
        assert (cells.look((0, 0, 0)) == 3.0).all()
        cells.close()
    threes = torch.full((2,), 3.0).numpy().tobytes()
    assert threes in files["plain"]
    assert len(files["veiled"]) == len(files["plain"])
    assert threes not in files["veiled"]


def test_no_two_pieces_under_a_veil_have_the_same_key_stream():
    veil, data = PassingCipher(), memoryview(bytes(40))
    pieces = [veil.cover(data)[0] for _ in range(3)]  # of zeros: the stream itself
    blocks = [piece[i : i + 16] for piece in pieces for i in (0, 16)]
    assert len(set(blocks)) == len(blocks)
    assert veil.cover(data)[0] != PassingCipher().cover(data)[0]


def test_a_full_disk_is_said_plainly(monkeypatch):
    cells = Cells(0, CPU)

    class Full:
        def seek(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(cells, "_open", Full)
    cells.put((0, 0, 0), torch.ones(4))
    with pytest.raises(RunError, match="No space left"):
        cells.put((1, 0, 0), torch.ones(4))
