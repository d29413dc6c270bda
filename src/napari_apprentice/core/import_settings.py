"""What a person can say about a model that is imported."""

from collections.abc import Mapping
from dataclasses import dataclass

from napari_apprentice.core.config import Settings, setting
from napari_apprentice.core.orientation import checked
from napari_apprentice.errors import InputError


@dataclass(frozen=True)
class ImportSettings(Settings):
    """How a model from elsewhere is taken over."""

    version: str = setting("", "Model version of the other study; empty takes its active one.")
    name: str = setting("", "Name of the new model version; empty takes the next number.")
    labels: str = setting("", "Labels that have other names here: THEIRS=OURS, separated by commas.")
    add_labels: bool = setting(False, "Add labels that the study does not have yet.")
    configuration: str = setting("", "Of nnU-Net: 3d_fullres, 2d ...; empty goes by the folder's name.")
    fold: str = setting(
        "",
        "Of nnU-Net: a number, several separated by commas, each for every numbered one, or all for the one of that "
        "name; empty takes the first there is.",
    )
    checkpoint: str = setting("", "Of nnU-Net final or best; of a bundle a file in its models folder.")
    orientation: str = setting(
        "", "How the files it was trained on were stored (RAS, LPS ...), where nothing else tells."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.orientation:
            object.__setattr__(self, "orientation", checked(self.orientation))

    @property
    def renamed(self) -> Mapping[str, str]:
        """Their name to ours.

        Raises
        ------
        InputError
            Not of the form THEIRS=OURS.
        """
        pairs = [part.partition("=") for part in self.labels.split(",") if part.strip()]
        if any(not theirs.strip() or not ours.strip() for theirs, _, ours in pairs):
            raise InputError(f"Labels are given as THEIRS=OURS, separated by commas, not as {self.labels!r}.")
        return {theirs.strip(): ours.strip() for theirs, _, ours in pairs}
