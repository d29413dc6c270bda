"""Settings: one place from which the window, the command line and run.json take them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from napari_apprentice.errors import InputError


def setting(
    default: Any,
    text: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with a tooltip and limits."""
    return field(default=default, metadata={"text": text, "low": low, "high": high, "choices": choices})


class Settings:
    """Base of the settings dataclasses: limits checked at birth, JSON out and in."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(f, getattr(self, f.name))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; an unknown name is refused."""
        names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(data) - names)
        if unknown:
            raise InputError(f"Unknown setting: {', '.join(unknown)}.")
        return cls(**data)


def _check(f: "dataclasses.Field[Any]", value: Any) -> None:
    low, high, choices = (f.metadata.get(k) for k in ("low", "high", "choices"))
    if choices and value not in choices:
        raise InputError(f"{f.name} is {value!r}; it can be {', '.join(choices)}.")
    if (low is not None and not value >= low) or (high is not None and not value <= high):  # NaN is refused too
        raise InputError(f"{f.name} is {value}; it must lie between {low} and {high}.")


DEVICES = ("auto", "cpu", "cuda", "mps")
# 0: by how many cases were corrected, see `TrainSettings.for_cases`
PRESETS: Mapping[str, int] = {"auto": 0, "quick": 250, "standard": 2000, "thorough": 12500}
STEPS_PER_CASE, FEWEST_STEPS, MOST_STEPS = 100, 250, 2000
STEPS_LIMIT = 1_000_000  # of one run
# How weights were moved by versions that left nobody a choice, and so did not write it down: as by nnU-Net.
BEFORE_A_CHOICE: Mapping[str, Any] = {"optimiser": "sgd", "momentum": 0.99}

USUAL_MEMORY_MB = 128  # for sums over windows
LEAST_MEMORY_MB = 16  # with less they go to disk all the time

# What a person is offered: steps, and minutes where time decides.
LENGTHS: Mapping[str, tuple[int, float]] = {
    "auto (100 steps per case)": (0, 0.0),
    **{f"{name} ({steps} steps)": (steps, 0.0) for name, steps in PRESETS.items() if steps},
    **{f"{minutes} minutes": (0, float(minutes)) for minutes in (2, 10, 60)},
}


def steps_from(text: str) -> int:
    """Steps for a preset's name or a number written out; 0 for "auto"."""
    if text in PRESETS:
        return PRESETS[text]
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise InputError(f"Steps are {', '.join(PRESETS)} or a whole number from 1, not {text!r}.")


QUALITIES: Mapping[str, float] = {"draft": 0.75, "standard": 0.5, "best": 0.5}
BACKENDS = ("auto", "openvino", "torch")
SMALLEST_STEP = 0.25
ALONE = "none"


@dataclass(frozen=True)
class PredictSettings(Settings):
    """How a prediction is made."""

    device: str = setting("auto", "Where to compute; auto takes the GPU when there is one.", choices=DEVICES)
    quality: str = setting(
        "standard",
        "draft takes fewer windows; best looks at mirrored scans too, where the model learned from such, and asks all "
        "folds of it.",
        choices=tuple(QUALITIES),
    )
    step: float = setting(
        0.0,
        "Shift between sliding windows as a share of the patch, from 0.25; 0 goes by the quality.",
        0.0,
        1.0,
    )
    ensemble: str = setting(
        "",
        "Model versions that predict together with the one chosen, separated by commas; empty asks the other folds "
        "of it for the best quality, none asks no other.",
    )
    backend: str = setting(
        "auto", "What computes; auto takes OpenVINO on a CPU where it is installed.", choices=BACKENDS
    )
    half: bool = setting(True, "Compute in half precision where the device is faster with it.")
    memory_mb: int = setting(
        USUAL_MEMORY_MB,
        "Memory for predictions that are not finished yet; more goes to a temporary file.",
        LEAST_MEMORY_MB,
        1_000_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.step < SMALLEST_STEP:
            raise InputError(f"step is {self.step}; it must be 0 or lie between {SMALLEST_STEP} and 1.0.")

    def smaller(self, halvings: int = 1) -> "PredictSettings":
        """The same in less memory than the usual: what it finds does not depend on how much there is."""
        most = min(self.memory_mb, USUAL_MEMORY_MB)
        return replace(self, memory_mb=max(LEAST_MEMORY_MB, most // 2**halvings)) if halvings else self

    @property
    def shift(self) -> float:
        """Between neighbouring windows, as a share of the patch."""
        return self.step or QUALITIES[self.quality]

    @property
    def members(self) -> tuple[str, ...]:
        """Model versions that are named in `ensemble`, each once."""
        names = (name.strip() for name in self.ensemble.split(","))
        return tuple(dict.fromkeys(name for name in names if name not in ("", ALONE)))

    @property
    def mirrored(self) -> bool:
        """Whether windows are predicted flipped as well."""
        return self.quality == "best"


@dataclass(frozen=True)
class TrainSettings(Settings):
    """The recipe of a training run; every default has its reason in docs/design."""

    steps: int = setting(
        2000, "Optimiser steps; 0 takes 100 per corrected case, at least 250 and at most 2000.", 0, STEPS_LIMIT
    )
    minutes: float = setting(
        0.0, "Time for the steps; their number follows from how long one takes. 0 goes by the steps.", 0.0, 10_000.0
    )
    seed: int = setting(0, "Seed of everything random.", 0, 2**31 - 1)
    device: str = setting("auto", "Where to compute; auto takes the GPU when there is one.", choices=DEVICES)
    devices: int = setting(
        1, "Processes that compute each batch together, each on a GPU of its own (or on the CPU).", 1, 1024
    )
    tensorboard: bool = setting(False, "Write the curves for TensorBoard too, into the run's folder.")
    optimiser: str = setting(
        "sgd",
        "sgd with Nesterov momentum; or adamw, which wants a rate of 0.003 (0.002 to fine-tune) and a weight decay of "
        "0.01, and goes astray where little of each scan is corrected.",
        choices=("sgd", "adamw"),
    )
    momentum: float = setting(0.9, "Of sgd: which share of a step the next one takes along.", 0.0, 0.999)
    rate: float = setting(5e-2, "Peak learning rate.", 1e-6, 1.0)
    warm_up: float = setting(0.1, "Share of the steps in which the rate rises to its peak.", 0.0, 0.5)
    weight_decay: float = setting(3e-5, "How strongly weights are drawn towards 0.", 0.0, 0.1)
    clip: float = setting(12.0, "Largest norm of the gradient.", 0.1, 1e6)
    edited_weight: float = setting(2.0, "Cross-entropy weight of voxels within 2 voxels of an edit.", 1.0, 10.0)
    replay_share: float = setting(
        0.75, "Share of each batch from scans the base model learned from, where there are any.", 0.0, 0.9
    )
    distil: float = setting(
        1.0,
        "Weight of keeping to the base model where nobody looked, if no scan of its own is there to replay.",
        0.0,
        100.0,
    )
    distil_temperature: float = setting(
        2.0, "Softens what the base model says, so that its second choices count too.", 1.0, 10.0
    )
    ema: float = setting(
        0.0, "Highest decay of averaged weights, which are then what is kept; 0 keeps the last ones.", 0.0, 0.9999
    )
    augment: bool = setting(True, "Rotate, scale, blur, brighten and mirror patches at random.")
    interpolation: int = setting(
        5, "Shares of the change that are tried on held-out scans, up to all of it; 1 takes it whole.", 1, 10
    )
    validate_every: int = setting(100, "Steps between two measurements on held-out scans.", 1, 100_000)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """As `Settings.from_json`, of any earlier version."""
        return super().from_json(as_stored_now(data))

    def for_cases(self, corrected: int) -> Self:
        """With a number of steps where there was none: by how many cases were corrected."""
        if self.steps:
            return self
        steps = min(max(STEPS_PER_CASE * corrected, FEWEST_STEPS), MOST_STEPS)
        return dataclasses.replace(self, steps=steps)


def as_stored_now(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of training settings with what earlier versions left out."""
    return {**BEFORE_A_CHOICE, **data}


def first_model_settings(steps: int, seed: int = 0, device: str = "auto") -> TrainSettings:
    """From scratch: a higher rate than a fine-tune, and no replay (there is nothing to replay)."""
    return TrainSettings(
        steps=steps, seed=seed, device=device, rate=1e-1, warm_up=0.02, edited_weight=1.0, replay_share=0.0, ema=0.995
    )
