"""Post-processing of predictions: named steps, chosen per label, in one fixed order.

What the steps do to voxels is in `core.postprocess_steps`; this page is what is written down about them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import InputError

THRESHOLD, SMOOTH, ISLANDS, LARGEST, HOLES = "threshold", "smooth", "islands", "largest", "holes"
# The order in which they are done. What removes comes before what fills: else the hole that a crumb of another
# label leaves behind would stay. Smoothing comes before both, because it may part or join components.
ORDER = (THRESHOLD, SMOOTH, ISLANDS, LARGEST, HOLES)
TEXTS: Mapping[str, str] = {
    THRESHOLD: "background where the label's probability is below this (0 to 1)",
    SMOOTH: "smooth its surface with the background over this many mm",
    ISLANDS: "remove components smaller than this many mm³",
    LARGEST: "keep its largest component only",
    HOLES: "fill enclosed background",
}
_LIMITS: Mapping[str, tuple[float, float]] = {THRESHOLD: (0.0, 1.0), SMOOTH: (0.0, 100.0), ISLANDS: (0.0, 1e9)}


@dataclass(frozen=True)
class PostStep:
    """One step of one label.

    Parameters
    ----------
    name
        threshold, smooth, islands, largest or holes; see `TEXTS`.
    amount
        Probability, millimetres or cubic millimetres, above 0; 0 for largest and holes, which take none.

    Raises
    ------
    InputError
        An unknown name, or an amount that the step cannot take.
    """

    name: str
    amount: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ORDER:
            raise InputError(f"There is no post-processing step {self.name[:80]!r}; there are {', '.join(ORDER)}.")
        limits = _LIMITS.get(self.name)
        if limits is None and self.amount != 0:
            raise InputError(f"The step {self.name} takes no number: write it as {self.name}.")
        if limits is not None and not limits[0] < self.amount <= limits[1]:  # NaN is refused too
            raise InputError(
                f"The step {self.name} needs a number above {limits[0]:g} and up to {limits[1]:g}, "
                f"as in {self.name}:{0.5 if self.name == THRESHOLD else 1}; it was given {self.amount:g}."
            )

    @property
    def text(self) -> str:
        """As a person writes it: largest, islands:50."""
        return f"{self.name}:{self.amount!r}".removesuffix(".0") if self.name in _LIMITS else self.name

    @classmethod
    def from_text(cls, text: str) -> "PostStep":
        """Read what `text` gives."""
        name, _, amount = text.strip().partition(":")
        try:
            return cls(name.strip().lower(), float(amount) if amount.strip() else 0.0)
        except ValueError as error:
            raise InputError(f"{amount[:80]!r} in the step {text[:120]!r} is no number.") from error


@dataclass(frozen=True)
class PostRecipe:
    """The steps of every label that has any; equal recipes make equal label maps.

    Parameters
    ----------
    steps
        Label id to steps; kept by id, and each label's steps in the fixed order.

    Raises
    ------
    InputError
        A label has the same step twice, or an id that no label can have.
    """

    steps: Mapping[int, tuple[PostStep, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ordered: dict[int, tuple[PostStep, ...]] = {}
        for label, steps in sorted(self.steps.items()):
            if not 1 <= label <= 65535:
                raise InputError(f"Label id {label} cannot have post-processing: ids run from 1 to 65535.")
            names = [s.name for s in steps]
            doubles = sorted({n for n in names if names.count(n) > 1})
            if doubles:
                raise InputError(f"Label {label} has the step {', '.join(doubles)} more than once.")
            if steps:
                ordered[label] = tuple(sorted(steps, key=lambda s: ORDER.index(s.name)))
        object.__setattr__(self, "steps", ordered)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def with_label(self, label: int, steps: Iterable[PostStep]) -> "PostRecipe":
        """The same recipe with other steps for one label; no steps take the label out."""
        return PostRecipe({**self.steps, label: tuple(steps)})

    def only(self, labels: Iterable[int]) -> "PostRecipe":
        """The part about these labels."""
        wanted = set(labels)
        return PostRecipe({i: s for i, s in self.steps.items() if i in wanted})

    def with_thresholds_of(self, other: "PostRecipe") -> "PostRecipe":
        """These steps with the thresholds of another recipe in place of their own."""
        labels = {*self.steps, *other.steps}
        of_self = {i: [s for s in self.steps.get(i, ()) if s.name != THRESHOLD] for i in labels}
        of_other = {i: [s for s in other.steps.get(i, ()) if s.name == THRESHOLD] for i in labels}
        return PostRecipe({i: (*of_other[i], *of_self[i]) for i in labels})

    def amounts(self, name: str) -> dict[int, float]:
        """Label id to amount, of the labels that have this step."""
        return {i: s.amount for i, steps in self.steps.items() for s in steps if s.name == name}

    def to_json(self) -> dict[str, list[str]]:
        """As JSON values: {"1": ["islands:50", "holes"]}."""
        return {str(i): [s.text for s in steps] for i, steps in self.steps.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "PostRecipe":
        """Read what `to_json` wrote."""
        return cls({int(i): tuple(PostStep.from_text(str(s)) for s in steps) for i, steps in data.items()})


def steps_of(text: str) -> tuple[PostStep, ...]:
    """Steps as a person writes them, "largest,holes"; "" and "none" are no steps."""
    if text.strip().lower() in ("", "none"):
        return ()
    return tuple(PostStep.from_text(part) for part in text.split(","))


def recipe_lines(recipe: PostRecipe, schema: LabelSchema) -> list[str]:
    """One line per label with steps, for a person; a label that the schema lost goes by its id."""
    names = {x.id: x.name for x in schema.labels}
    return [f"{names.get(i, f'label {i}')}: {', '.join(s.text for s in s_)}" for i, s_ in recipe.steps.items()]
