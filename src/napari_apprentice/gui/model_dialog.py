"""One model version: what the gate found, pictures of it, where it comes from, a note, and a person's own verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QDialog, QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from napari_apprentice.gui.controls import button, note
from napari_apprentice.gui.gate_table import GateTable
from napari_apprentice.loop.choosing import ModelDetails
from napari_apprentice.session import Session

CAPTIONS = {"best.png": "Best change", "worst.png": "Worst change"}
NOTE_HEIGHT = 48
SIZE, TITLE = QSize(980, 860), 60  # pixels


@dataclass(frozen=True)
class Shown:
    """A model version and its pictures (PNG files by name), as read from the study."""

    known: ModelDetails
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def read_shown(session: Session, name: str) -> Shown:
    """Read what the dialog shows; touches the disk."""
    known = session.model_details(name)
    return Shown(known, {p: session.study.models.picture(name, p) for p in sorted(known.version.pictures)})


class ModelDialog(QDialog):
    """Not modal: one goes on looking at scans while it is open."""

    activate_requested = Signal(str, str)
    """A model version, and why although the gate refused it."""
    refuse_requested = Signal(str, str)
    """The active model version that is not to be used, and why."""
    note_changed = Signal(str, str)
    """A model version and what is written about it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = self._note = ""
        self._passed = True
        self._must_say = False
        self.head = note("", "What the gate made of it.")
        self.table = GateTable()
        self.caution = note("", "What the intervals are worth.")
        self.pictures: dict[str, QLabel] = {}
        self._drawn = QVBoxLayout()
        self.origin = note("", "Where it comes from, and when it was active.")
        self.text = QPlainTextEdit()
        self.text.setToolTip("Anything worth knowing about this model version; what was written before is kept.")
        self.text.setFixedHeight(NOTE_HEIGHT)
        self.text.setPlaceholderText("A note on this model version")
        self.keep = button("Keep note", "Store what is written above.")
        self.why = QLineEdit()
        self.why.setToolTip("Kept with who decided so, and when.")
        self.use = button("Use it", "Make it the active model version.")
        self.refuse = button("Do not use it", "Go back to the model version before, although this one passed the gate.")
        self._lay_out()
        self.use.clicked.connect(lambda: self._decide(self.activate_requested))
        self.refuse.clicked.connect(lambda: self._decide(self.refuse_requested))
        self.keep.clicked.connect(self._on_keep)
        self.why.textChanged.connect(self._on_why)

    def _lay_out(self) -> None:
        inside = QWidget()
        box = QVBoxLayout(inside)
        for widget in (self.head, self.table, self.caution):
            box.addWidget(widget)
        box.addLayout(self._drawn)
        writing = QHBoxLayout()
        writing.addWidget(self.text, 1)
        writing.addWidget(self.keep)
        choosing = QHBoxLayout()
        choosing.addWidget(self.why, 1)
        choosing.addWidget(self.use)
        choosing.addWidget(self.refuse)
        box.addWidget(self.origin)
        box.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(inside)
        whole = QVBoxLayout(self)
        whole.addWidget(area)
        whole.addLayout(writing)
        whole.addLayout(choosing)
        screen = self.screen()
        self.resize(SIZE if screen is None else on_screen(SIZE, screen.availableSize()))

    @property
    def writing(self) -> bool:
        """Whether something is typed that is not kept yet."""
        return bool(self.why.text().strip()) or self.text.toPlainText().strip() != self._note

    def show_version(self, shown: Shown) -> None:
        """Fill in another model version, or the same one anew."""
        known = shown.known
        self._name = known.version.name
        self.setWindowTitle(f"Model version {self._name}")
        self.head.setText(_head(known))
        self.table.show_report(known.gate, known.version.schema)
        self.caution.setText(known.gate.caution if known.gate else "")
        self.caution.setVisible(bool(self.caution.text()))
        self._draw(shown)
        self.origin.setText(_origin(known))
        self._note = known.note
        self.text.setPlainText(known.note)
        self._passed = known.gate is None or known.gate.passed
        self._must_say = known.gate is not None and known.gate.found_worse
        self.use.setVisible(not known.active)
        self.use.setText("Use it" if self._passed else "Use it all the same")
        self.refuse.setVisible(known.active and known.gate is not None and self._passed)
        self.why.setVisible(self.refuse.isVisibleTo(self) or (not known.active and not self._passed))
        self.why.setPlaceholderText("Why you decide against the gate")
        self.why.clear()
        self._on_why()

    def _decide(self, request: Any) -> None:
        why = self.why.text()
        self.why.clear()  # what comes of it is shown as soon as it is known
        request.emit(self._name, why)

    def _on_keep(self) -> None:
        self._note = self.text.toPlainText().strip()
        self.note_changed.emit(self._name, self._note)

    def _on_why(self) -> None:
        said = bool(self.why.text().strip())
        self.use.setEnabled(said or not self._must_say)
        self.refuse.setEnabled(said)

    def _draw(self, shown: Shown) -> None:
        while (item := self._drawn.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self.pictures = {}
        for name, data in shown.pictures.items():
            picture = QPixmap()
            picture.loadFromData(data)
            told = shown.known.version.pictures.get(name, {})
            caption = (
                f"{CAPTIONS.get(name, name)}: {told.get('revision', '')}, mean Dice {told.get('change', 0.0):+.3f}"
            )
            self._drawn.addWidget(
                note(caption, "Before, after and as corrected; where nobody looked the scan is dark.")
            )
            place = self.pictures[name] = QLabel()
            place.setPixmap(picture)
            place.setToolTip(caption)
            place.setAlignment(Qt.AlignmentFlag.AlignLeft)
            self._drawn.addWidget(place)


def on_screen(size: QSize, screen: QSize) -> QSize:
    """What a window of a size may have of a screen, its title left above it: the buttons are at its lower edge."""
    return size.boundedTo(screen - QSize(0, TITLE))


def _head(known: ModelDetails) -> str:
    gate = known.gate
    state = "active" if known.active else "not active"
    verdict = "It did not go through the gate." if gate is None else (
        f"It {'passed' if gate.passed else 'did not pass'} the gate: {gate.told}."
    )  # fmt: skip
    return f"<b>{known.version.name}</b>, {state}. {verdict}"


def _origin(known: ModelDetails) -> str:
    version = known.version
    parts = [" from ".join(a["name"] for a in known.lineage) + f", made {version.created}."]
    if len(version.channels) > 1:
        parts.append(f"It reads the channels {', '.join(version.channels)}.")
    share = version.metrics.get("share")
    if share is not None:
        parts.append(f"{share:.0%} of the change was taken.")
    sure = version.metrics.get("calibration")
    if sure:
        parts.append(
            f"Temperature {version.temperature:.2f}; calibration error {sure['ece_before']:.3f} before, "
            f"{sure['ece_after']:.3f} with it."
        )
    turns = [f"{t.time}: {t.name} became active; {t.reason}{f': {t.why}' * bool(t.why)}" for t in known.turns]
    return "<br>".join([" ".join(parts), *turns])
