"""A form made from a settings dataclass, so that a new setting appears in the window by itself."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FloatSpinBox, LineEdit, SpinBox
from magicgui.widgets.bases import ValueWidget

from napari_apprentice.core.config import Settings


class SettingsForm:
    """One magicgui widget per field; `native` is the Qt widget.

    Parameters
    ----------
    settings
        What the form shows to begin with; its type decides the fields.
    """

    def __init__(self, settings: Settings) -> None:
        self._type = type(settings)
        self._fields = {f.name: _widget(f, getattr(settings, f.name)) for f in _fields(settings)}
        self._container: Container[Any] = Container(widgets=list(self._fields.values()), labels=True)
        self._container.native.layout().setContentsMargins(0, 0, 0, 0)
        self.native = self._container.native

    def value(self) -> Any:
        """The settings as the form has them.

        Raises
        ------
        InputError
            A value is out of its limits.
        """
        return self._type(**{name: widget.value for name, widget in self._fields.items()})

    def show(self, settings: Settings) -> None:
        """Show other values."""
        for f in _fields(settings):
            self._fields[f.name].value = getattr(settings, f.name)

    def get(self, name: str) -> Any:
        """The value of one field."""
        return self._fields[name].value

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back when a person or the program changes a value."""
        self._container.changed.connect(lambda _: callback())

    def set(self, name: str, value: Any) -> None:
        """Show another value of one field."""
        self._fields[name].value = value


def _fields(settings: Settings) -> tuple["dataclasses.Field[Any]", ...]:
    return dataclasses.fields(settings)  # type: ignore[arg-type]


def _widget(field: "dataclasses.Field[Any]", value: Any) -> ValueWidget[Any]:
    label = field.name.replace("_", " ")
    tip = field.metadata.get("text", "")
    low, high = field.metadata.get("low"), field.metadata.get("high")
    if field.metadata.get("choices"):
        return ComboBox(value=value, choices=list(field.metadata["choices"]), label=label, tooltip=tip)
    if isinstance(value, bool):
        return CheckBox(value=value, label=label, tooltip=tip)
    if isinstance(value, int):
        return SpinBox(value=value, min=_or(low, -(2**31)), max=_or(high, 2**31 - 1), label=label, tooltip=tip)
    if isinstance(value, float):
        return FloatSpinBox(
            value=value, min=_or(low, -1e9), max=_or(high, 1e9), step=_step(value), label=label, tooltip=tip
        )
    return LineEdit(value=str(value), label=label, tooltip=tip)


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def _step(value: float) -> float:
    """A tenth of the value's last written digit; Qt shows as many digits as the step has, and rounds to them."""
    if value == 0:
        return 0.01  # it has no digit to go by
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    digits = exponent if isinstance(exponent, int) else 0
    return min(10.0 ** (digits - 1), 1.0)
