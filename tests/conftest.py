"""What every test shares: a user folder of its own, and marks that skip themselves."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest

# napari reads the first once, when it is imported: its settings are never the developer's own. The second is for what
# several tests share, made before a test has its own: in the developer's, it would wait until their training ends.
_OURS = tempfile.mkdtemp(prefix="apprentice-tests-")
atexit.register(shutil.rmtree, _OURS, ignore_errors=True)
os.environ["NAPARI_CONFIG"] = os.path.join(_OURS, "settings.yaml")  # noqa: PTH118
os.environ["APPRENTICE_HOME"] = os.path.join(_OURS, "home")  # noqa: PTH118

# How long an example takes says more about what else runs on the machine.
hypothesis.settings.register_profile("apprentice", deadline=None, max_examples=50)
hypothesis.settings.load_profile("apprentice")

# Side by side, windows on one screen would take the focus from each other: each worker has its own.
_WORKER, _DISPLAYS = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("APPRENTICE_DISPLAYS", "").split()
if _WORKER and _DISPLAYS:
    os.environ["DISPLAY"] = _DISPLAYS[int(_WORKER.removeprefix("gw")) % len(_DISPLAYS)]

# A shell that starts a run in the background ignores Ctrl-C for it and for all that it starts; here it is tested.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_ON_LINUX = sys.platform.startswith("linux")
if _WORKER and _ON_LINUX:
    # The program's children step back as sessions: beside tests that do not, they would hardly get a core.
    with suppress(OSError):
        os.setsid()
        Path("/proc/self/autogroup").write_text("10", encoding="ascii")
if _ON_LINUX and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ["QT_QPA_PLATFORM"] = "offscreen"


def _has_window() -> bool:
    return os.environ.get("QT_QPA_PLATFORM") not in ("offscreen", "minimal")


def _has_cuda() -> bool:
    """Ask in a process of its own: this one never needs torch for it. Not where no driver is, which takes 3 s."""
    drivers = ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg", "/dev/kfd", "/dev/nvhost-ctrl")
    if _ON_LINUX and not any(Path(driver).exists() for driver in drivers):
        return False
    question = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", question], capture_output=True, check=False).returncode == 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def _skip(items: list[pytest.Item], mark: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(mark):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:  # dev.py finds them by these words, and would never run one that has its mark otherwise
        if item.get_closest_marker("alone") and "mark.alone" not in item.path.read_text("utf-8"):
            raise pytest.UsageError(f"{item.nodeid} is to run alone: say pytest.mark.alone in its file.")
    if not config.getoption("--slow"):
        _skip(items, "slow", "slow: give --slow to run it")
    if not _has_window():
        _skip(items, "window", "needs a display")
    if any(item.get_closest_marker("gpu") for item in items) and not _has_cuda():
        _skip(items, "gpu", "needs a CUDA device")


@pytest.fixture(autouse=True)
def user_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give every test, and each process it starts, user folders of its own.

    The cache folder stays the machine's: the compiled shaders and fonts in it are worth keeping.
    """
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("APPRENTICE_HOME", str(home))
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(home / variable.lower()))
    return str(home)
