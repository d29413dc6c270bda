"""Which model version is active: the gate's choice, and a person's where they know better; all of it is kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.loop.model_export import lineage
from napari_apprentice.store.models import WENT_BACK, Activation
from napari_apprentice.store.study import Study


@dataclass(frozen=True)
class ModelDetails:
    """All that a person may want to know of a model version.

    Parameters
    ----------
    version
        As it was registered.
    active
        Whether it predicts now.
    note
        What a person wrote about it, else what was noted when it was made.
    lineage
        Itself and what it descends from, the newest first, as JSON values.
    turns
        Every time it became active, or its verdict was overruled.
    """

    version: ModelVersion
    active: bool
    note: str
    lineage: tuple[dict[str, Any], ...]
    turns: tuple[Activation, ...]

    @property
    def gate(self) -> GateReport | None:
        """What the gate found; None for a first one, or one from elsewhere."""
        return self.version.gate


def details(study: Study, name: str) -> ModelDetails:
    """Read all that is known of a model version.

    Raises
    ------
    ModelError
        No such model version.
    """
    version = study.models.info(name)
    written = study.models.notes().get(name)
    turns = tuple(a for a in study.models.activations() if name in (a.name, a.overrules))
    active = study.models.active() == name
    return ModelDetails(version, active, written.text if written else version.note, tuple(lineage(study, name)), turns)


def choose(study: Study, name: str, author: str, why: str = "") -> None:
    """Make a model version the active one by hand.

    One that the gate refused is activated against its verdict, which is recorded. Where the gate found it worse,
    rather than nothing to measure it on, the person has to say why.

    Raises
    ------
    InputError
        The gate found it worse and no reason was given.
    ModelError
        No such model version.
    """
    version = study.models.info(name)
    gate = version.gate
    against = gate is not None and not gate.passed
    if gate is not None and gate.found_worse and not why.strip() and not _chosen_before(study, name):
        text = f"{name} did not pass the gate: {gate.reason}. Say why it is to be active all the same"
        raise InputError(f"{text}; the reason is kept.")
    reason = "activated against the gate" if against else "chosen by hand"
    study.models.activate(
        name, f"{reason} ({author})", author=author, overrules=name if against else "", why=why.strip()
    )


def refuse(study: Study, name: str, author: str, why: str) -> str:
    """Do not use the active model version although the gate let it pass; go back to the one before.

    Returns
    -------
    The model version that is active now.

    Raises
    ------
    InputError
        No reason was given.
    ModelError
        It is not active, or there is none to go back to.
    """
    if study.models.active() != name:
        raise ModelError(f"{name} is not the active model version, so there is nothing to refuse.")
    if not why.strip():
        raise InputError(f"Say why {name} is not to be used; the reason is kept.")
    earlier = _previous(study)
    text = f"{name} was refused although it passed the gate ({author})"
    study.models.activate(earlier, text, author=author, overrules=name, why=why.strip())
    return earlier


def go_back(study: Study, author: str) -> str:
    """Make the model version active that was so before the present one; which that is now.

    Raises
    ------
    ModelError
        There is none.
    """
    earlier, now = _previous(study), study.models.active()
    study.models.activate(earlier, f"{WENT_BACK}{now} ({author})", author=author)
    return earlier


def previous(study: Study) -> str | None:
    """The model version that going back leads to: active before the present one, and not refused since."""
    active = study.models.active()
    return next((name for name in reversed(_way_back(study.models.activations())) if name != active), None)


def _way_back(turns: Iterable[Activation]) -> list[str]:
    """Model versions by which the present one was reached, oldest first, without those that were refused.

    Going back takes off what it goes back from, so that going back again leads further back.
    """
    way: list[str] = []
    refused: set[str] = set()
    for turn in turns:
        if turn.overrules not in ("", turn.name):
            refused.add(turn.overrules)
        elif not turn.went_back:
            refused.discard(turn.name)  # a person may think better of it
        if turn.went_back and turn.name in way:
            del way[len(way) - way[::-1].index(turn.name) :]
        else:
            way.append(turn.name)
    return [name for name in way if name not in refused]


def _previous(study: Study) -> str:
    earlier = previous(study)
    if earlier is None:
        raise ModelError(
            "No other model version that was not refused was active before, so there is none to go back to; "
            "activate another one by its name."
        )
    return earlier


def _chosen_before(study: Study, name: str) -> bool:
    """Whether somebody has given a reason for it already."""
    return any(a.name == name for a in study.models.activations())
