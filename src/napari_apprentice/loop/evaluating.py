"""Label maps of a study against references from elsewhere."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.metrics import dice
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import InputError
from napari_apprentice.loop.begun import named
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.label_matching import IGNORE, match_labels
from napari_apprentice.loop.leakage import learned_by
from napari_apprentice.loop.references import references_of, several
from napari_apprentice.loop.shown import is_by
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.scans.segments.belonging import refuse_foreign
from napari_apprentice.scans.segments.claims import may_be_unknown
from napari_apprentice.store.study import Study


@dataclass(frozen=True)
class Evaluation:
    """Dice per case and label; a label absent from both maps has no entry.

    `learned` are cases of subjects that the model versions which predicted have learned from: scores there say
    nothing about new scans. `doubts` say why files in DICOM were passed over: damaged, or which case's is not clear;
    and which cases that were asked for could not be compared.
    """

    model: str
    dice: Mapping[str, Mapping[int, float]]
    learned: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def by_label(self) -> dict[int, float]:
        """Mean Dice of each label over the cases that have it."""
        labels = sorted({i for row in self.dice.values() for i in row})
        return {i: float(np.mean([row[i] for row in self.dice.values() if i in row])) for i in labels}

    @property
    def mean(self) -> float:
        """Mean of `by_label`."""
        return float(np.mean(list(self.by_label().values())))

    def unlearned(self) -> "Evaluation | None":
        """The same without what was learned from; None where no label is left."""
        rest = {case_id: row for case_id, row in self.dice.items() if case_id not in self.learned}
        return Evaluation(self.model, rest) if any(rest.values()) else None


def evaluate(
    study: Study,
    references: Path,
    *,
    what: str = "prediction",
    model: str | None = None,
    cases: Sequence[str] | None = None,
    settings: ReadSettings | None = None,
) -> Evaluation:
    """Compare with a folder of reference label maps; files are matched to cases by name, and so are named labels.

    DICOM SEG and RT Structure Sets, also those in folders below, that are called like no case belong to the case whose
    series they refer to, where that has no file of its name.
    Labels of a reference that the study does not have are left out, and what it calls unknown is not compared.

    Parameters
    ----------
    what
        "prediction" of `model` (by default the active one), or "corrected" for newest revisions.
    cases
        Only these; by default every case that has a file.
    settings
        How references are read; `match` takes their numbers as they are, whatever their names.

    Raises
    ------
    ChoiceError
        A reference names its labels, none of them as the study does.
    InputError
        There is no such case, or the folder has no file that belongs to a case with a prediction or revision, or
        several that are called like one, or a reference has none of the study's labels.
    """
    if not references.exists():
        raise InputError(f"{references} does not exist; give a folder of label maps named like the scans.")
    for case_id in cases or ():
        study.cases.folder(case_id)  # says where it is none
    ids = study.cases.ids() if cases is None else tuple(dict.fromkeys(cases))
    files, doubts = references_of(study, references, ids)
    version = "" if what == "corrected" else model or active_model(study)
    asked = [c for c in ids if c in files]
    if not asked and doubts:
        raise InputError(" ".join(doubts))
    if not asked:
        raise InputError(
            f"No file in {references} belongs to {named(cases) if cases else 'a case'}: references are matched by file "
            "name, for example case-01.nii.gz for case-01, DICOM SEG and RT Structure Sets also by the series that "
            "they refer to."
        )
    for case_id in asked:
        if len(files[case_id]) > 1:
            raise InputError(several(files[case_id], references, case_id))
    rows: dict[str, dict[int, float]] = {}
    for case_id in asked:
        labels = _labels(study, case_id, what, version)
        if labels is not None:
            rows[case_id] = _scores(study, case_id, files[case_id][0], labels, settings or ReadSettings())
    if not rows:
        if version not in ("", *study.models.names()):
            study.models.record(version)  # says which there are
        none = f"was predicted by {version}: predict them first, or name another model version with --model"
        raise InputError(f"None of the cases that have a file in {references} {none if version else 'was corrected'}.")
    if not any(rows.values()):
        raise InputError(f"Neither the cases nor their files in {references} hold a label: nothing to compare.")
    if cases is not None:
        doubts += _not_compared(ids, files, rows, f"predicted by {version}" if version else "corrected")
    return Evaluation(version, rows, _learned(study, version, rows) if version else (), doubts)


def _not_compared(asked: Iterable[str], files: Container[str], rows: Container[str], made: str) -> tuple[str, ...]:
    """A sentence on each case that was asked for by its name and has nothing to compare."""
    why = {c: f"it was not {made}" if c in files else "no reference belongs to it" for c in asked if c not in rows}
    return tuple(f"Case {case_id} was not compared: {reason}." for case_id, reason in why.items())


def _learned(study: Study, model: str, cases: Iterable[str]) -> tuple[str, ...]:
    """Of cases that a model version predicted, those whose subjects it, or one that predicted with it, learned from."""
    voters = {case_id: (model, *study.predictions.made(case_id, model).get("models", ())) for case_id in cases}
    learned = learned_by(study, set(chain(*voters.values())), skip_damaged=True)
    subjects = {case_id: study.cases.info(case_id).subject for case_id in voters}
    return tuple(c for c, names in voters.items() if any(subjects[c] in learned.get(n, ()) for n in names))


def _labels(study: Study, case_id: str, what: str, model: str) -> LabelArray | None:
    if what == "prediction":
        return study.predictions.read(case_id, model).labels if is_by(study, case_id, model) else None
    newest = study.revisions.newest(case_id)
    return study.revisions.read(case_id, newest.name)[0] if newest else None


def _scores(study: Study, case_id: str, path: Path, labels: LabelArray, settings: ReadSettings) -> dict[int, float]:
    geometry = study.cases.info(case_id).geometry
    refuse_foreign(path, study.cases.record(case_id).get("acquisition", {}), settings, strict=True)
    unknown = {IGNORE} - {*study.schema.ids}
    reference = fit(read_label_map(path, settings, geometry, unknown), geometry, path.name)
    matched = match_labels(study.schema, _of_study(study.schema, reference, settings), path.name, settings.match)
    if matched.ignored is not None:
        labels = np.where(matched.ignored, labels.dtype.type(0), labels)
    scores = {i: dice(labels, matched.voxels, i) for i in study.schema.ids}
    return {i: s for i, s in scores.items() if s is not None}


def _of_study(schema: LabelSchema, reference: LabelMap, settings: ReadSettings) -> LabelMap:
    """A reference without what is none of the study's labels; as it is where nothing would be left, to be refused."""
    values = np.unique(reference.voxels[reference.voxels > 0]).tolist()
    by_name = settings.match == "names" or not reference.numbered
    names = {v: reference.names[v] for v in values if v in reference.names and by_name}
    found = {v for v, name in names.items() if schema.id_of(name) is not None}
    numbers = {v for v in schema.ids if v not in names or not found}
    unknown = {IGNORE} if may_be_unknown(reference.names, values) else set()
    strange = [v for v in values if v not in found | numbers | unknown]
    if not strange or not (found | numbers).intersection(values):
        return reference
    kept = np.where(np.isin(reference.voxels, strange), reference.voxels.dtype.type(0), reference.voxels)
    return replace(reference, voxels=kept)
