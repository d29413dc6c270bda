"""The Medical Segmentation Decathlon's dataset.json, as far as a new study needs it."""

import json
from pathlib import Path

from napari_apprentice.core.labels import PALETTE, Label, LabelSchema
from napari_apprentice.errors import InputError


def read_msd(path: Path) -> tuple[str, LabelSchema]:
    """Title and label schema of a dataset.json; background is left out, ids are kept.

    Raises
    ------
    InputError
        The file is missing, is no JSON, or has no labels of the Decathlon's form.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pairs = sorted((int(i), str(name)) for i, name in data["labels"].items())
        title = str(data.get("name", ""))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f'{path} is no Decathlon dataset.json: it needs "labels": {{"0": "background", ...}}.'
        ) from error
    labels = (Label(i, name, PALETTE[(i - 1) % len(PALETTE)]) for i, name in pairs if i != 0)
    return title, LabelSchema(tuple(labels))
