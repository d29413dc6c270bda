"""What a model version really says, also under voxels that a person corrected: its prediction as a layer."""

from qtpy.QtCore import QObject, Signal

from napari_apprentice.core.volume import LabelArray
from napari_apprentice.gui.extra_layers import ExtraLayers
from napari_apprentice.gui.layer_making import outline_layer
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.work import Runner
from napari_apprentice.session import Session

PREDICTION = "prediction"


class RawPrediction(QObject):
    """Shows the stored prediction of a model version over the open case, as long as it is wanted.

    Parameters
    ----------
    session, runner
        Whose predictions, and where they are read.
    layers, extras
        The open case on the screen; where the prediction is shown.
    """

    changed = Signal()
    """Other model versions predicted the case, or it is wanted no more."""

    def __init__(
        self, session: Session, runner: Runner, layers: CaseLayers, extras: ExtraLayers, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._extras = extras
        self._generation = 0
        self.wanted = False
        self.offered: tuple[str, ...] = ()
        """Model versions that predicted the open case; the active one first, then the newest."""
        self.chosen: str | None = None
        layers.shown.connect(self.refresh)
        extras.deleted.connect(lambda purpose: self.want(False) if purpose == PREDICTION else None)

    def want(self, wanted: bool) -> None:
        """Show the prediction, in this case and the next, or no more."""
        if wanted == self.wanted:
            return
        self.wanted = wanted
        self._generation += 1
        if wanted:
            self._read()
        else:
            self._extras.take_away(PREDICTION)
        self.changed.emit()

    def choose(self, model: str) -> None:
        """Show another model version's prediction."""
        if model in self.offered and model != self.chosen:
            self.chosen = model
            self._read()

    def refresh(self) -> None:
        """See which model versions predicted the open case, and read what is shown anew."""
        case = self._session.case
        if case is None:
            self._offer(())
            return
        case_id = case.info.case_id
        self._generation += 1
        generation = self._generation
        job = self._runner.run("Reading the predictions", lambda: models_of(self._session, case_id), quiet=True)
        job.returned.connect(lambda models: self._offer(models) if generation == self._generation else None)

    def _offer(self, models: tuple[str, ...]) -> None:
        self.offered = models
        if self.chosen not in models:
            self.chosen = models[0] if models else None
        self._read()
        self.changed.emit()

    def _read(self) -> None:
        case, model = self._session.case, self.chosen
        if not self.wanted:
            return
        if case is None or model is None:
            self._extras.take_away(PREDICTION)
            return
        self._generation += 1
        generation, case_id, schema = self._generation, case.info.case_id, self._session.study.schema
        read = self._session.study.predictions.read
        job = self._runner.run(f"Reading the prediction by {model}", lambda: read(case_id, model).labels, stops=False)

        def show(labels: LabelArray) -> None:
            if generation == self._generation:
                name = f"Prediction by {model}"
                self._extras.show(PREDICTION, lambda info: outline_layer(labels, info, schema, name))

        job.returned.connect(show)


def models_of(session: Session, case_id: str) -> tuple[str, ...]:
    """Model versions with a prediction of a case: the active one first, then the newest."""
    study = session.study
    active = study.models.active()
    found = sorted(study.predictions.models(case_id), reverse=True)
    return tuple(sorted(found, key=lambda name: name != active))
