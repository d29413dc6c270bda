"""The study's list of labels: integer ids with names and colours."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from napari_apprentice.errors import InputError

# Okabe-Ito's colour-blind safe order, then a few more that stay apart on grey.
PALETTE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2",
    "#b15928", "#6a3d9a", "#b2df8a", "#fb9a99", "#a6cee3",
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """One label: an id from 1 to 65535, a name, a colour as #rrggbb."""

    id: int
    name: str
    colour: str

    def __post_init__(self) -> None:
        if not 1 <= self.id <= 65535:
            raise InputError(f"Label id {self.id} is out of range: ids run from 1 to 65535, 0 is background.")
        if not self.name.strip():
            raise InputError(f"Label {self.id} has no name.")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise InputError(f"Label {self.name}: colour {self.colour!r} is not of the form #rrggbb.")

    def called(self, name: str) -> bool:
        """Whether it has this name; upper and lower case, spaces, _ and - make no difference."""
        return _plain(self.name) == _plain(name)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"id": self.id, "name": self.name, "colour": self.colour}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Label":
        """Read what `to_json` wrote."""
        return cls(int(data["id"]), str(data["name"]), str(data["colour"]))


@dataclass(frozen=True)
class LabelSchema:
    """The labels of a study, ordered by id; background (0) is implied."""

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise InputError("A study needs at least one label, for example --labels liver,kidney.")
        for what, values in (
            ("id", [str(x.id) for x in self.labels]),
            ("name", [x.name for x in self.labels]),
        ):
            doubles = {v for v in values if values.count(v) > 1}
            if doubles:
                raise InputError(f"Label {what} used twice: {', '.join(sorted(doubles))}.")
        object.__setattr__(self, "labels", tuple(sorted(self.labels, key=lambda x: x.id)))

    @classmethod
    def from_names(cls, names: Iterable[str]) -> "LabelSchema":
        """Ids 1, 2, 3 ... and the palette's colours for the given names."""
        return cls(_numbered(names, 1))

    def with_names(self, names: Iterable[str], first: int) -> "LabelSchema":
        """These labels and more of the given names, with ids from `first` on."""
        return LabelSchema((*self.labels, *_numbered(names, first, [x.colour for x in self.labels])))

    def refuse_confusing(self, was: "LabelSchema | None" = None) -> None:
        """Make sure that no new label is called background, or as another one but for case, spaces, _ and -.

        A file's labels are found by name, and of two that are called alike neither would be.

        Parameters
        ----------
        was
            The labels before; what they are called is left as it is.

        Raises
        ------
        InputError
            Two are called alike, or one is called background.
        """
        before = {(x.id, x.name) for x in was.labels} if was else set()
        for label in (x for x in self.labels if (x.id, x.name) not in before):
            if label.called("background"):
                raise InputError("Background is no label: it is 0 in every study. Leave it out.")
            alike = [x.name for x in self.labels if x.called(label.name)]
            if len(alike) > 1:
                raise InputError(
                    f"Labels {' and '.join(alike)} differ by case, spaces, _ or - only, by which labels are not told "
                    "apart; give them other names."
                )

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids in ascending order, without background."""
        return tuple(x.id for x in self.labels)

    def id_of(self, name: str) -> int | None:
        """Id of a name; upper and lower case, spaces, _ and - make no difference. None unless exactly one fits."""
        exact = [x.id for x in self.labels if x.name == name]
        alike = exact or [x.id for x in self.labels if _plain(x.name) == _plain(name)]
        return alike[0] if len(alike) == 1 else None

    def name(self, label_id: int) -> str:
        """Name of an id; "background" for 0."""
        if label_id == 0:
            return "background"
        for label in self.labels:
            if label.id == label_id:
                return label.name
        raise InputError(f"Label {label_id} is not in this study's schema ({', '.join(map(str, self.ids))}).")

    def to_json(self) -> list[dict[str, Any]]:
        """As JSON values."""
        return [x.to_json() for x in self.labels]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> "LabelSchema":
        """Read what `to_json` wrote."""
        return cls(tuple(Label.from_json(x) for x in data))


def free_colour(label_id: int, taken: Iterable[str]) -> str:
    """The palette's colour for an id, or the next that no other label has: ids with gaps would share some."""
    used = {colour.lower() for colour in taken}
    turn = [PALETTE[(label_id - 1 + n) % len(PALETTE)] for n in range(len(PALETTE))]
    return next((colour for colour in turn if colour not in used), turn[0])


def coloured(labels: Iterable[tuple[int, str, str]], taken: Iterable[str] = ()) -> tuple[Label, ...]:
    """Labels of (id, name, colour); those whose colour is "" get one of the palette's that is not taken."""
    made: list[Label] = []
    used = list(taken)
    for label_id, name, colour in labels:
        made.append(Label(label_id, name, colour or free_colour(label_id, used)))
        used.append(made[-1].colour)
    return tuple(made)


def _numbered(names: Iterable[str], first: int, taken: Iterable[str] = ()) -> tuple[Label, ...]:
    return coloured(((i, n.strip(), "") for i, n in enumerate(names, first)), taken)


def _plain(name: str) -> str:
    # NFC: a file made on a Mac may write an umlaut as two characters.
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFC", name)).casefold()
