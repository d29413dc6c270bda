"""How long to train, on the command line."""

import pytest

from napari_apprentice.cli_options import parser, settings_from
from napari_apprentice.core.config import TrainSettings, steps_from


@pytest.mark.parametrize(
    ("words", "steps", "minutes", "devices"),
    [
        ([], 0, 0.0, 1),
        (["--minutes", "2"], 0, 2.0, 1),
        (["--steps", "thorough", "--devices", "4"], 12500, 0.0, 4),
        (["--steps", "17"], 17, 0.0, 1),
    ],
)
def test_a_fine_tune_is_as_long_as_asked(words: list[str], steps: int, minutes: float, devices: int) -> None:
    options = parser().parse_args(["fine-tune", "a.study", *words])
    settings = settings_from(options, TrainSettings(steps=steps_from(options.steps)))
    assert (settings.steps, settings.minutes, settings.devices) == (steps, minutes, devices)
