"""Model versions that predict together: which of them can, and which were made to."""

from collections.abc import Iterable, Mapping

from napari_apprentice.core.channels import in_order
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.records import ModelVersion

FAMILY = "family"
"""Under which a model version's `origin` says of which model it is a fold."""


def unlike(first: Plan, second: Plan) -> str:
    """In what two plans differ so that their votes cannot be compared voxel by voxel; "" when they can be.

    Networks of another build may vote together, as long as they see the same voxels and know the same labels.
    """
    pairs: Mapping[str, tuple[object, object]] = {
        "the labels that they know": (first.labels, second.labels),
        "the number of channels": (len(first.normalisation), len(second.normalisation)),
        "the voxel size that they see scans in": (first.spacing, second.spacing),
        "the patch that they see at once": (first.patch, second.patch),
        "how they normalise scans": (first.normalisation, second.normalisation),
    }
    return next((what for what, (a, b) in pairs.items() if a != b), "")


def unlike_orders(first: ModelVersion, second: ModelVersion) -> str:
    """As `unlike`, where both are known to read channels of the same names in differing orders."""
    moved = in_order(second.channels, first.channels) != second.channels
    return "the order of their channels" if moved else ""


def folds_beside(version: ModelVersion, others: Iterable[ModelVersion]) -> tuple[str, ...]:
    """Names of the other folds of the model that a version is a fold of, made to predict with it.

    None for a version that is no fold; a fold that was imported twice is there once.
    """
    family, seen = version.origin.get(FAMILY), {version.weights_digest}
    found = []
    for other in sorted(others, key=lambda o: o.name):
        same = bool(family) and other.origin.get(FAMILY) == family and not unlike(version.plan, other.plan)
        if same and other.weights_digest not in seen:
            seen.add(other.weights_digest)
            found.append(other.name)
    return tuple(found)
