"""How long to train, on the command line."""

import pytest

from napari_apprentice.cli_options import STEPS, parser, settings_from
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
    settings = settings_from(options, TrainSettings(steps=steps_from(options.steps or STEPS)))
    assert (settings.steps, settings.minutes, settings.devices) == (steps, minutes, devices)


@pytest.mark.parametrize(("verb", "rate", "replay"), [("train", "0.1", "0.0"), ("fine-tune", "0.05", "0.75")])
def test_help_says_what_is_taken_where_nothing_is_given(
    verb: str, rate: str, replay: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([verb, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert f"Peak learning rate. (default {rate})" in told
    assert f"where there are any. (default {replay})" in told
