"""Predict: let the active model version propose label maps."""

from contextlib import suppress

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QEnterEvent
from qtpy.QtWidgets import QHBoxLayout

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import InputError
from napari_apprentice.gui.ensemble_box import EnsembleBox
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.model_actions import open_cases
from napari_apprentice.gui.panel import Panel, button, note
from napari_apprentice.gui.postprocess_section import PostprocessSection
from napari_apprentice.gui.quality_box import QualityBox
from napari_apprentice.gui.section import Section
from napari_apprentice.gui.settings_form import SettingsForm

SETTLED_MS = 700  # after a case was opened: it is drawn by then, and somebody who only goes past is gone


class PredictPanel(Panel):
    """Which model version predicts, where, and for which cases."""

    case_requested = Signal(object)
    all_requested = Signal(object)

    def _build(self) -> None:
        self.model = note("", "The model version that predicts. Fine-tune makes new ones, the list there goes back.")
        self.device = note("", "Where the last prediction was computed; Prediction settings choose another device.")
        self.this_case = button("Predict this case", "Let the active model version propose labels for the open case.")
        self.all_open = button(
            "Predict all open cases", "Predict every case that is neither corrected nor predicted by this version."
        )
        self.form = SettingsForm(PredictSettings())
        self._ready_for: tuple[PredictSettings, str, str, int | None] | None = None
        self.settings = Section("Prediction settings", self.form.native, "Device, step width, memory.", expanded=False)
        self.quality = QualityBox(self.form)
        self.ensemble = EnsembleBox(self.form)
        line = QHBoxLayout()
        line.addWidget(self.this_case)
        line.addWidget(self.all_open)
        self._box.addWidget(self.model)
        self._box.addWidget(self.device)
        self._box.addWidget(self.quality)
        self._box.addWidget(self.ensemble)
        self._box.addLayout(line)
        self._box.addWidget(self.settings)
        steps = PostprocessSection(self.desk.session, self.desk.runner, self.desk.facts)
        tip = "Steps that predictions go through, such as keeping a label's largest component."
        self.steps = Section("Post-processing", steps, tip, expanded=False)
        self._box.addWidget(self.steps)
        self._connect()
        self.device.setText("Device: auto, takes the GPU when there is one.")
        self._show(self.desk.facts.now)

    def _connect(self) -> None:
        self.this_case.clicked.connect(lambda: self._ask(self.case_requested))
        self.all_open.clicked.connect(lambda: self._ask(self.all_requested))
        self.case_requested.connect(self.desk.models.predict_open_case)
        self.all_requested.connect(self.desk.models.predict_open_cases)
        self.desk.models.predicted.connect(self._show_device)
        self.desk.facts.changed.connect(self._show)
        self.desk.bridge.case_opened.connect(self._refresh)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLED_MS)
        self._settled.timeout.connect(self._begin_if_warm)
        self.desk.bridge.case_opened.connect(self._settled.start)
        self.desk.runner.changed.connect(self._refresh)

    def _ask(self, intent: Signal) -> None:
        self.desk.runner.attempt(lambda: intent.emit(self.form.value()))

    def enterEvent(self, event: QEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """The mouse comes near the buttons: the process starts if it has to, and begins."""
        super().enterEvent(event)
        self._begin_ahead()

    def _begin_if_warm(self) -> None:
        """A case without corrections was opened: the process, where there is one, begins while it is looked at."""
        session = self.desk.session
        if session.case is None or not session.predicts_warm(self.form.get("device")):
            return
        if session.case.info.case_id in open_cases(self.desk.facts.now):
            self._begin_ahead()

    def _begin_ahead(self) -> None:
        """Once for each case, slice on the screen, and choice of settings."""
        active, case = self.desk.facts.now.active, self.desk.session.case
        if active is None or self.desk.models.prediction is not None:
            return
        with suppress(InputError):  # it is told at the press
            settings = self.form.value()
            wanted = (settings, active, case.info.case_id if case else "", self.desk.layers.z_shown())
            if wanted != self._ready_for:
                self._ready_for = wanted
                self.desk.models.get_ready(settings)

    def _refresh(self) -> None:
        self._show(self.desk.facts.now)

    def _show(self, facts: Facts) -> None:
        active = facts.active
        none = "is active: activate one below, or train anew." if facts.models else "yet: train the first one below."
        self.model.setText(f"Model version: <b>{active}</b> (active)" if active else f"No model version {none}")
        self.ensemble.show_models(facts)
        ready = active is not None and self.desk.models.prediction is None
        # Also while others are predicted: the case on the screen goes first.
        self.this_case.setEnabled(active is not None and self.desk.session.case is not None)
        left = len(open_cases(facts))
        self.all_open.setEnabled(ready and left > 0)
        self.all_open.setText(f"Predict all open cases ({left})" if left else "Predict all open cases")

    def _show_device(self, _cases: object, device: str) -> None:
        self.device.setText(f"Device in use: <b>{device}</b>")
