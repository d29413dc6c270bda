"""Which model versions predict together with the active one, in one menu."""

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_apprentice.core.config import ALONE, PredictSettings
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.panel import menu_button
from napari_apprentice.gui.settings_form import SettingsForm
from napari_apprentice.session import ModelRow

TIP = (
    "Several model versions or folds that predict together make fewer mistakes than one, and take longer; the "
    "predicted Dice then says how well they agree. Left to the quality, best asks all folds that were imported."
)
BY_QUALITY = "as the quality says"


class EnsembleBox(QWidget):
    """Shows and chooses the `ensemble` of a form of prediction settings; hidden where there is nothing to choose.

    Parameters
    ----------
    form
        Has the setting.
    """

    def __init__(self, form: SettingsForm) -> None:
        super().__init__()
        self._form, self._others = form, tuple[ModelRow, ...]()
        self.button, self.menu = menu_button("", TIP)
        self.by_quality = QAction(BY_QUALITY, self.menu)
        self.menu.addAction(self.by_quality)
        self.by_quality.setCheckable(True)
        self.by_quality.setToolTip("Best asks all folds that were imported together; draft and standard ask one alone.")
        self.by_quality.triggered.connect(lambda: self._form.set("ensemble", ""))
        self.menu.addSeparator()
        self.actions_of: dict[str, QAction] = {}
        label = QLabel("Together with")
        label.setToolTip(TIP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addWidget(self.button, 1)
        form.on_change(self._update)
        self._update()

    def show_models(self, facts: Facts) -> None:
        """Offer the model versions that a study has beside the active one."""
        others = tuple(m for m in reversed(facts.models) if not m.active)
        if others != self._others:
            self._others = others
            self._offer()
        self._update()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Model versions that will predict beside the active one."""
        how = PredictSettings(ensemble=self._form.get("ensemble"), quality=self._form.get("quality"))
        if how.ensemble.strip() or how.quality != "best":
            return how.members
        return tuple(m.name for m in self._others if m.fold)

    def _offer(self) -> None:
        for action in self.actions_of.values():
            self.menu.removeAction(action)
        self.actions_of = {m.name: self._action(m) for m in self._others}
        fitting = {m.name for m in self._others if not m.unlike}
        named = PredictSettings(ensemble=self._form.get("ensemble")).members
        if not fitting.issuperset(named):  # chosen beside a version that was active before
            self._form.set("ensemble", ",".join(n for n in named if n in fitting))

    def _action(self, model: ModelRow) -> QAction:
        action = QAction(f"{model.name}, another fold" if model.fold else model.name, self.menu)
        action.setCheckable(True)
        action.setEnabled(not model.unlike)
        why = f"It cannot predict together with the active one: they differ in {model.unlike}." if model.unlike else ""
        action.setToolTip(why or model.verdict or model.name)
        action.triggered.connect(lambda checked: self._choose(model.name, checked))
        self.menu.addAction(action)
        return action

    def _choose(self, name: str, checked: bool) -> None:
        chosen = {*self.chosen, name} if checked else {*self.chosen} - {name}
        folds = any(m.fold for m in self._others)
        self._form.set("ensemble", ",".join(sorted(chosen)) or (ALONE if folds else ""))

    def _update(self) -> None:
        chosen = self.chosen
        self.by_quality.setChecked(not self._form.get("ensemble").strip())
        for name, action in self.actions_of.items():
            action.setChecked(name in chosen)
        self.button.setText(", ".join(chosen) or "no other model version")
        self.setVisible(bool(self._others))
