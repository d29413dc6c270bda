"""What the pages say is what the program does: their commands are understood, and their Python runs as printed."""

import json
import re
import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import write_nifti
from napari_apprentice.cli import COMMANDS, main
from napari_apprentice.cli_options import UsageError, parser
from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.scans.datasets.dataset_json import read_dataset_json
from napari_apprentice.scans.datasets.finding import find_scans
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.session import Session

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHAPE = (12, 10, 8)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def commands() -> list[tuple[str, str]]:
    """Every command that a page gives to be copied."""
    pages = [(page.name, block) for page in PAGES for block in blocks(page, "")]
    lines = [(page, line.partition("#")[0]) for page, block in pages for line in block.splitlines()]
    return [(page, line.removeprefix("apprentice ").strip()) for page, line in lines if line.startswith("apprentice ")]


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_that_can_be_copied_is_understood(page: str, command: str) -> None:
    try:
        parser().parse_args(shlex.split(command))
    except UsageError as error:
        pytest.fail(f"{page}: apprentice {command}: {error}")


def test_every_command_is_in_the_readme_and_has_the_flags_that_stand_there() -> None:
    rows = re.findall(r"^\| (`apprentice .*) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    told: set[str] = set()
    for row in rows:
        texts = re.findall(r"`(?:apprentice )?([^`]+)`", row.replace("\\|", "|"))
        named = {text.split()[0] for text in texts} & set(COMMANDS)
        strange = set(re.findall(r"--[a-z-]+", row)) - {flag for name in named for flag in _flags(name)}
        assert not strange, f"{', '.join(named)} has no {', '.join(strange)}"
        told |= named
    assert told == set(COMMANDS)


def _flags(command: str) -> set[str]:
    choices: dict[str, Any] = next(a.choices for a in parser()._actions if a.dest == "command")
    return {flag for action in choices[command]._actions for flag in action.option_strings}


def test_every_key_of_the_window_is_in_the_tutorial() -> None:
    desk = (ROOT / "src/napari_apprentice/gui/desk.py").read_text(encoding="utf-8")
    bound = {
        key.replace("Control", "Ctrl").replace("-", "+") for key in re.findall(r'^ +"([\w-]+)": lambda', desk, re.M)
    }
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs/tutorial.md").read_text(encoding="utf-8"), re.M)
    assert {"N", "Shift+T"} <= bound
    assert bound <= {key for row in rows for key in row.split(", ")}


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page on scripting defines, in a folder with scans called like those of the Decathlon."""
    rng = np.random.default_rng(0)
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / "hippocampus" / name).mkdir(parents=True)
    for i in range(8):
        labels = np.zeros(SHAPE, np.uint8)
        labels[3:9, 3:8, 2:4], labels[3:9, 3:8, 4:6] = 1, 2
        write_nifti(tmp_path / f"hippocampus/labelsTr/hippocampus_{i:03d}.nii.gz", labels)
        voxels = (rng.normal(100, 10, SHAPE) + 80 * labels).astype(np.int16)
        write_nifti(tmp_path / f"hippocampus/imagesTr/hippocampus_{i:03d}.nii.gz", voxels)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(ROOT / "docs/scripting.md", "python"):
        if "in (review_queue, at_random):" not in block:  # trains for minutes
            exec(block, names)
    return names


@pytest.mark.usefixtures("scripted")
def test_the_script_hands_over_what_nnunet_and_monai_read(tmp_path: Path) -> None:
    """By their conventions: names, consecutive labels, the same grid, the study's own split."""
    out, session = tmp_path / "Dataset004_Hippocampus", Session()
    session.open_study(tmp_path / "handed-on.study")
    facts = read_dataset_json(out / "dataset.json")
    assert (facts.nnunet, facts.ignore, facts.schema.ids) == (True, 3, (1, 2))
    found = find_scans([out], AddSettings())
    assert (found.kind, len(found.cases)) == ("nnunet", 5)
    sides = {row.case_id: row.side for row in session.case_rows() if row.revisions}
    (fold,) = json.loads((out / "splits_final.json").read_text())
    assert {**dict.fromkeys(fold["train"], "train"), **dict.fromkeys(fold["val"], "validation")} == sides
    told = json.loads((out / "dataset.json").read_text())
    assert len(told["validation"]) == len(fold["val"]) >= 1
    for row in (*told["training"], *told["validation"]):
        scan, labels = read_volume(out / row["image"]), read_label_map(out / row["label"])
        assert np.array_equal(scan.geometry.source_affine, labels.geometry.source_affine)
        source = tmp_path / "hippocampus/imagesTr" / f"{row['case']}.nii.gz"
        assert np.array_equal(scan.voxels, read_volume(source).voxels)


@pytest.mark.usefixtures("scripted")
def test_every_correction_comes_out_as_the_questions_say(tmp_path: Path) -> None:
    (tmp_path / "handed-on.study").rename("liver.study")
    for block in blocks(ROOT / "docs/questions.md", "python"):
        exec(block, {})
    assert len(list((tmp_path / "corrected").glob("*.nii.gz"))) == 5


def test_the_version_to_cite_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"napari-apprentice {version('napari-apprentice')}\n")


@pytest.mark.slow
def test_the_script_compares_strategies(scripted: dict[str, Any], tmp_path: Path) -> None:
    sizes = {"count": 8, "test": 2, "batch": 2, "rounds": 1, "steps": 4}
    curve = list(scripted["learning_curve"](tmp_path / "a.study", scripted["review_queue"], **sizes))
    assert [corrected for corrected, _ in curve] == [2, 4]
