"""Settings refuse what cannot be, and travel as JSON unchanged."""

import json

import pytest

from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings, steps_from
from napari_apprentice.errors import InputError


def test_json_round_trip() -> None:
    settings = first_model_settings(300, seed=7)
    assert TrainSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_a_run_of_before_there_was_a_choice_of_optimiser_keeps_its_own() -> None:
    then = TrainSettings(steps=9, optimiser="sgd", momentum=0.99, rate=1e-2, weight_decay=3e-5)
    stored = {k: v for k, v in then.to_json().items() if k not in ("optimiser", "momentum")}
    assert TrainSettings.from_json(stored) == then


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: TrainSettings(steps=-1), "steps"),
        (lambda: TrainSettings(replay_share=0.95), "replay_share"),
        (lambda: PredictSettings(device="tpu"), "device"),
        (lambda: TrainSettings.from_json({"stepps": 3}), "stepps"),
        (lambda: steps_from("many"), "many"),
        (lambda: steps_from("0"), "0"),
    ],
)
def test_wrong_settings_are_named(make: object, word: str) -> None:
    with pytest.raises(InputError, match=word):
        make()  # type: ignore[operator]


def test_presets_and_numbers() -> None:
    assert [steps_from(t) for t in ("auto", "quick", "standard", "thorough", "17")] == [0, 250, 2000, 12500, 17]


def test_one_click_takes_a_hundred_steps_per_corrected_case() -> None:
    one_click = TrainSettings(steps=steps_from("auto"))
    assert [one_click.for_cases(n).steps for n in (1, 2, 7, 20, 500)] == [250, 250, 700, 2000, 2000]
    assert TrainSettings(steps=12).for_cases(7).steps == 12
