"""Weights between a base and what was tuned from it."""

from pathlib import Path

from napari_apprentice.learn import weights


def between(base: Path, tuned: Path, share: float, out: Path) -> None:
    """Write (1 - share) * base + share * tuned, weight by weight (WiSE-FT, Wortsman et al., CVPR 2022).

    Parameters
    ----------
    base, tuned
        Weights of one network (safetensors).
    share
        0 gives the base, 1 what was tuned.

    Raises
    ------
    ModelError
        A file is missing or damaged.
    """
    first, second = weights.read(base), weights.read(tuned)
    mixed = {name: (1 - share) * first[name].float() + share * second[name].float() for name in first}
    weights.write(mixed, out, then=weights.RESUME)
