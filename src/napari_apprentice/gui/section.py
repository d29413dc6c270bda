"""A titled part of the dock that folds away."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QToolButton, QVBoxLayout, QWidget


class Section(QWidget):
    """A header button with a widget below it.

    superqt's QCollapsible fixes the height of what it holds, which cuts off panels that grow while
    they are open; a header that hides and shows does not.

    Parameters
    ----------
    title, tip
        The header and its tooltip.
    content
        What folds away.
    expanded
        Whether it is open to begin with.
    """

    def __init__(self, title: str, content: QWidget, tip: str = "", expanded: bool = True) -> None:
        super().__init__()
        self.content = content
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setToolTip(tip or f"Show or hide {title}.")
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setStyleSheet("QToolButton { font-weight: bold; border: none; padding: 3px; }")
        self.header.toggled.connect(self._on_toggled)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        for widget in (line, self.header, content):
            box.addWidget(widget)
        self.header.setChecked(expanded)
        self._on_toggled(expanded)

    def expand(self, expanded: bool = True) -> None:
        """Open or fold."""
        self.header.setChecked(expanded)

    def _on_toggled(self, expanded: bool) -> None:
        self.header.setArrowType(Qt.ArrowType.DownArrow if expanded else Qt.ArrowType.RightArrow)
        self.content.setVisible(expanded)
