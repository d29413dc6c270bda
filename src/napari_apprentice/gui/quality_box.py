"""How much time a prediction may take, in one drop-down."""

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from napari_apprentice.core.config import QUALITIES
from napari_apprentice.gui.settings_form import SettingsForm

TEXTS = {
    "draft": "draft: a first look, soonest",
    "standard": "standard",
    "best": "best: mirrored too, all folds, slowest",
}
TIP = (
    "draft shifts its windows by three quarters of a patch, standard by half of it; best also looks at the scan "
    "mirrored, where the model version learned from mirrored scans, and asks all folds that were imported with it."
)


class QualityBox(QWidget):
    """Shows and chooses the quality of a form of prediction settings.

    Parameters
    ----------
    form
        Has the setting.
    """

    def __init__(self, form: SettingsForm) -> None:
        super().__init__()
        self._form = form
        self.box = QComboBox()
        for name in QUALITIES:
            self.box.addItem(TEXTS.get(name, name), name)
        label = QLabel("Quality")
        for widget in (label, self.box):
            widget.setToolTip(TIP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addWidget(self.box, 1)
        self.box.activated.connect(lambda _: form.set("quality", self.box.currentData()))
        form.on_change(self._update)
        self._update()

    def _update(self) -> None:
        self.box.setCurrentIndex(self.box.findData(self._form.get("quality")))
