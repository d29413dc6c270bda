"""A cohort: many cases predicted one after the other or side by side, and how that went."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_apprentice.core.config import PredictSettings, Settings, setting
from napari_apprentice.core.progress import Progress

# What may differ between two equal predictions: where they were made, and in how much memory.
WITHOUT_EFFECT = ("device", "memory_mb")


@dataclass(frozen=True)
class CohortSettings(Settings):
    """Who predicts a cohort, and which of its cases."""

    workers: int = setting(0, "Processes that predict side by side; 0 is one per device.", 0, 1024)
    devices: str = setting("", "Where they compute, such as cuda:0,cuda:1; several workers share what is named.")
    scheduler: str = setting("", "Address of a dask.distributed scheduler whose workers predict, tcp://HOST:PORT.")
    again: bool = setting(False, "Predict cases again that this model version predicted with the same settings.")


@dataclass(frozen=True)
class Outcome:
    """How one case went; `error` says why it failed, "" when it did not.

    `seconds` are those from the request to the stored prediction, `quality` is the mean predicted Dice,
    None where no label was found.
    """

    case_id: str
    seconds: float = 0.0
    quality: float | None = None
    error: str = ""

    @property
    def line(self) -> str:
        """For a person: the case, its seconds, its quality or what went wrong."""
        if self.error:
            return f"{self.case_id}  failed: {self.error}"
        quality = "no label found" if self.quality is None else f"predicted Dice {self.quality:.2f}"
        return f"{self.case_id}  {self.seconds:.1f} s  {quality}"


@dataclass(frozen=True)
class CaseDone(Progress):
    """The report that a case of the cohort has ended, well or not."""

    outcome: Outcome | None = None


@dataclass(frozen=True)
class CohortReport:
    """How a cohort went.

    Parameters
    ----------
    model
        Model version that predicted.
    done, failed
        In the order in which they ended.
    skipped
        Cases that had this prediction already.
    notes
        Sentences on channels that were taken for others.
    """

    model: str
    done: tuple[Outcome, ...]
    failed: tuple[Outcome, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...] = ()


def same_settings(made: Mapping[str, Any], settings: PredictSettings) -> bool:
    """Whether settings as a prediction's record has them would make the same label map."""
    wanted = settings.to_json()
    names = set(wanted) - {*WITHOUT_EFFECT, "ensemble"}
    # not recorded before there were any, and "" and "none" both mean a model version alone
    together = PredictSettings(ensemble=str(made.get("ensemble", ""))).members
    return together == settings.members and all(name in made and made[name] == wanted[name] for name in names)
