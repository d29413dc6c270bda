"""Where a training run stands, on disk, so that it can go on exactly from there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from napari_apprentice.errors import RunError
from napari_apprentice.learn import weights
from napari_apprentice.learn.pace import Pace

HEAD = "state.json"

Point = tuple[int, float, float | None]


@dataclass(frozen=True)
class Settled:
    """What a run settles by itself; one that goes on keeps to it.

    Parameters
    ----------
    pace
        Steps and measurements planned for a time budget; None without one.
    micro
        Patches computed at once; 0 before that was found out.
    calmed
        How often it went astray; the learning rate is halved for each time.
    notes
        Sentences for the person.
    """

    pace: Pace | None = None
    micro: int = 0
    calmed: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Settled":
        """Read what `asdict` wrote."""
        pace = Pace(**data["pace"]) if data["pace"] else None
        return cls(pace, int(data["micro"]), int(data["calmed"]), tuple(map(str, data["notes"])))


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after `step` steps.

    There is no state of random generators in it: every step draws from generators seeded with the
    run's seed and the step's number.

    Parameters
    ----------
    key
        Digest of everything that must be the same for the run to go on from here.
    step, seconds
        Steps done, and how long they took.
    scale
        Loss scale of fp16 training, else 1.
    history
        (step, mean loss, held-out Dice or None) per report.
    tensors
        Groups (weights, average, momentum) of named tensors.
    how
        What was settled while it ran.
    """

    key: str
    step: int
    seconds: float
    scale: float
    history: tuple[Point, ...]
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    how: Settled


def write(folder: Path, state: Checkpoint) -> None:
    """Replace the folder's checkpoint; a crash in between leaves the old one."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"state-{state.step:07d}.safetensors"
    flat = {f"{group}/{n}": t for group, named in state.tensors.items() for n, t in named.items()}
    weights.write(flat, folder / name)
    head = {k: v for k, v in asdict(replace(state, tensors={})).items() if k != "tensors"} | {"file": name}
    _write_head(folder, head)
    for old in folder.glob("state-*.safetensors"):
        if old.name != name:
            old.unlink()


def calm(folder: Path, key: str) -> None:
    """Let the run of this key go on with half the learning rate, from the checkpoint it has."""
    state = read(folder, key)
    if state is not None:
        how = replace(state.how, calmed=state.how.calmed + 1)
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        _write_head(folder, {**head, "how": asdict(how)})


def _write_head(folder: Path, head: Mapping[str, Any]) -> None:
    aside = folder / f"{HEAD}.part"
    aside.write_text(json.dumps(head), encoding="utf-8")
    aside.replace(folder / HEAD)


def read(folder: Path, key: str) -> Checkpoint | None:
    """The folder's checkpoint; None when there is none, or one of another run.

    Raises
    ------
    RunError
        The checkpoint is damaged.
    """
    path = folder / HEAD
    if not path.is_file():
        return None
    try:
        head: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if head["key"] != key:
            return None
        history = tuple((int(s), float(v), d) for s, v, d in head["history"])
        return Checkpoint(
            key, int(head["step"]), float(head["seconds"]), float(head["scale"]), history,
            _groups(weights.read(folder / str(head["file"]))),
            Settled.from_json(head["how"]) if "how" in head else Settled(),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"The checkpoint {path} is damaged; delete its folder to start the run anew.") from error


def _groups(flat: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in flat.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    return groups
