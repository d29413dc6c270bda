import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import SHAPE
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import InputError
from napari_apprentice.loop.audit import _cell, export_audit
from napari_apprentice.store.study import Study
from sound_study import sound_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study.open(sound_study(tmp_path / "a.study"))


def test_csv_and_json_say_the_same(study: Study, tmp_path: Path) -> None:
    assert export_audit(study, tmp_path / "a.csv") == export_audit(study, tmp_path / "a.JSON") == 4
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    facts = json.loads((tmp_path / "a.JSON").read_text())
    assert [r["revision"] for r in table] == [r["revision"] for r in facts["rows"]] == ["r0001", "r0002", "", ""]
    assert (table[0]["author"], table[0]["learned"], table[0]["side"]) == ("Ada", "v0001", "train")
    assert int(table[1]["changed two"]) == facts["rows"][1]["changed"]["two"] == SHAPE[1] * SHAPE[2]
    assert table[0]["digest"] == study.revisions.info("c1", "r0001").digest
    assert facts["activations"][0]["name"] == "v0001"


def test_names_never_become_formulas(study: Study, tmp_path: Path) -> None:
    zeros = np.zeros(SHAPE, np.uint8)
    author = '=HYPERLINK("http://example.org";"x")'
    study.revisions.save("c1", zeros, zeros, Provenance(author))
    export_audit(study, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert "'" + author in [r["author"] for r in csv.DictReader(file)]


@given(st.text(), st.sampled_from("=+-@\t\r\n"))
def test_no_cell_begins_as_a_formula_does(text: str, sign: str) -> None:
    for value in (text, sign + text, "  " + sign + text):
        assert not _cell(value).lstrip(" ").startswith(tuple("=+-@\t\r\n"))
    assert _cell(-3) == -3


def test_a_name_that_is_no_text_keeps_nobody_from_the_audit(study: Study, tmp_path: Path) -> None:
    zeros = np.zeros(SHAPE, np.uint8)
    study.revisions.save("c1", zeros, zeros, Provenance(b"M\xfcller".decode(errors="surrogateescape")))  # Latin-1
    export_audit(study, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [r["author"] for r in csv.DictReader(file)][:3] == ["Ada", "Bo", r"M\udcfcller"]


def test_a_file_is_not_overwritten_unasked(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    export_audit(study, out)
    with pytest.raises(InputError, match="exists already"):
        export_audit(study, out)
    export_audit(study, out, overwrite=True)
    with pytest.raises(InputError, match=r"\.csv or \.json"):
        export_audit(study, tmp_path / "a.xlsx")
