#!/usr/bin/env python3
"""Everything a developer runs: python3 dev.py VERB. Standard library only.

setup            make .venv and install the pinned set
demo [args]      once around the loop on the sample study, in napari or headless
test [args]      lint, types, import contracts and all tests; args go to pytest
docs             build the documentation into site/; --pictures makes its pictures anew
bench NAME       run benchmarks/NAME.py; without NAME list them
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "apprentice-setup.txt"
PINS = ROOT / "constraints.txt"
MOST_BESIDE = 4  # runs of tests side by side; each has threads of its own
# What the program starts to compute has this priority. Tests that wait for it beside other tests need no higher
# one, or they keep each other waiting.
POLITE = ("nice", "-n", "10")
ON_LINUX = sys.platform.startswith("linux")

# What Qt's own wheel expects of the system, and the Debian package that holds it.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX_mesa.so.0": "libglx-mesa0",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


class Stop(Exception):  # noqa: N818 - it ends the program with one sentence
    """What went wrong and what to do, for the person at the keyboard."""


def say(text: str) -> None:
    print(text, flush=True)


def call(*command: str | Path, env: Mapping[str, str] | None = None) -> int:
    """Run a command in the repository root; its output goes to ours."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=env, check=False).returncode


def quiet(*command: str | Path) -> bool:
    """Run a command without a word and say whether it went well."""
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


# ---------------------------------------------------------------- environment


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(root: Path = ROOT, python: str = platform.python_version()) -> str:
    """Say in one word what an environment was made from."""
    found = hashlib.sha256(f"{python}\n{root}\n".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        found.update((root / name).read_bytes())
    return found.hexdigest()


def is_current(stamp: Path, wanted: str) -> bool:
    return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == wanted


def pip_works() -> bool:
    python = venv_python()
    return python.exists() and quiet(python, "-m", "pip", "--version")


def was_moved() -> bool:
    """Whether the environment was made elsewhere: its programs still look for their Python there."""
    made = VENV / "pyvenv.cfg"
    lines = made.read_text(encoding="utf-8").splitlines() if made.is_file() else []
    told = next((line.partition(" -m venv ")[2] for line in lines if line.startswith("command = ")), "")
    place = re.sub(r"^(--\S+ )*", "", told)
    return place != "" and Path(place).resolve() != VENV.resolve()


def make_environment() -> None:
    moved = was_moved()
    if pip_works() and not moved:
        return
    say(f"Making {VENV.name} with Python {platform.python_version()}")
    if call(sys.executable, "-m", "venv", *(["--clear"] if moved else []), VENV) != 0:
        raise Stop("The environment could not be made; the lines above say why.")


def pip(*arguments: str | Path) -> int:
    # Bytecode is made of what is imported when it is imported: a small part of all that is installed.
    command = (venv_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    return call(*command, *arguments)


def install(*arguments: str) -> None:
    if pip("--constraint", PINS, *arguments) != 0:
        raise Stop(f"pip could not install {arguments[-1]}; its lines above say why.")


def install_pinned() -> bool:
    """Install what the pins say without asking what needs what, and say whether that is all there has to be.

    The pins are all packages of a Linux machine whose PyTorch computes on the CPU, and working out again what follows
    from what takes pip a third of the time; its check tells whether something is missing.
    """
    say("Installing PyTorch and everything else (large; minutes on a slow line)")
    # A pip of 2026 takes half as long as that of Python 3.11; where it cannot be had, any will do.
    quiet(venv_python(), "-m", "pip", "install", "--upgrade", "pip")
    found = pip("--no-deps", "--requirement", PINS) == 0 and pip("--no-deps", "--editable", ".") == 0
    if found and quiet(venv_python(), "-m", "pip", "check"):
        return True
    say("Something is still missing; a PyTorch for GPUs wants more packages, for instance.")
    return False


def setup() -> None:
    wanted = fingerprint()
    if is_current(STAMP, wanted) and venv_python().exists():
        return
    started = time.monotonic()
    make_environment()
    STAMP.unlink(missing_ok=True)
    if not (ON_LINUX and install_pinned()):
        say("Installing what PyTorch needs (large; minutes on a slow line)")
        install("torch")
        say("Installing everything else")
        install("--editable", ".[dev]")
    STAMP.write_text(wanted + "\n", encoding="utf-8")
    say(f"Environment ready in {time.monotonic() - started:.0f} s")


# ----------------------------------------------------- libraries of the system


def can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_packages(
    *,
    virtual: bool,
    has_library: Callable[[str], bool] = can_load,
    has_program: Callable[[str], bool] = lambda name: shutil.which(name) is not None,
) -> dict[str, str]:
    """Map what is missing to its Debian package; `virtual` asks for a virtual display too."""
    missing = {name: package for name, package in QT_LIBRARIES.items() if not has_library(name)}
    if "libGLX_mesa.so.0" in missing:
        missing["Mesa's OpenGL drivers"] = "libgl1-mesa-dri"
    if virtual and not has_program("Xvfb"):
        missing["Xvfb"] = "xvfb"
    return missing


def apt_prefix() -> list[str] | None:
    """Return the words that let apt-get install without a question, or None where it may not."""
    if shutil.which("apt-get") is None:
        return None
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ["env", "DEBIAN_FRONTEND=noninteractive"]
    if shutil.which("sudo") and quiet("sudo", "-n", "true"):
        return ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    return None


def advice(missing: Mapping[str, str], *, debian: bool) -> str:
    """Say what to type where we may not install, or what is missing where we do not know how."""
    if debian:
        return "Please run: sudo apt-get install " + " ".join(sorted(set(missing.values())))
    return "Please install with your system's package manager: " + ", ".join(sorted(missing))


def install_packages(missing: Mapping[str, str], prefix: Sequence[str]) -> bool:
    packages = sorted(set(missing.values()))
    say("Installing system packages: " + " ".join(packages))
    call(*prefix, "apt-get", "update", "-qq")
    return call(*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages) == 0


def system_libraries(*, virtual: bool = False) -> None:
    """Bring the system libraries Qt needs, or say how; never a reason to stop."""
    missing = missing_packages(virtual=virtual) if ON_LINUX else {}
    if not missing:
        return
    prefix = apt_prefix()
    if prefix is None or not install_packages(missing, prefix):
        say("Windows may not open: system libraries are missing.")
        say(advice(missing, debian=shutil.which("apt-get") is not None))


def venv_module() -> None:
    """Debian keeps the standard library's venv in a package of its own: bring it."""
    if not ON_LINUX or importlib.util.find_spec("ensurepip") is not None:
        return
    package = {"the venv module": f"python3.{sys.version_info.minor}-venv"}
    prefix = apt_prefix()
    if prefix is None or not install_packages(package, prefix):
        raise Stop(advice(package, debian=shutil.which("apt-get") is not None))


# ------------------------------------------------------------- virtual display


def read_number(pipe: int, seconds: float) -> str:
    """Read the display number that the server writes once it is ready."""
    text = ""
    until = time.monotonic() + seconds
    while not text.endswith("\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(pipe, 16).decode() if ready else ""
        if not piece:
            raise Stop("The virtual display did not start.")
        text += piece
    return text.strip()


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
        return
    process.kill()
    process.wait()


@contextmanager
def virtual_display() -> Iterator[str]:
    """Start Xvfb on a free number, yield its name, and always end it."""
    if shutil.which("Xvfb") is None:
        raise Stop("There is no virtual display: the program Xvfb is missing.")
    reading, writing = os.pipe()
    screen = ("-screen", "0", "1600x1000x24", "+extension", "GLX", "-nolisten", "tcp")
    command = ["Xvfb", "-displayfd", str(writing), *screen]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        yield ":" + read_number(reading, 30)
    finally:
        os.close(reading)
        end(server)


def window_environment(display: str) -> dict[str, str]:
    """Return an environment in which Qt opens real windows on `display`, drawn by the processor."""
    env = {key: value for key, value in os.environ.items() if key != "WAYLAND_DISPLAY"}
    return env | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "LIBGL_ALWAYS_SOFTWARE": "1"}


def call_with_windows(*command: str | Path, screens: int = 1) -> int:
    """Run a command that opens windows: on Linux always on displays of our own."""
    if not ON_LINUX:
        return call(*command)
    with ExitStack() as stack:
        displays = [stack.enter_context(virtual_display()) for _ in range(screens)]
        env = window_environment(displays[0]) | {"APPRENTICE_DISPLAYS": " ".join(displays)}
        if screens > 1:  # the cores are shared out; more threads that wait for each other took twice the time
            env.setdefault("OMP_NUM_THREADS", "1")
        return call(*command, env=env)


# ----------------------------------------------------------------------- verbs


def has_display(env: Mapping[str, str] = os.environ) -> bool:
    return not ON_LINUX or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def ready(*, virtual: bool = False) -> None:
    if not venv_python().exists():
        venv_module()
    setup()
    system_libraries(virtual=virtual)


def run_setup(_: Sequence[str]) -> int:
    ready()
    say("Ready.")
    return 0


def run_demo(arguments: Sequence[str]) -> int:
    ready()
    headless = [] if has_display() or "--headless" in arguments else ["--headless"]
    return call(venv_python(), "-m", "napari_apprentice.cli", "demo", *headless, *arguments)


def checks() -> dict[str, list[str | Path]]:
    python = venv_python()
    return {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy"],
        "import contracts": [python.with_name("lint-imports")],
    }


def timed(name: str, command: Sequence[str | Path]) -> bool:
    started = time.monotonic()
    return told(name, call(*command), time.monotonic() - started)


def told(name: str, code: int, seconds: float) -> bool:
    say(f"[{'ok' if code == 0 else 'FAILED'}] {name}, {seconds:.1f} s\n")
    return code == 0


@contextmanager
def meanwhile(name: str, command: Sequence[str | Path]) -> Iterator[Callable[[], bool]]:
    """Run a command with what others leave of the cores; calling what is yielded waits for it and tells how it went."""
    started = time.monotonic()
    took: list[float] = []
    words = [str(part) for part in (*(("nice", "-n", "19") if ON_LINUX else ()), *command)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)

        def note() -> None:
            process.wait()
            took.append(time.monotonic() - started)

        clock = threading.Thread(target=note, daemon=True)
        clock.start()

        def ended() -> bool:
            clock.join()
            output.seek(0)
            say(output.read().decode(errors="replace").rstrip())
            return told(name, process.returncode, took[0])

        try:
            yield ended
        finally:
            if process.poll() is None:
                end(process)


def pytest_runs(arguments: Sequence[str], cores: int | None = os.cpu_count()) -> list[tuple[int, list[str]]]:
    """List how many side by side and the words for pytest: most tests first, then what wants the machine for itself.

    Words that choose tests or their output are handed on to one plain run.
    """
    beside = min(cores or 1, MOST_BESIDE) if ON_LINUX else 1
    if chosen(arguments) or beside == 1:
        return [(1, list(arguments))]
    together = ["-n", str(beside), "--dist", "worksteal", "-m", "not alone", *arguments]
    return [(beside, together), (1, ["-m", "alone", *arguments, *files_with("mark.alone")])]


def chosen(arguments: Sequence[str]) -> bool:
    return bool(set(arguments) - {"--slow"})


def files_with(text: str, folder: Path = ROOT / "tests") -> list[str]:
    """Name the files of tests in which a text is found; importing the others takes longer than most tests."""
    return [str(f.relative_to(ROOT)) for f in sorted(folder.rglob("test_*.py")) if text in f.read_text("utf-8")]


def run_tests(arguments: Sequence[str], types: Callable[[], bool] | None = None) -> list[str]:
    """Run pytest on virtual displays, or without one where there is none to be had, and name what failed.

    `types` waits for what runs beside them and tells how it went; it is asked before those that measure time.
    """
    command = (venv_python(), "-m", "pytest")
    runs, failed = pytest_runs(arguments), []
    try:
        for screens, words in runs:
            if screens == 1 and types is not None:
                failed += [] if types() else ["mypy"]
                types = None
            if call_with_windows(*(POLITE if screens > 1 else ()), *command, *words, screens=screens) != 0:
                failed.append("pytest")  # a run that was killed by a signal has a code below 0
    except Stop as reason:
        say(f"{reason} Tests that open windows skip themselves.")
        for _, words in runs:
            call(*command, *words, env=dict(os.environ) | {"QT_QPA_PLATFORM": "offscreen"})
        failed.append("pytest")
    if types is not None and not types():
        failed.append("mypy")
    return list(dict.fromkeys(failed))


def run_test(arguments: Sequence[str]) -> int:
    ready(virtual=True)
    steps = checks()
    with ExitStack() as stack:
        types = None
        if len(pytest_runs(arguments)) > 1:  # all tests take minutes, and now and then leave a core: enough for this
            types = stack.enter_context(meanwhile("mypy", steps.pop("mypy")))
        failed = [name for name, command in steps.items() if not timed(name, command)]
        failed += run_tests(arguments, types)
    if failed:
        say("FAILED: " + ", ".join(failed))
    return 1 if failed else 0


def run_docs(arguments: Sequence[str]) -> int:
    pictures = "--pictures" in arguments
    ready(virtual=pictures)
    if pictures and call_with_windows(venv_python(), ROOT / "docs" / "make_pictures.py") != 0:
        raise Stop("The pictures could not be made; the lines above say why.")
    rest = [word for word in arguments if word != "--pictures"]
    env = dict(os.environ) | {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement, not a warning
    return call(venv_python(), "-m", "mkdocs", "build", "--strict", *rest, env=env)


def benchmarks(folder: Path = ROOT / "benchmarks") -> list[str]:
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))


def run_bench(arguments: Sequence[str]) -> int:
    names = benchmarks()
    if not arguments:
        say("\n".join(names) if names else "There are no benchmarks yet.")
        return 0
    name, *rest = arguments
    if name not in names:
        raise Stop(f"There is no benchmark {name}. There are: {', '.join(names) or 'none yet'}.")
    ready()
    return call(venv_python(), ROOT / "benchmarks" / f"{name}.py", *rest)


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "setup": run_setup,
    "demo": run_demo,
    "test": run_test,
    "docs": run_docs,
    "bench": run_bench,
}


def main(arguments: Sequence[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - the person may have called us with an older one
        raise Stop("Apprentice needs Python 3.11 or newer; this is " + platform.python_version())
    verb, *rest = arguments or ["--help"]
    if verb in ("-h", "--help"):
        say((__doc__ or "").strip())
        return 0
    if verb not in VERBS:
        raise Stop(f"There is no verb {verb}. There are: {', '.join(VERBS)}.")
    return VERBS[verb](rest)


if __name__ == "__main__":
    # Where it is set, every process we start would compile all of PyTorch and MONAI anew: 11 s instead of 6.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a display of ours ends with us
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as reason:
        sys.exit(str(reason))
    except KeyboardInterrupt:
        sys.exit(130)
