"""Labels of a file as labels of the study: by name where the file has names, else by id."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import InputError

IGNORE = 255  # what segmentation challenges write where nobody is sure
_MOST_TOLD = 8


@dataclass(frozen=True, eq=False)
class Matched:
    """Labels in the study's ids.

    Parameters
    ----------
    voxels
        (z, y, x) label ids of the study; 0 where `ignored`.
    ignored
        Mask (z, y, x) of voxels that the file says nothing about; None when there are none.
    notes
        Sentences about what was mapped and ignored, and what reading had to decide.
    """

    voxels: LabelArray
    ignored: NDArray[np.bool_] | None
    notes: tuple[str, ...]


def match_labels(schema: LabelSchema, labels: LabelMap, name: str) -> Matched:
    """Give a label map the study's ids.

    A label whose name the study has, in upper or lower case, gets that id. Ids are trusted where the
    file has no names, or where every name the study knows stands at the study's own id; otherwise a label
    with a name that the study lacks is refused, because its number means something else.

    Raises
    ------
    InputError
        It holds labels that the study does not have; the text counts their voxels.
    """
    counts = _counts(labels.voxels)
    ignored = _ignored(schema, labels, counts, name)
    if ignored is not None:
        del counts[IGNORE]
    known = {x.name.strip().casefold(): x.id for x in schema.labels}
    named = {v: known[n] for v in counts if (n := labels.names.get(v, "").strip().casefold()) in known}
    by_number = all(value == label for value, label in named.items())
    table = {v: named.get(v, v if by_number and v in schema.ids else 0) for v in counts}
    strange = {v: counts[v] for v, label in table.items() if not label}
    if strange:
        raise InputError(_refusal(schema, labels.names, strange, name))
    same = ignored is None and all(value == label for value, label in table.items())
    voxels = labels.voxels if same else _mapped(labels.voxels, table)
    notes = [*labels.warnings, *_told(schema, labels.names, table, name)]
    if ignored is not None:
        notes.append(f"{name}: {IGNORE} was taken for unknown; its {int(ignored.sum())} voxels stay unseen.")
    return Matched(voxels, ignored, tuple(notes))


def _counts(voxels: LabelArray) -> dict[int, int]:
    counts = np.bincount(voxels.ravel())
    return {int(v): int(counts[v]) for v in np.flatnonzero(counts) if v}


def _ignored(schema: LabelSchema, labels: LabelMap, counts: Mapping[int, int], name: str) -> NDArray[np.bool_] | None:
    if max(counts, default=0) != IGNORE or IGNORE in schema.ids or IGNORE in labels.names:
        return None
    if len(counts) == 1:
        # A mask saved as a picture looks the same as nothing but unknown voxels.
        raise InputError(
            f"{name} holds only 0 and {IGNORE} ({counts[IGNORE]} voxels): a mask, or voxels that nobody is sure "
            "about. Save it with the id of its label."
        )
    mask: NDArray[np.bool_] = labels.voxels == IGNORE
    return mask


def _mapped(voxels: LabelArray, table: Mapping[int, int]) -> LabelArray:
    """Labels by table; what the table does not hold becomes 0."""
    lookup: LabelArray = np.zeros(
        int(voxels.max()) + 1, np.uint8 if max(table.values(), default=0) < 256 else np.uint16
    )
    for value, label in table.items():
        lookup[value] = label
    mapped: LabelArray = lookup[voxels]
    return mapped


def _told(schema: LabelSchema, names: Mapping[int, str], table: Mapping[int, int], name: str) -> list[str]:
    """What a person should know: another id, or another name under the same id."""
    told = []
    for value, label in table.items():
        ours, theirs = schema.name(label), names.get(value, "").strip()
        if value != label or (theirs and theirs.casefold() != ours.casefold()):
            told.append(f"{value} {theirs} became {label} {ours}".replace("  ", " "))
    return [f"{name}: {', '.join(told)}."] if told else []


def _refusal(schema: LabelSchema, names: Mapping[int, str], strange: Mapping[int, int], name: str) -> str:
    shown = list(strange.items())[:_MOST_TOLD]
    held = ", ".join(f"{v} {names.get(v, '')}".strip() + f" ({n} voxel{'s' if n > 1 else ''})" for v, n in shown)
    more = f" and {len(strange) - _MOST_TOLD} more" if len(strange) > _MOST_TOLD else ""
    known = ", ".join(f"{x.id} {x.name}" for x in schema.labels)
    hint = " Objects numbered one by one must first all get their label's id." if more else ""
    return f"{name} holds label {held}{more}, which this study does not have ({known}).{hint}"
