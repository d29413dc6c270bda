"""Which volumes of a scan with several become its channels."""

from napari_apprentice.core.reading import ReadSettings, Step, chosen_volumes
from napari_apprentice.errors import ChoiceError, InputError, ScanError

MOST_CHANNELS = 8


def volumes_to_read(count: int, settings: ReadSettings, name: str) -> tuple[tuple[int, ...], tuple[Step, ...]]:
    """Numbers of the volumes to read, and the step to record when somebody chose.

    Parameters
    ----------
    count
        How many there are: time points, echoes, components.

    Raises
    ------
    ChoiceError
        More than are taken as channels unasked, and nobody chose.
    ScanError
        Chosen are none that exist.
    """
    if count == 1:
        return (0,), ()
    if not settings.volumes.strip():
        if count <= MOST_CHANNELS:
            return tuple(range(count)), ()
        raise ChoiceError(
            f"{name} holds {count} volumes: a time series, or many contrasts. Choose which become channels, "
            f"as numbers from 0 to {count - 1} separated by commas, or all.",
            "volumes",
            (("0", "The first volume alone."), ("all", f"All {count} volumes, as {count} channels.")),
        )
    try:
        chosen = chosen_volumes(settings.volumes, count)
    except InputError as error:
        raise ScanError(f"{name} holds {count} volumes. {error}") from error
    text = f"Volumes {', '.join(map(str, chosen))} of {count} were taken as channels."
    return chosen, (Step("volumes", text, {"chosen": list(chosen), "count": count}),)


def volume_names(chosen: tuple[int, ...]) -> tuple[str, ...]:
    """Channel names of volumes that have none."""
    return tuple(f"c{n}" for n in chosen)
