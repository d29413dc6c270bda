"""What model versions proposed: one prediction per case and model version, replaced when made anew."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_apprentice.core.records import Prediction, now
from napari_apprentice.errors import GeometryError, InputError, StudyError
from napari_apprentice.store.arrays import create_group, digest, read_array, read_attributes, write_array
from napari_apprentice.store.cases import Cases
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import aside_of, commit_folder, remove_quietly, storage_errors
from napari_apprentice.store.names import check_name, folders_in, is_name
from napari_apprentice.store.seal import sealed
from napari_apprentice.store.trust import refuse_links

AXES = ("z", "y", "x")


class Predictions:
    """Reads and writes predictions.

    Parameters
    ----------
    cases
        The study's cases.
    """

    def __init__(self, cases: Cases) -> None:
        self.cases = cases

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
        quality = self._quality(case_id, model)
        return sum(quality.values()) / len(quality) if quality else None

    def read(self, case_id: str, model: str) -> Prediction:
        """Read a prediction.

        Raises
        ------
        InputError
            No such case, or no prediction of it by this model version.
        StudyError
            What is stored is not what was written.
        """
        folder = self._folder(case_id, model)
        labels, uncertainty = read_array(folder / "label_map"), read_array(folder / "uncertainty")
        record = self.record(case_id, model)
        if digest(labels, uncertainty) != record.get("digest"):
            raise StudyError(f"The prediction of {case_id} by {model} is damaged; predict it again.")
        return Prediction(
            labels,
            uncertainty,
            self._quality(case_id, model),
            float(record.get("seconds", 0.0)),
            str(record.get("device", "")),
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
        check_name("model version", model)
        shape = self.cases.info(case_id).shape
        if prediction.labels.shape != shape or prediction.uncertainty.shape != shape:
            raise GeometryError(f"Case {case_id}: the prediction's shape does not fit the grid {shape}.")
        final = self._path(case_id, model)
        aside = aside_of(final)
        with storage_errors(f"the prediction of case {case_id}"):
            try:
                _write(aside, prediction)
                _swap(aside, final)
            finally:
                remove_quietly(aside)

    def record(self, case_id: str, model: str) -> dict[str, Any]:
        """The prediction's own attributes, as stored."""
        record = read_attributes(self._folder(case_id, model)).get("apprentice")
        if not isinstance(record, dict):
            raise StudyError(f"The prediction of {case_id} by {model} is damaged; predict it again.")
        return record

    def _quality(self, case_id: str, model: str) -> dict[int, float]:
        try:
            return {int(k): float(v) for k, v in self.record(case_id, model)["quality"].items()}
        except MALFORMED as error:
            raise StudyError(f"The prediction of {case_id} by {model} is damaged; predict it again.") from error

    def _path(self, case_id: str, model: str) -> Path:
        folder = self.cases.folder(case_id)
        if not is_name(model):
            raise InputError(f"{model[:120]!r} is no model version's name.")
        refuse_links(folder, folder / "predictions" / model)
        return folder / "predictions" / model

    def _folder(self, case_id: str, model: str) -> Path:
        folder = self._path(case_id, model)
        if not folder.is_dir():
            raise InputError(f"Case {case_id} has no prediction by {model}; predict it first.")
        return folder


def _write(aside: Path, prediction: Prediction) -> None:
    record = {
        "quality": {str(k): float(v) for k, v in prediction.quality.items()},
        "seconds": prediction.seconds,
        "device": prediction.device,
        "created": now(),
        "digest": digest(prediction.labels, prediction.uncertainty),
    }
    create_group(aside, {"apprentice": sealed(record)})
    write_array(aside, "label_map", prediction.labels, AXES, sharded=False)
    write_array(aside, "uncertainty", prediction.uncertainty, AXES, sharded=False)


def _swap(aside: Path, final: Path) -> None:
    # A folder cannot be renamed over another; for the blink between the two renames there is no
    # prediction, which a reader is used to.
    while not commit_folder(aside, final):
        old = aside_of(final)
        with suppress(FileNotFoundError):  # another writer was quicker; try again
            final.rename(old)
        remove_quietly(old)
