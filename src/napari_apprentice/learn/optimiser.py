"""One optimiser step after another: its rate, the averaged weights."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.errors import RunError
from napari_apprentice.learn.device import needs_scaler
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.weights import tensors

Named = Mapping[str, torch.Tensor]
MOST_SKIPPED = 20  # steps in a row that fp16 may skip; each halves the loss scale, which begins at 65,536

# What PyTorch keeps for each weight, by its name in a checkpoint.
KEPT = {
    "sgd": {"momentum": "momentum_buffer"},
    "adamw": {"momentum": "exp_avg", "square": "exp_avg_sq", "moved": "step"},
}


def rate(step: int, settings: TrainSettings) -> float:
    """Learning rate of a step (from 0): linear warm-up, then (1 - progress)^0.9 as in nnU-Net."""
    warm = round(settings.warm_up * settings.steps)
    if step < warm:
        return settings.rate * (step + 1) / warm
    return float(settings.rate * (1 - (step - warm) / (settings.steps - warm)) ** 0.9)


class Optimiser:
    """SGD or AdamW (Loshchilov and Hutter, arXiv 1711.05101), and the exponential moving average of the weights.

    Parameters
    ----------
    module
        On its device already.
    settings
        Which one, momentum, rate, decay, clipping, EMA.
    device
        Where the module is.
    ranks
        Who computes with it; gradients are added up over all.
    """

    def __init__(
        self, module: nn.Module, settings: TrainSettings, device: torch.device, ranks: Ranks | None = None
    ) -> None:
        self._named = dict(module.named_parameters())
        self._settings = settings
        self._ranks = ranks or Ranks()
        self._rule = _rule(list(self._named.values()), settings)
        # of GPUs of several generations all scale where one must, for gradients are added up before they are unscaled
        scaled = self._ranks.any(needs_scaler(device), device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self._skipped = 0
        self.average = {name: t.clone() for name, t in tensors(module).items()}

    @property
    def scale(self) -> float:
        """Loss scale of fp16 training, else 1."""
        return float(self._scaler.get_scale())

    def clear(self) -> None:
        """Forget the gradient."""
        self._rule.zero_grad(set_to_none=True)

    def add(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss, or of a part of one."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self, number: int, rate: float, loss: torch.Tensor) -> float:
        """Move the weights against the gradient of a loss, then the average after them, and return the loss.

        Here alone a GPU is waited for, once: to look at loss and gradient before the weights move.

        Raises
        ------
        RunError
            The loss is not finite, or the gradient is not, in fp16 many times in a row; the weights are as they were.
        """
        for group in self._rule.param_groups:
            group["lr"] = rate
        self._ranks.add_gradients(self._named.values())
        self._scaler.unscale_(self._rule)
        norm = nn.utils.clip_grad_norm_(self._named.values(), self._settings.clip)
        value, length = torch.stack([loss, norm]).tolist()
        if not math.isfinite(value):
            raise RunError(not_finite("loss", number))
        self._skipped = 0 if math.isfinite(length) else self._skipped + 1
        if self._skipped > (MOST_SKIPPED if self._scaler.is_enabled() else 0):  # the scaler skips such steps
            raise RunError(not_finite("gradient", number))
        self._scaler.step(self._rule)
        self._scaler.update()
        self._follow(number)
        return float(value)

    @torch.no_grad()
    def _follow(self, number: int) -> None:
        decay = min(self._settings.ema, (1 + number) / (10 + number))
        torch._foreach_lerp_(list(self.average.values()), [p.detach() for p in self._named.values()], 1 - decay)

    def state(self) -> dict[str, Named]:
        """What `restore` needs, by group."""
        now = {name: p.detach() for name, p in self._named.items()}
        kept = {
            group: {name: self._rule.state[p][key] for name, p in self._named.items() if key in self._rule.state[p]}
            for group, key in KEPT[self._settings.optimiser].items()
        }
        return {"weights": now, "average": self.average, **kept}

    @torch.no_grad()
    def restore(self, groups: Mapping[str, Named], scale: float) -> None:
        """Go back to a state, bit for bit."""
        for name, p in self._named.items():
            p.copy_(groups["weights"][name])
            self.average[name].copy_(groups["average"][name])
        kept = {
            number: {
                key: groups[group][name].clone()
                for group, key in KEPT[self._settings.optimiser].items() if name in groups.get(group, {})
            }
            for number, name in enumerate(self._named)
        }  # fmt: skip
        # PyTorch knows on which device each of them belongs
        self._rule.load_state_dict({**self._rule.state_dict(), "state": {n: k for n, k in kept.items() if k}})
        if self._scaler.is_enabled() and scale != 1:  # 1 is that of a device that needs none; gradients would vanish
            self._scaler.load_state_dict({**self._scaler.state_dict(), "scale": scale})


def _rule(weights: list[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    if settings.optimiser == "adamw":
        # together: a third of the time that one weight after another takes on a CPU; fused would ignore strides there
        return torch.optim.AdamW(weights, settings.rate, weight_decay=settings.weight_decay, foreach=True)
    nesterov = settings.momentum > 0
    return torch.optim.SGD(
        weights, settings.rate, settings.momentum, weight_decay=settings.weight_decay, nesterov=nesterov
    )


def not_finite(what: str, number: int) -> str:
    """The text for a run that went astray; the run says how it can go on."""
    return f"The {what} is not a number any more at step {number + 1}, so training was stopped."
