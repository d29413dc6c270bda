"""Makes tests/learn/nnunet/*.safetensors with nnU-Net's own networks; run by hand where those are installed.

    pip install --no-deps dynamic-network-architectures
    python tests/learn/make_nnunet_fixtures.py

Each file holds the weights of a small network under all the names the library gives them, a patch, its logits, and
the plans.json and dataset.json that belong to it.
"""

import json
import pydoc
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from nnunet_models import DATASETS, PLANS, configuration_of
from safetensors.torch import save_file

OUT = Path(__file__).parent / "nnunet"


def original(plans, dataset, *, deep=False):
    """The library's own network for plans."""
    how = plans["configurations"][configuration_of(plans)]["architecture"]
    given = dict(how["arch_kwargs"])
    for name in how["_kw_requires_import"]:
        given[name] = pydoc.locate(given[name]) if given[name] is not None else None
    channels = dataset["channel_names"]
    rows = len([k for k in dataset["labels"] if k != "ignore"])
    return pydoc.locate(how["network_class_name"])(len(channels), num_classes=rows, deep_supervision=deep, **given)


def randomised(net, seed=0):
    """Weights as if it had been trained: nothing is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, values in net.state_dict().items():
        if values.is_floating_point():
            values.copy_(torch.randn(values.shape, generator=generator) * 0.2)
            if name.endswith(("norm.weight", "running_var")):
                values.abs_().add_(0.5)
    return net


def once(state):
    """Every tensor under its first name, and the other names it has."""
    flat, aliases, first = {}, {}, {}
    for name, values in state.items():
        known = first.setdefault(values.data_ptr(), name)
        if known == name:
            flat[f"weights/{name}"] = values.clone()
        else:
            aliases[name] = known
    return flat, aliases


def main():
    try:
        made_with = version("dynamic-network-architectures")
    except PackageNotFoundError:
        made_with = "unknown"
    OUT.mkdir(exist_ok=True)
    for name, plans in PLANS.items():
        dataset = DATASETS[name]
        net = randomised(original(plans, dataset)).eval()
        patch = plans["configurations"][configuration_of(plans)]["patch_size"]
        generator = torch.Generator().manual_seed(1)
        seen = torch.randn(1, len(dataset["channel_names"]), *patch, generator=generator)
        with torch.no_grad():
            logits = net(seen)
            deep = randomised(original(plans, dataset, deep=True)).train()
            for module in deep.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    module.eval()
            lower = deep(seen)[1]
        flat, aliases = once(net.state_dict())
        flat |= {"seen": seen, "logits": logits, "lower": lower}
        told = {"plans": json.dumps(plans), "dataset": json.dumps(dataset), "library": made_with}
        told["aliases"] = json.dumps(aliases)
        save_file({k: v.contiguous() for k, v in flat.items()}, OUT / f"{name}.safetensors", told)


if __name__ == "__main__":
    main()
