"""Short training runs of small networks, for the tests of learn."""

from dataclasses import replace

import torch
from small import finish, make_example, make_plan, never

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.learn import weights
from napari_apprentice.learn.network import build
from napari_apprentice.learn.trainer import fit


def settings(steps=6, **changes):
    return replace(TrainSettings(steps=steps, device="cpu", validate_every=4), **changes)


def base_weights(plan, path):
    torch.manual_seed(3)
    weights.save(build(plan), path)
    return path


def train(
    tmp_path,
    name,
    examples=None,
    held_out=(),
    how=None,
    start=None,
    cancelled=never,
    plan=None,
    added=(),
    ranks=None,
    spills=True,
):
    """Its reports and its result; the weights are in NAME.safetensors."""
    examples = examples if examples is not None else [make_example(0), make_example(1)]
    return finish(
        fit(
            plan or make_plan(), examples, list(held_out), how or settings(), start,
            tmp_path / f"{name}.safetensors", tmp_path / f"{name}-checkpoint", cancelled, added, ranks, spills=spills,
        )
    )  # fmt: skip


def same_weights(tmp_path, *names):
    """Whether runs ended with the same weights, bit for bit."""
    first, *others = (weights.read(tmp_path / f"{n}.safetensors") for n in names)
    return all(torch.equal(first[n], other[n]) for other in others for n in first)


def half_seen(seed=0, **how):
    """An example of which nobody looked at one half."""
    example = make_example(seed, **how)
    example.status[:, :, example.status.shape[2] // 2 :] = 0
    return example
