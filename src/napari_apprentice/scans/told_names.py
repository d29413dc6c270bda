"""Names of labels that a data set tells for its label maps, such as dataset.json of nnU-Net."""

from collections.abc import Mapping
from dataclasses import replace

from napari_apprentice.core.volume import LabelMap


def with_told(labels: LabelMap, told: Mapping[int, str], name: str) -> LabelMap:
    """A label map with the names of its data set where its file says none, or may have copied them from another."""
    if not told or not labels.numbered:
        return labels
    if not labels.copied:
        return replace(labels, names={**told, **labels.names})
    others = {v: text for v, text in labels.names.items() if v in told and told[v].casefold() != text.casefold()}
    there = [v for v in others if (labels.voxels == v).any()]
    said = ", ".join(f"{v} is {told[v]} and not {others[v]}" for v in there)
    note = f"{name}: {said}, as its data set says; its header may have been copied from another label map."
    return replace(
        labels,
        names=told if others else {**labels.names, **told},
        copied=False,
        warnings=(*labels.warnings, *([note] if said else [])),
    )
