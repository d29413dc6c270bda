"""Everything that is needed to repeat a training run, as it goes into its run.json."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.records import Example, ModelVersion
from napari_apprentice.store.split import SIDES
from napari_apprentice.store.study import Study

LIBRARIES = ("napari-apprentice", "torch", "monai", "numpy", "scipy", "zarr", "safetensors")


def record(
    study: Study, plan: Plan, base: ModelVersion | None, used: tuple[Sequence[Example], Sequence[Example]],
    settings: TrainSettings,
) -> dict[str, Any]:  # fmt: skip
    """JSON values: settings and seed, plan, base and digest of its weights, revisions with digests, split, versions.

    Parameters
    ----------
    used
        What is learned from, and what is held out.
    """
    sides = study.split.sides()
    return {
        "settings": settings.to_json(),
        "seed": settings.seed,
        "plan": plan.to_json(),
        "schema": study.schema.to_json(),
        "retired": [label.id for label in study.retired],
        "base": {"name": base.name, "weights": base.weights_digest} if base else None,
        "revisions": [_revision(study, e, side) for es, side in zip(used, SIDES, strict=True) for e in es],
        "split": {e.subject: sides[e.subject] for es in used for e in es},
        "libraries": versions(),
        "python": platform.python_version(),
        "computer": platform.platform(),
    }  # fmt: skip


def _revision(study: Study, example: Example, side: str) -> dict[str, Any]:
    case_id, _, name = example.revision.rpartition("/")
    digest = study.revisions.info(case_id, name).digest
    source = study.cases.info(case_id).source_digest
    return {
        "revision": example.revision, "digest": digest, "scan": source, "side": side, "replay": example.replay,
        "open": [list(s) for s in example.open.sets] if example.open else [],
    }  # fmt: skip


def versions() -> Mapping[str, str]:
    """Libraries that a run is computed with, those that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
