import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_apprentice.errors import ScanError
from napari_apprentice.gui.log import start_log, stop_log
from napari_apprentice.gui.work import Runner
from napari_apprentice.scans.reader import read_volume

NAME = "Zxqv^Jane"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    yield start_log(tmp_path / "home")
    stop_log(tmp_path / "home")


def refuse(folder: Path) -> None:
    """Refuse a file whose name is a person's, and whose header holds it, over a chain of errors."""
    folder.mkdir()
    path = folder / f"{NAME}.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM" + NAME.encode() * 10)
    read_volume(path)


@pytest.mark.usefixtures("qtbot")
def test_a_refused_file_is_named_on_the_screen_and_not_in_the_log(tmp_path: Path, log: Path):
    runner, told = Runner(str(log)), []
    runner.went_wrong.connect(told.append)
    runner.attempt(lambda: refuse(tmp_path / NAME))
    assert f"{NAME}.dcm" in told[0]
    text = log.read_text()
    assert "Zxqv" not in text
    assert "ScanError" in text
    assert "test_log.py" in text


def test_nor_is_what_an_unexpected_error_says(qtbot: QtBot, tmp_path: Path, log: Path):
    def fail() -> None:
        try:
            (tmp_path / NAME).read_bytes()
        except OSError as error:
            raise ValueError(f"could not convert {NAME}") from error

    runner, told = Runner(str(log)), []
    runner.went_wrong.connect(told.append)
    with qtbot.waitSignal(runner.run("Failing", fail).ended):
        pass
    assert NAME in told[0]
    text = log.read_text()
    assert "Zxqv" not in text
    assert text.index("FileNotFoundError ENOENT") < text.index("\nValueError")


def test_another_handler_keeps_its_own_words(log: Path, caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("napari_apprentice.test")
    try:
        raise ScanError(NAME)
    except ScanError as error:
        logger.error("%s", type(error).__name__, exc_info=error)
    assert f"ScanError: {NAME}" in caplog.text
    assert "Zxqv" not in log.read_text()
