"""Several scans of one person as the channels of one volume."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.collecting import SEPARATE
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import Step
from napari_apprentice.core.regrid import resample
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ChoiceError, InputError, ScanError
from napari_apprentice.scans.fitting import tolerance


@dataclass(frozen=True, eq=False)
class Channel:
    """One file's part of a case: a name, and its volume; None where the case lacks it."""

    name: str
    volume: Volume | None


def stack(case: str, channels: Sequence[Channel], *, reference: str = "", missing: str = "ask") -> Volume:
    """Put the channels of a case together, in order.

    On one grid, but for what programs round in an affine, voxels stay exactly as they are. On several grids
    nothing is done until a reference channel is chosen; then the others are sampled trilinearly at its voxel
    centres, and a `Step` says from which affine (RAS+), shape and spacing. Outside of a channel's own grid it
    holds its lowest value where that is below 0 (air in CT), else 0.

    Parameters
    ----------
    case
        What to call the case in messages.
    reference
        Channel name whose grid is taken; "" where all lie on one.
    missing
        "ask", "zero" for a channel of zeros where one is missing, which is a `Step`, or "without" to take
        those that are there.

    Returns
    -------
    Voxels (c, z, y, x) in the smallest number type that holds every channel exactly.

    Raises
    ------
    ChoiceError
        The grids differ and no reference was chosen, or a channel is missing.
    InputError
        The case has no channel of the reference's name.
    """
    there = [c for c in channels if c.volume is not None]
    if not there:
        raise ScanError(f"Case {case} has none of its channels.")
    if missing == "without":
        channels = there
    if len(there) < len(channels) and missing != "zero":
        _ask_missing(case, channels)
    chosen = _reference(case, there, reference)
    parts = [_part(c, chosen) for c in channels]
    base = _volume(chosen)
    names = tuple(n for names, _, _ in parts for n in names)
    kind = np.result_type(*(voxels.dtype for _, voxels, _ in parts))
    return Volume(
        np.concatenate([voxels.astype(kind, copy=False) for _, voxels, _ in parts]),
        base.geometry,
        names,
        base.source_name if len(there) == 1 else ", ".join(_volume(c).source_name for c in there),
        _digest(channels),
        tuple(w for c in there for w in _volume(c).warnings),
        tuple(s for c, (_, _, steps) in zip(channels, parts, strict=True) for s in _steps(c, steps)),
        base.modality,
        {**base.acquisition, **_acquisitions(there)},
    )


def same_grid(channels: Sequence[Channel]) -> bool:
    """Whether all channels that are there lie on one grid."""
    first, *others = [_volume(c) for c in channels if c.volume is not None]
    return all(_difference(first.geometry, v.geometry) is None for v in others)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names with numbers where one comes several times: CT, CT is CT-1, CT-2."""
    total, seen = Counter(names), Counter[str]()
    out = []
    for name in names:
        seen[name] += 1
        out.append(f"{name}-{seen[name]}" if total[name] > 1 else name)
    return tuple(out)


def _volume(channel: Channel) -> Volume:
    if channel.volume is None:
        raise ScanError(f"Channel {channel.name} has no file.")
    return channel.volume


def _ask_missing(case: str, channels: Sequence[Channel]) -> None:
    absent = ", ".join(c.name for c in channels if c.volume is None)
    raise ChoiceError(
        f"Case {case} has no file for channel {absent}.",
        "missing",
        (
            ("zero", "put a channel of zeros in its place, which is recorded"),
            ("without", "take the channels that are there; the case then has fewer than others"),
        ),
    )


def _reference(case: str, there: Sequence[Channel], wanted: str) -> Channel:
    if wanted and wanted != SEPARATE:
        for channel in there:
            if channel.name == wanted:
                return channel
        names = ", ".join(c.name for c in there)
        raise InputError(f"Case {case} has no channel {wanted} to be the reference; its channels are {names}.")
    first = there[0]
    for other in there[1:]:
        difference = _difference(_volume(first).geometry, _volume(other).geometry)
        if difference is None:
            continue
        choices = [(c.name, f"resample the others onto its grid, {_grid(_volume(c))}") for c in there]
        choices.append((SEPARATE, "make each channel a case of its own"))
        text = f"Case {case}: {other.name} lies on another grid than {first.name}: {difference}."
        raise ChoiceError(text, "reference", tuple(choices))
    return first


def _difference(one: Geometry, other: Geometry) -> str | None:
    """How two grids differ by more than what files and programs round, in whatever order their axes are taken."""
    return one.difference(other.along(one), tolerance(one))


def _along(volume: Volume, target: Geometry) -> Volume:
    """The same volume, its axes in the order of another grid's."""
    turned = volume.geometry.along(target)
    return replace(volume, voxels=turned.to_canonical(volume.geometry.to_source(volume.voxels)), geometry=turned)


def _grid(volume: Volume) -> str:
    return f"{'x'.join(map(str, volume.geometry.shape))} of {'x'.join(f'{s:.3g}' for s in volume.geometry.spacing)} mm"


def _part(channel: Channel, reference: Channel) -> tuple[tuple[str, ...], NDArray[Any], tuple[Step, ...]]:
    """Names, voxels (c, z, y, x) on the reference's grid, and what was done to them."""
    target = _volume(reference).geometry
    if channel.volume is None:
        what = f"There was no file for channel {channel.name}: it holds zeros."
        zeros = np.zeros((1, *target.shape), bool)  # fits into every number type
        return (channel.name,), zeros, (Step("missing", what, {"channel": channel.name}),)
    volume = _along(channel.volume, target)
    several = len(volume.channels) > 1
    names = tuple(f"{channel.name}-{n}" for n in volume.channels) if several else (channel.name,)
    if _difference(target, volume.geometry) is None:
        return names, volume.voxels, ()
    outside = [_outside(v) for v in volume.voxels]
    moved = [
        resample(v, volume.geometry, target, linear=True, outside=o)
        for v, o in zip(volume.voxels, outside, strict=True)
    ]
    detail = {
        "channel": channel.name,
        "reference": reference.name,
        "method": "trilinear",
        "outside": outside,
        "affine": volume.geometry.affine.tolist(),
        "shape": list(volume.geometry.shape),
        "spacing": list(volume.geometry.spacing),
        "digest": volume.source_digest,
    }
    what = f"{channel.name} was resampled linearly onto the grid of {reference.name}."
    return names, np.stack(moved), (Step("resample", what, detail),)


def _outside(voxels: NDArray[Any]) -> float:
    finite = voxels[np.isfinite(voxels)] if voxels.dtype.kind == "f" else voxels
    return min(0.0, float(finite.min())) if finite.size else 0.0


def _digest(channels: Sequence[Channel]) -> str:
    """The file's own where there is one, else one of all files' in order."""
    digests = {c.name: c.volume.source_digest for c in channels if c.volume is not None}
    if len(channels) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in digests.items()).encode()).hexdigest()


def _steps(channel: Channel, more: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps of a channel's own reading with its name, where its file is, and what came after."""
    if channel.volume is None:
        return more
    own = tuple(replace(s, detail={**s.detail, "channel": channel.name}) for s in channel.volume.steps)
    what = f"Channel {channel.name} was taken from a file of its own."
    return (*own, Step("channel", what, {"channel": channel.name, "digest": channel.volume.source_digest}), *more)


def _acquisitions(there: Sequence[Channel]) -> dict[str, Any]:
    facts = {c.name: {"modality": _volume(c).modality, **_volume(c).acquisition} for c in there}
    known = {name: fact for name, fact in facts.items() if fact != {"modality": ""}}
    return {"channels": known} if known else {}
