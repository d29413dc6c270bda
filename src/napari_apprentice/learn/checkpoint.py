"""Where a training run stands, on disk, so that it can go on exactly from there."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from napari_apprentice.errors import ModelError
from napari_apprentice.learn import weights
from napari_apprentice.learn.pace import Pace
from napari_apprentice.learn.syncing import sync

HEAD = "state.json"
BEFORE = "before.json"  # the head of the checkpoint before, for when the newest is damaged
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)

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
    """Make this the folder's newest checkpoint and keep the one before; durable before anything older goes."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"state-{state.step:07d}.safetensors"
    flat = {f"{group}/{n}": t for group, named in state.tensors.items() for n, t in named.items()}
    newest = _head(folder / HEAD)
    weights.write(flat, folder / name, then=weights.RESUME if newest else "resume the run")
    if int(newest.get("step", state.step)) < state.step:
        _put(folder / BEFORE, newest)
    head = {k: v for k, v in asdict(replace(state, tensors={})).items() if k != "tensors"} | {"file": name}
    _put(folder / HEAD, head)
    sync(folder)
    kept = {name, _head(folder / BEFORE).get("file")}
    for old in folder.glob("state-*.safetensors"):
        if old.name not in kept:
            old.unlink()


def calm(folder: Path) -> int | None:
    """Let the run go on with half the learning rate from its newest checkpoint; the step of that, None without one."""
    head = _head(folder / HEAD)
    if not head:
        return None
    how = Settled.from_json(head["how"]) if "how" in head else Settled()
    _put(folder / HEAD, {**head, "how": asdict(replace(how, calmed=how.calmed + 1))})
    return int(head["step"])


def put_aside(folder: Path) -> None:
    """Keep checkpoints that nothing can go on from beside the folder, in place of any put there before."""
    aside = folder.with_name(f"{folder.name}-aside")
    shutil.rmtree(aside, ignore_errors=True)
    folder.replace(aside)


def read(folder: Path, *keys: str) -> tuple[Checkpoint | None, str]:
    """The newest checkpoint that is whole, and a sentence where it is not the newest of all, or there is none to take.

    Parameters
    ----------
    keys
        It belongs to the run if it has one of these.

    Returns
    -------
    None and "" where none was ever written.
    """
    heads = [path for path in (folder / HEAD, folder / BEFORE) if path.is_file()]
    for path in heads:
        try:
            head = _head(path)
            if head["key"] not in keys:
                return None, (
                    f"The checkpoint of step {head['step']} was made from other revisions, labels, settings or base "
                    "weights than the run has now, so training begins anew."
                )
            state = _state(folder, head)
        except (*_MALFORMED, ModelError):
            continue
        if path == heads[0]:
            return state, ""
        return state, f"The newest checkpoint is damaged: training goes on from the one before, of step {state.step}."
    return None, "The checkpoint is damaged, so training begins anew." if heads else ""


def _state(folder: Path, head: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        str(head["key"]), int(head["step"]), float(head["seconds"]), float(head["scale"]),
        tuple((int(s), float(v), d) for s, v, d in head["history"]),
        _groups(weights.read(folder / str(head["file"]))),
        Settled.from_json(head["how"]) if "how" in head else Settled(),
    )  # fmt: skip


def _head(path: Path) -> dict[str, Any]:
    """What a head says; nothing where it is not there or damaged."""
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return head if isinstance(head, dict) else {}


def _put(path: Path, head: Mapping[str, Any]) -> None:
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(json.dumps(head), encoding="utf-8")
    sync(aside)
    aside.replace(path)


def _groups(flat: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in flat.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    return groups
