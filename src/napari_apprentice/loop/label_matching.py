"""Labels of a file as labels of the study: by name where the file has names, else by id."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.counting import count_values
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import ChoiceError, InputError
from napari_apprentice.scans.segments.claims import UNKNOWN, is_lone_mask, may_be_unknown
from napari_apprentice.scans.suffixes import stem_of

IGNORE = UNKNOWN
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


def match_labels(schema: LabelSchema, labels: LabelMap, name: str, match: str = "names") -> Matched:
    """Give a label map the study's ids.

    A label with a name gets the id of that name in the study (`LabelSchema.id_of`), and none where the study
    lacks it: the same number may mean another organ. Numbers are trusted of labels without a name, unless
    one with a name shows that the file counts otherwise. A file with nothing but a mask may be called as its label is.

    Parameters
    ----------
    match
        "names", or "ids" to take the numbers as they are, whatever they are called.

    Raises
    ------
    ChoiceError
        The study has its numbers, but not under its names.
    InputError
        It holds labels that the study does not have; the text counts their voxels.
    """
    counts = _counts(labels.voxels)
    labels = _named_by_file(schema, labels, counts, name)
    ignored = _ignored(schema, labels, counts, name)
    if ignored is not None:
        del counts[IGNORE]
    names = {v: labels.names[v].strip() for v in counts if labels.names.get(v, "").strip()}
    by_name = match == "names" or not labels.numbered
    table = _table(schema, counts, names if by_name else {})
    strange = {v: counts[v] for v, label in table.items() if not label}
    if strange and names and match == "names" and labels.numbered and counts.keys() <= {*schema.ids}:
        raise _question(schema, names, strange, name)
    if strange:
        some = " --segments takes some of its labels only." if len(strange) < len(counts) else ""
        raise InputError(_refusal(schema, names, strange, name) + some)
    same = ignored is None and all(value == label for value, label in table.items())
    voxels = labels.voxels if same else _mapped(labels.voxels, table)
    notes = [*labels.warnings, *_told(schema, names, table, name)]
    if not counts and ignored is None:
        notes.append(f"{name}: no voxel of it has a label; it teaches that all of the scan is background.")
    if ignored is not None:
        notes.append(f"{name}: {IGNORE} was taken for unknown; its {int(ignored.sum())} voxels stay unseen.")
    return Matched(voxels, ignored, tuple(notes))


def _table(schema: LabelSchema, values: Iterable[int], names: Mapping[int, str]) -> dict[int, int]:
    """The study's id of every value, 0 where it has none."""
    named = {v: schema.id_of(text) or 0 for v, text in names.items()}
    by_number = all(label in (0, value) for value, label in named.items())
    return {v: named.get(v, v if by_number and v in schema.ids else 0) for v in values}


def _counts(voxels: LabelArray) -> dict[int, int]:
    counts = count_values(voxels)
    return {int(v): int(counts[v]) for v in np.flatnonzero(counts) if v}


def _named_by_file(schema: LabelSchema, labels: LabelMap, counts: Mapping[int, int], name: str) -> LabelMap:
    """A mask in a file that is called as a label of the study, with that name: spleen.nii.gz is no label 1."""
    label = stem_of(Path(name))
    if not is_lone_mask(labels, counts) or schema.id_of(label) is None:
        return labels
    (value,) = counts
    theirs = labels.names.get(value, label)
    note = f"{name}: {value} is {label} as the file is called, and not {theirs}, as a header says that may be a copy."
    said = [note] if schema.id_of(theirs) != schema.id_of(label) else []
    return replace(labels, names={value: label}, warnings=(*labels.warnings, *said))


def _ignored(schema: LabelSchema, labels: LabelMap, counts: Mapping[int, int], name: str) -> NDArray[np.bool_] | None:
    if IGNORE in schema.ids or not may_be_unknown(labels.names, counts):
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
        ours, theirs = schema.name(label), names.get(value, "")
        if value != label or (theirs and schema.id_of(theirs) != label):
            told.append(f"{value} {theirs} became {label} {ours}".replace("  ", " "))
    return [f"{name}: {', '.join(told)}."] if told else []


def _question(schema: LabelSchema, names: Mapping[int, str], strange: Mapping[int, int], name: str) -> ChoiceError:
    theirs = _listed([f"{v} {text}" for v, text in names.items()])
    lacking = _listed([names.get(v, str(v)) for v in strange])
    became = _listed([f"{v} {names.get(v, '')}".strip() + f" becomes {v} {schema.name(v)}" for v in strange])
    text = (
        f"{name} names its labels {theirs}; this study has {_known(schema)}, and no {lacking}. The same number may "
        "mean something else: give the study those labels, or leave this label map out."
    )
    return ChoiceError(text, "match", (("ids", f"take its numbers as they are: {became}"),))


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_TOLD} more" if len(texts) > _MOST_TOLD else ""
    return ", ".join(texts[:_MOST_TOLD]) + more


def _known(schema: LabelSchema) -> str:
    return ", ".join(f"{x.id} {x.name}" for x in schema.labels)


def _refusal(schema: LabelSchema, names: Mapping[int, str], strange: Mapping[int, int], name: str) -> str:
    counted = [f"{v} {names.get(v, '')}".strip() + f" ({n} voxel{'s' * (n > 1)})" for v, n in strange.items()]
    hint = " Objects numbered one by one must first all get their label's id." if len(strange) > _MOST_TOLD else ""
    return f"{name} holds label {_listed(counted)}, which this study does not have ({_known(schema)}).{hint}"
