"""The developer's tool: dev.py."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
needs_xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("numpy==2.0\n")
    return tmp_path


def test_fingerprint_stays_when_nothing_changes(dev: ModuleType, project: Path) -> None:
    assert dev.fingerprint(project, "3.11.7") == dev.fingerprint(project, "3.11.7")


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_fingerprint_follows_each_file(dev: ModuleType, project: Path, name: str) -> None:
    before = dev.fingerprint(project, "3.11.7")
    (project / name).write_text("another\n")
    assert dev.fingerprint(project, "3.11.7") != before


def test_fingerprint_follows_python(dev: ModuleType, project: Path) -> None:
    assert dev.fingerprint(project, "3.11.7") != dev.fingerprint(project, "3.12.1")


def test_stamp_is_current_only_with_the_same_word(dev: ModuleType, tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    assert not dev.is_current(stamp, "abc")
    stamp.write_text("abc\n")
    assert dev.is_current(stamp, "abc")
    assert not dev.is_current(stamp, "abd")


@pytest.fixture
def installed(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for pip, and list what it was asked to install."""
    asked: list[str] = []
    monkeypatch.setattr(dev, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(dev, "venv_python", lambda: Path(sys.executable))
    monkeypatch.setattr(dev, "make_environment", lambda: None)
    monkeypatch.setattr(dev, "install", lambda *words: asked.append(words[-1]))
    monkeypatch.setattr(dev, "pip", lambda *words: asked.append(str(words[-1])) or 0)
    return asked


@pytest.mark.parametrize("sound", [True, False])
def test_setup_installs_the_pins_or_asks_what_is_missing_and_nothing_the_second_time(
    dev: ModuleType, installed: list[str], monkeypatch: pytest.MonkeyPatch, sound: bool
) -> None:
    monkeypatch.setattr(dev, "ON_LINUX", True)
    monkeypatch.setattr(dev, "quiet", lambda *_: sound)
    dev.setup()
    dev.setup()
    assert installed == [str(ROOT / "constraints.txt"), ".", *([] if sound else ["torch", ".[dev]"])]


def test_an_environment_that_was_moved_with_its_folder_is_made_anew(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its programs, lint-imports and apprentice among them, name their Python by its full path."""
    old, new = tmp_path / "a checkout", tmp_path / "moved"
    called: list[list[str]] = []
    monkeypatch.setattr(dev, "call", lambda *words: called.append([str(w) for w in words]) or 0)
    monkeypatch.setattr(dev, "quiet", lambda *_: True)  # its pip works wherever it is
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", old / ".venv"], check=True)
    monkeypatch.setattr(dev, "VENV", old / ".venv")
    dev.make_environment()
    assert called == []
    old.rename(new)
    monkeypatch.setattr(dev, "VENV", new / ".venv")
    dev.make_environment()
    assert called == [[sys.executable, "-m", "venv", "--clear", str(new / ".venv")]]


def test_setup_elsewhere_installs_torch_first(
    dev: ModuleType, installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "ON_LINUX", False)
    dev.setup()
    assert installed == ["torch", ".[dev]"]


def test_pins_hold_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(r) for r in (*project["dependencies"], *chain(*project["optional-dependencies"].values()))]
    lines = [line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pinned = {canonicalize_name(name): version for name, _, version in lines if version}
    here = [r for r in asked if r.name != "napari-apprentice" and (not r.marker or r.marker.evaluate({"extra": ""}))]
    versions = {str(r): pinned.get(canonicalize_name(r.name), "none") for r in here}
    assert {str(r): versions[str(r)] for r in here if not r.specifier.contains(versions[str(r)])} == {}


def test_pins_can_be_installed_with_every_python_that_the_project_is_for() -> None:
    """Debian 12 has Python 3.11.2: one pin asked for 3.11.5, and a newcomer's first command ended there."""
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    here = [d for d in distributions() if pinned.get(canonicalize_name(d.name)) == d.version]
    asked = {d.name: SpecifierSet(d.metadata.get("Requires-Python", "")) for d in here}
    assert len(here) > 20
    assert {name: str(pythons) for name, pythons in asked.items() if not pythons.contains(f"{oldest}.0")} == {}


def test_a_failed_setup_leaves_no_stamp(dev: ModuleType, installed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "ON_LINUX", False)
    dev.setup()
    (dev.STAMP).write_text("older")

    def fail(*_: str) -> None:
        raise dev.Stop("no line")

    monkeypatch.setattr(dev, "install", fail)
    with pytest.raises(dev.Stop):
        dev.setup()
    assert not dev.STAMP.exists()
    assert len(installed) == 2


def test_pins_are_plain_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert any(pin.startswith("torch==") for pin in pins)
    assert [pin for pin in pins if "==" not in pin or any(mark in pin for mark in "+/@ ")] == []


def test_missing_libraries_map_to_packages(dev: ModuleType) -> None:
    def has_library(name: str) -> bool:
        return name != "libxcb-cursor.so.0"

    missing = dev.missing_packages(virtual=True, has_library=has_library, has_program=lambda _: False)
    assert missing == {"libxcb-cursor.so.0": "libxcb-cursor0", "Xvfb": "xvfb"}


def test_nothing_missing_needs_nothing(dev: ModuleType) -> None:
    assert dev.missing_packages(virtual=True, has_library=lambda _: True, has_program=lambda _: True) == {}


def test_virtual_display_is_asked_for_only_where_needed(dev: ModuleType) -> None:
    assert "Xvfb" not in dev.missing_packages(virtual=False, has_library=lambda _: True, has_program=lambda _: False)


def test_advice_is_the_exact_command_on_debian(dev: ModuleType) -> None:
    missing = {"libEGL.so.1": "libegl1", "Xvfb": "xvfb"}
    assert dev.advice(missing, debian=True) == "Please run: sudo apt-get install libegl1 xvfb"
    assert "Xvfb, libEGL.so.1" in dev.advice(missing, debian=False)


def test_where_it_may_not_install_it_says_so_and_goes_on(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "ON_LINUX", True)
    monkeypatch.setattr(dev, "apt_prefix", lambda: None)
    monkeypatch.setattr(dev, "missing_packages", lambda **_: {"libEGL.so.1": "libegl1"})
    dev.system_libraries()
    assert "lib" in capsys.readouterr().out


@needs_xvfb
def test_two_virtual_displays_get_two_numbers_and_end(dev: ModuleType) -> None:
    with dev.virtual_display() as one, dev.virtual_display() as two:
        assert one != two
        sockets = [Path("/tmp/.X11-unix", f"X{name[1:]}") for name in (one, two)]
        assert all(socket.exists() for socket in sockets)
    assert not any(socket.exists() for socket in sockets)


def test_window_environment_draws_on_that_display_only(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    env = dev.window_environment(":7")
    assert env["DISPLAY"] == ":7"
    assert env["QT_QPA_PLATFORM"] == "xcb"
    assert "WAYLAND_DISPLAY" not in env


@pytest.mark.parametrize(("env", "expected"), [({}, False), ({"DISPLAY": ":0"}, True)])
def test_display_is_found(dev: ModuleType, env: dict[str, str], expected: bool) -> None:
    assert dev.has_display(env) is (expected or not dev.ON_LINUX)


def test_benchmarks_are_listed_without_helpers(dev: ModuleType, tmp_path: Path) -> None:
    for name in ("loop.py", "_shared.py", "notes.md"):
        (tmp_path / name).touch()
    assert dev.benchmarks(tmp_path) == ["loop"]


def run_dev(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "dev.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_words_it_names_its_verbs(dev: ModuleType) -> None:
    done = run_dev()
    assert done.returncode == 0
    assert [verb for verb in dev.VERBS if f"\n{verb} " not in done.stdout] == []


def test_an_unknown_verb_or_benchmark_is_one_sentence() -> None:
    for words in (("tset",), ("bench", "no_such")):
        done = run_dev(*words)
        assert done.returncode == 1
        assert done.stderr.startswith("There is no ")
        assert "Traceback" not in done.stderr


def test_ci_runs_exactly_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert "python3 dev.py test" in script.read_text()
    assert os.name == "nt" or os.access(script, os.X_OK)


def test_every_step_runs_and_the_failed_ones_are_listed_last(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def call(*words: object, **_: object) -> int:
        ran.append(str(words[-1]))
        return int("mypy" in words)

    monkeypatch.setattr(dev, "ready", lambda **_: None)
    monkeypatch.setattr(dev, "call", call)
    monkeypatch.setattr(dev, "call_with_windows", call)
    assert dev.main(["test", "-k", "word"]) == 1
    assert len(ran) == 5
    assert ran[-1] == "word"
    assert capsys.readouterr().out.splitlines()[-1] == "FAILED: mypy"


@pytest.mark.parametrize("code", [0, 1])
def test_types_are_checked_beside_the_tests_and_told_after_them(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    monkeypatch.setattr(dev, "ready", lambda **_: None)
    words = [sys.executable, "-c", f"print('types'); raise SystemExit({code})"]
    monkeypatch.setattr(dev, "checks", lambda: {"mypy": words})
    monkeypatch.setattr(dev, "pytest_runs", lambda _: [(2, ["most"]), (1, ["alone"])])
    monkeypatch.setattr(dev, "call_with_windows", lambda *words, **_: dev.say(words[-1]) or 0)
    assert dev.main(["test"]) == code
    said = capsys.readouterr().out.split()
    assert [word for word in said if word in ("most", "types", "alone")] == ["most", "types", "alone"]
    assert ("FAILED:" in said) == bool(code)


def test_a_run_that_is_broken_off_leaves_nothing_behind(dev: ModuleType) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        dev.meanwhile("sleep", [sys.executable, "-c", "import time; time.sleep(60)"]),
    ):
        raise KeyboardInterrupt
    mine = psutil.Process().children(recursive=True)
    assert not [p for p in mine if "time.sleep(60)" in " ".join(p.cmdline())]


def test_without_a_virtual_display_the_tests_still_run_and_it_counts_as_failed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[object] = []

    def no_display(*_: object, **_named: object) -> int:
        raise dev.Stop("There is no virtual display.")

    monkeypatch.setattr(dev, "call_with_windows", no_display)
    monkeypatch.setattr(dev, "call", lambda *_, env: ran.append(env["QT_QPA_PLATFORM"]) or 0)
    assert dev.run_tests(["-k", "word"]) == ["pytest"]
    assert ran == ["offscreen"]
    monkeypatch.setattr(dev, "pytest_runs", lambda _: [(2, ["most"]), (1, ["alone"])])
    assert dev.run_tests([], lambda: False) == ["pytest", "mypy"]


def test_tests_run_side_by_side_and_those_that_measure_time_after_them(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "ON_LINUX", True)
    together, (beside, alone) = dev.pytest_runs(["--slow"], cores=2)
    assert together == (2, ["-n", "2", "--dist", "worksteal", "-m", "not alone", "--slow"])
    assert (beside, alone[:3]) == (1, ["-m", "alone", "--slow"])
    assert {"tests/gui/test_loop_in_window.py", "tests/loop/test_engine.py"} <= set(alone[3:])
    assert dev.pytest_runs([], cores=1) == [(1, [])]
    assert dev.pytest_runs(["tests/gui", "-s"], cores=8) == [(1, ["tests/gui", "-s"])]
    monkeypatch.setattr(dev, "ON_LINUX", False)  # there is one screen, which windows would share
    assert dev.pytest_runs([], cores=2) == [(1, [])]


@pytest.mark.parametrize("code", [1, -11])
def test_one_run_of_tests_that_fails_or_crashes_is_enough(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(dev, "pytest_runs", lambda _: [(2, ["first"]), (1, ["second"])])
    monkeypatch.setattr(
        dev, "call_with_windows", lambda *words, screens: code * (words[-1] == "first" and screens == 2)
    )
    assert dev.run_tests([]) == ["pytest"]


@needs_xvfb
def test_each_run_beside_another_has_a_screen_of_its_own(dev: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    assert dev.call_with_windows("sh", "-c", "echo $DISPLAY $APPRENTICE_DISPLAYS", screens=2) == 0
    first, *both = capfd.readouterr().out.split()
    assert len({*both}) == 2
    assert first == both[0]


@pytest.mark.parametrize("display", [True, False])
def test_demo_is_headless_without_a_display(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, display: bool) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(dev, "ready", lambda **_: None)
    monkeypatch.setattr(dev, "has_display", lambda: display)
    monkeypatch.setattr(dev, "call", lambda *words: asked.append(words) or 0)
    assert dev.main(["demo"]) == 0
    assert ("--headless" in asked[0]) is not display
