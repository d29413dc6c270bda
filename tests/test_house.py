"""The house rules that a linter does not know."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from napari_apprentice import errors
from napari_apprentice.store.user_folder import user_folder

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_apprentice"
MANIFEST = PACKAGE / "napari.yaml"
FILES = sorted(PACKAGE.rglob("*.py"))
LEARNING = ("torch", "monai")
WINDOWS = ("napari", "qtpy", "PyQt6", "PySide6", "superqt", "magicgui", "pyqtgraph")
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ImportError(name + ' may not be imported here')
sys.meta_path.insert(0, Block())
"""
IMPORT_ALL = """
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
print(sorted(name for name in {unwanted!r} if name in sys.modules))
"""


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def in_gui(file: Path) -> bool:
    return (PACKAGE / "gui") in file.parents


def modules(*, gui: bool) -> list[str]:
    return [module_name(file) for file in FILES if in_gui(file) == gui and file.stem != "__main__"]


def run(code: str) -> str:
    env = os.environ | {"QT_QPA_PLATFORM": "offscreen"} if sys.platform.startswith("linux") else None
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    return tuple((str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))) for file in FILES)


@pytest.fixture(scope="module")
def user_folder_of_a_module() -> Path:
    """Where what several tests share is made, before one of them has a folder of its own."""
    return user_folder()


def test_what_tests_share_is_not_made_in_the_developers_folder(user_folder_of_a_module: Path) -> None:
    """Their own training run has the turn there: tests that train would wait until it ends."""
    assert user_folder_of_a_module.parent.name.startswith("apprentice-tests-")


@pytest.mark.slow
def test_everything_below_gui_works_without_qt_and_napari() -> None:
    block = BLOCK.format(blocked=WINDOWS)
    assert run(block + IMPORT_ALL.format(modules=modules(gui=False), unwanted=WINDOWS)) == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["session", "cli", "loop.launch"])
def test_the_way_to_the_window_does_not_import_torch(name: str) -> None:
    code = IMPORT_ALL.format(modules=[f"napari_apprentice.{name}"], unwanted=LEARNING)
    assert run(code) == "[]"


@pytest.mark.skipif(find_spec("napari") is None, reason="napari is not installed")
def test_the_window_does_not_import_torch() -> None:
    assert run(IMPORT_ALL.format(modules=modules(gui=True), unwanted=LEARNING)) == "[]"


def test_manifest_at_the_top_is_a_link() -> None:
    link = ROOT / "napari.yaml"
    target = "src/napari_apprentice/napari.yaml"
    # A checkout on Windows may hold the link's target as a line of text.
    found = os.readlink(link) if link.is_symlink() else link.read_text(encoding="utf-8").strip()  # noqa: PTH115
    assert found.replace(os.sep, "/") == target


def test_manifest_is_valid_and_names_things_that_exist() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    assert manifest.name == "napari-apprentice"
    manifest.validate_imports()


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}


def prints(tree: ast.Module) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Name) and called.id == "print" for called in calls)


def test_only_the_command_line_prints() -> None:
    cli = str(Path("src", "napari_apprentice", "cli.py"))
    assert [name for name, tree in trees() if prints(tree) and name != cli] == []


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {node.module.partition(".")[0]} if isinstance(node, ast.ImportFrom) and node.module else set()


def torch_files(node: ast.AST) -> bool:
    """True for torch.load and torch.save, which are pickle under another name."""
    if isinstance(node, ast.ImportFrom) and node.module == "torch":
        return any(alias.name in ("load", "save") for alias in node.names)
    is_torch = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch"
    return is_torch and isinstance(node, ast.Attribute) and node.attr in ("load", "save")


READS_CHECKPOINTS = str(Path("src", "napari_apprentice", "learn", "importing.py"))


def test_nothing_is_pickled() -> None:
    guilty = [
        f"{name}:{getattr(node, 'lineno', 0)}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if name != READS_CHECKPOINTS and (imported(node) & FORBIDDEN_IMPORTS or torch_files(node))
    ]
    assert guilty == []


def test_checkpoints_of_others_are_read_as_weights_alone() -> None:
    nodes = [n for name, tree in trees() if name == READS_CHECKPOINTS for n in ast.walk(tree)]
    calls = [n for n in nodes if isinstance(n, ast.Call) and torch_files(n.func)]
    assert [ast.unparse(n.func) for n in calls] == ["torch.load"]
    assert all("weights_only=True" in ast.unparse(n) for n in calls)
    assert sum(map(torch_files, nodes)) == len(calls)  # and under no other name
    taken = [ast.unparse(n) for n in nodes if imported(n) & FORBIDDEN_IMPORTS]
    assert taken == ["from pickle import UnpicklingError"]


def test_every_error_is_of_the_tree() -> None:
    public = [value for name, value in vars(errors).items() if not name.startswith("_")]
    assert public
    assert [value for value in public if not issubclass(value, errors.ApprenticeError)] == []


def test_only_the_workers_of_the_loop_learn() -> None:
    learn = "napari_apprentice.learn"
    guilty = {
        name
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(learn)
        if "/learn/" not in name.replace(os.sep, "/") and not Path(name).name.startswith("worker")
    }
    assert guilty == set()


def test_pages_that_a_message_sends_a_person_to_are_there() -> None:
    named = {page for f in FILES for page in re.findall(r"\bdocs/[\w/-]+(?:\.md)?", f.read_text(encoding="utf-8"))}
    assert {page for page in named if not (ROOT / page).exists()} == set()
