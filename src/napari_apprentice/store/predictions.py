"""What model versions proposed: one prediction per case and model version, replaced when made anew."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import ApprenticeError, GeometryError, InputError, StudyError
from napari_apprentice.store.arrays import digest, read_array, read_attributes, read_box
from napari_apprentice.store.cases import Cases
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import aside_of, remove_quietly, storage_errors
from napari_apprentice.store.journal import FILE
from napari_apprentice.store.names import check_name, folders_in, is_name
from napari_apprentice.store.prediction_place import commit_over, kept_for, sweep_dead, sweep_kept
from napari_apprentice.store.prediction_writer import LABEL_MAP, UNCERTAINTY, PredictionWriter
from napari_apprentice.store.trust import refuse_links
from napari_apprentice.store.unfinished import UnfinishedPrediction
from napari_apprentice.store.vault import Vault

LOOKS, BLINK_SECONDS = 5, 0.05  # while another process puts a prediction in this one's place


class Predictions:
    """Reads and writes predictions.

    Parameters
    ----------
    cases
        The study's cases.
    gone
        Ids of labels that the study had and has no more; what was predicted of them reads as background.
    """

    def __init__(self, cases: Cases, gone: Callable[[], Collection[int]]) -> None:
        self.cases, self._gone = cases, gone

    def models(self, case_id: str) -> tuple[str, ...]:
        """Model versions that have a prediction of this case, sorted."""
        with storage_errors(f"the predictions of case {case_id}"):
            return folders_in(self.cases.folder(case_id) / "predictions")

    def has(self, case_id: str, model: str) -> bool:
        """Whether there is a prediction; reads no voxel."""
        return self._path(case_id, model).is_dir()

    def quality(self, case_id: str, model: str) -> float | None:
        """Mean predicted Dice over the labels present; None without a prediction or without labels."""
        if not self.has(case_id, model):
            return None
        return mean_quality(self._quality(case_id, model))

    def told(self, case_id: str, model: str) -> tuple[Mapping[int, float], Mapping[str, Any]]:
        """What `quality_by_label` and `made` say, from one look at the record."""
        if not self.has(case_id, model):
            return {}, {}
        record = self.record(case_id, model)
        return self._quality_of_now(_quality(record, case_id, model)), _made(record)

    def quality_by_label(self, case_id: str, model: str) -> Mapping[int, float]:
        """Label id to predicted Dice; empty without a prediction or without labels."""
        return self._quality(case_id, model) if self.has(case_id, model) else {}

    def read(self, case_id: str, model: str) -> Prediction:
        """Read a prediction; labels that the study does not have any more are background.

        Raises
        ------
        InputError
            No such case, or no prediction of it by this model version.
        StudyError
            What is stored is not what was written.
        """
        return self._as_of_now(self.read_stored(case_id, model))

    def read_stored(self, case_id: str, model: str) -> Prediction:
        """A prediction as it is stored, with labels that the study does not have any more; raises as `read`."""
        for _ in range(LOOKS):
            before = _identity(self._path(case_id, model))
            try:
                return self._read(self._folder(case_id, model), case_id, model)
            except ApprenticeError:
                if _identity(self._path(case_id, model)) == before:
                    raise  # the same all the time: it is no exchange that was in the way
        return self._read(self._folder(case_id, model), case_id, model)

    def read_base(self, case_id: str, model: str, expected: str = "") -> Prediction | None:
        """The prediction that the strokes in the case's journal were drawn on; None where it is gone.

        A prediction that is made anew while a case has strokes in no revision is kept for them: to accept is
        to accept what was shown.

        Parameters
        ----------
        expected
            Its digest, as the journal has it; "" in journals of earlier versions, where the one that is kept counts,
            or else the present one.

        Raises
        ------
        StudyError
            The present one is what they were drawn on, and is damaged.
        """
        for _ in range(LOOKS):
            folder = self._base(case_id, model, expected)
            try:
                found = None if folder is None else self._read(folder, case_id, model)
            except ApprenticeError as error:
                if self._base(case_id, model, expected) != folder:
                    continue  # an exchange was in the way
                if folder == self._path(case_id, model) or not isinstance(error, StudyError):
                    raise
                return None  # nothing makes one whole again that is kept
            if self._base(case_id, model, expected) == folder and (found is None or expected in ("", found.digest)):
                return None if found is None else self._as_of_now(found)
        return None

    def _base(self, case_id: str, model: str, expected: str) -> Path | None:
        for folder in (self._kept(case_id, model), self._path(case_id, model)):
            with suppress(StudyError):  # what is kept may be damaged; the other may be what it was made from
                if folder is not None and folder.is_dir() and expected in ("", self._digest(folder, case_id, model)):
                    return folder
        return None

    def _kept(self, case_id: str, model: str) -> Path | None:
        return kept_for(self._path(case_id, model), self._journal(case_id))

    def of_now(self, labels: LabelArray) -> LabelArray:
        """A label map as it reads today: labels that the study does not have any more are background."""
        gone = self._gone()
        if not gone:
            return labels
        table = np.arange(1 + int(labels.max(initial=0)), dtype=labels.dtype)
        table[[label for label in gone if label < len(table)]] = 0
        found = np.empty_like(labels)
        for plane, out in zip(labels, found, strict=True):  # at once, the index alone would take eight times the map
            out[...] = table[plane]
        return found

    def base_labels(self, case_id: str, model: str, box: tuple[slice, ...]) -> LabelArray:
        """Labels of a box (slices along z, y, x) of what `read_base` gives; reads no more than that."""
        kept = self._kept(case_id, model)
        folder = kept if kept is not None and kept.is_dir() else self._folder(case_id, model)
        return self.of_now(read_box(folder / LABEL_MAP, box, self._vault(case_id, model).at(LABEL_MAP)))

    def digest(self, case_id: str, model: str) -> str:
        """By which a prediction is told from one made anew; "" without one. Reads no voxel."""
        return str(self.record(case_id, model).get("digest", "")) if self.has(case_id, model) else ""

    def _digest(self, folder: Path, case_id: str, model: str) -> str:
        return str(self._record(folder, case_id, model).get("digest", ""))

    def _read(self, folder: Path, case_id: str, model: str) -> Prediction:
        vault = self._vault(case_id, model)
        labels, uncertainty = (read_array(folder / name, vault.at(name)) for name in (LABEL_MAP, UNCERTAINTY))
        record = self._record(folder, case_id, model)
        if digest(labels, uncertainty) != record.get("digest"):
            raise StudyError(f"The prediction of {case_id} by {model} is damaged; predict it again.")
        return Prediction(
            labels,
            uncertainty,
            _quality(record, case_id, model),
            float(record.get("seconds", 0.0)),
            str(record.get("device", "")),
            dict(record.get("made", {})),
            str(record["digest"]),
        )

    def write(self, case_id: str, model: str, prediction: Prediction) -> None:
        """Store a prediction in place of an older one by the same model version.

        Raises
        ------
        GeometryError
            It has another shape than the case.
        StorageError
            The disk is full, gone or read-only; the older prediction is kept.
        """
        shape = self.cases.info(case_id).shape
        if prediction.labels.shape != shape or prediction.uncertainty.shape != shape:
            raise GeometryError(f"Case {case_id}: the prediction's shape does not fit the grid {shape}.")
        with self.begin(case_id, model, prediction.labels.dtype) as writer:
            writer.write_slab(PredictedSlab(0, shape[0], prediction.labels, prediction.uncertainty))
            writer.commit(prediction.quality, prediction.seconds, prediction.device, prediction.made)

    def begin(self, case_id: str, model: str, dtype: np.dtype[Any], token: str = "") -> PredictionWriter:
        """Begin a prediction that is written slab by slab and takes an older one's place when it is committed.

        Parameters
        ----------
        dtype
            uint8 or uint16, of the labels.
        token
            By which `unfinished` finds it, such as the run's id; by default nobody looks for it.

        Raises
        ------
        StorageError
            The disk is full, gone or read-only.
        """
        check_name("model version", model)
        shape = self.cases.info(case_id).shape
        final = self._path(case_id, model)
        sweep_dead(final.parent)
        sweep_kept(final.parent, self._journal(case_id))
        aside = _aside(final, token) if token else aside_of(final)
        remove_quietly(aside)
        return PredictionWriter(
            aside, shape, dtype, f"the prediction of case {case_id}",
            lambda done: commit_over(done, final, self._journal(case_id)), self._vault(case_id, model),
        )  # fmt: skip

    def unfinished(self, case_id: str, model: str, token: str) -> UnfinishedPrediction:
        """A prediction that was begun with this token, as far as it has come."""
        final = self._path(case_id, model)
        aside = _aside(final, check_name("run", token))
        return UnfinishedPrediction(aside, final, self.of_now, self._vault(case_id, model))

    def record(self, case_id: str, model: str) -> dict[str, Any]:
        """The prediction's own attributes, as stored."""
        return self._record(self._folder(case_id, model), case_id, model)

    def made(self, case_id: str, model: str) -> Mapping[str, Any]:
        """How a prediction was made, as its record has it; empty without one, or from before this was recorded."""
        return _made(self.record(case_id, model)) if self.has(case_id, model) else {}

    def _record(self, folder: Path, case_id: str, model: str) -> dict[str, Any]:
        record = read_attributes(folder).get("apprentice")
        if not isinstance(record, dict):
            raise StudyError(f"The prediction of {case_id} by {model} is damaged; predict it again.")
        return self._vault(case_id, model).open_record(record, f"The prediction of {case_id} by {model}")

    def _quality(self, case_id: str, model: str) -> dict[int, float]:
        return self._quality_of_now(_quality(self.record(case_id, model), case_id, model))

    def _as_of_now(self, stored: Prediction) -> Prediction:
        return replace(stored, labels=self.of_now(stored.labels), quality=self._quality_of_now(stored.quality))

    def _quality_of_now(self, quality: Mapping[int, float]) -> dict[int, float]:
        gone = self._gone()
        return {label: value for label, value in quality.items() if label not in gone}

    def _vault(self, case_id: str, model: str) -> Vault:
        return self.cases.vault.at(case_id, "predictions", model)

    def _journal(self, case_id: str) -> Path:
        return self.cases.root.parent / "journal" / case_id / FILE

    def _path(self, case_id: str, model: str) -> Path:
        folder = self.cases.folder(case_id)
        if not is_name(model):
            raise InputError(f"{model[:120]!r} is no model version's name.")
        refuse_links(folder, folder / "predictions" / model)
        return folder / "predictions" / model

    def _folder(self, case_id: str, model: str) -> Path:
        folder = self._path(case_id, model)
        for _ in range(LOOKS):
            if folder.is_dir():
                return folder
            if not any(folder.parent.glob(f".{model}.*")):
                break  # nobody is exchanging it
            time.sleep(BLINK_SECONDS)
        raise InputError(f"Case {case_id} has no prediction by {model}; predict it first.")


def _identity(folder: Path) -> int:
    """What tells a folder from the one that takes its place; 0 where there is none."""
    try:
        return folder.stat().st_ino
    except OSError:
        return 0


def _aside(final: Path, token: str) -> Path:
    return final.with_name(f".{final.name}.{token}.aside")


def _quality(record: Mapping[str, Any], case_id: str, model: str) -> dict[int, float]:
    try:
        return {int(k): float(v) for k, v in record["quality"].items()}
    except MALFORMED as error:
        raise StudyError(f"The prediction of {case_id} by {model} is damaged; predict it again.") from error


def mean_quality(quality: Mapping[int, float]) -> float | None:
    """Mean predicted Dice over the labels present; None without labels."""
    return sum(quality.values()) / len(quality) if quality else None


def _made(record: Mapping[str, Any]) -> Mapping[str, Any]:
    made = record.get("made", {})
    return made if isinstance(made, Mapping) else {}
