"""dataset.json of the Medical Segmentation Decathlon and of nnU-Net: labels, channels, title."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_apprentice.core.labels import LabelSchema, coloured
from napari_apprentice.errors import InputError

NAME = "dataset.json"


@dataclass(frozen=True)
class DatasetJson:
    """What a dataset.json says.

    Parameters
    ----------
    schema
        Labels without background and without the label that means "ignore".
    channels
        Channel names in order; empty when it names none.
    ending
        What all files end in, "" when it does not say.
    ignore
        Label value of voxels nobody looked at, None when there is none.
    listed
        Training images it lists, file names only.
    nnunet
        Whether it is written the way nnU-Net v2 wants it.
    """

    title: str
    schema: LabelSchema
    channels: tuple[str, ...] = ()
    ending: str = ""
    ignore: int | None = None
    listed: tuple[str, ...] = ()
    nnunet: bool = False


def read_dataset_json(path: Path) -> DatasetJson:
    """Read a dataset.json; background is left out, ids are kept.

    Raises
    ------
    InputError
        The file is missing, is no JSON, or has no labels of either form.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        names = _label_names(data["labels"], data.get("regions_class_order"))
        ignore = next((i for i, name in names if name.lower() == "ignore"), None)
        labels = coloured((i, n, "") for i, n in names if i not in (0, ignore))
        return DatasetJson(
            title=str(data.get("name", "")),
            schema=LabelSchema(labels),
            channels=_channels(data.get("channel_names") or data.get("modality") or {}),
            ending=str(data.get("file_ending", "")),
            ignore=ignore,
            listed=_listed(data.get("training", ())),
            nnunet="channel_names" in data,
        )
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError, InputError) as error:
        raise InputError(
            f'{path} is no dataset.json of the Decathlon or nnU-Net: it needs "labels": {{"0": "background", ...}} '
            'or "labels": {"background": 0, ...}.'
        ) from error


def _label_names(labels: Mapping[str, Any], order: list[int] | None) -> list[tuple[int, str]]:
    """Ids and names, sorted; a region of several ids takes its id from the order regions are painted in."""
    if all(key.lstrip("-").isdecimal() for key in labels):  # {"1": "liver"}: the Decathlon and nnU-Net v1
        return sorted((int(i), str(name)) for i, name in labels.items())
    regions = [name for name, value in labels.items() if value != 0]
    ids = dict(zip(regions, order or (), strict=False))
    plain = {n: v[0] if isinstance(v, list) and len(v) == 1 else v for n, v in labels.items()}
    return sorted((int(ids[n] if n in ids and isinstance(v, list) else v), n) for n, v in plain.items())


def _channels(names: Any) -> tuple[str, ...]:
    if isinstance(names, Mapping):
        return tuple(str(name) for _, name in sorted(names.items(), key=lambda item: int(item[0])))
    return (str(names),) if isinstance(names, str) else tuple(str(n) for n in names)


def _listed(training: Any) -> tuple[str, ...]:
    images = (entry.get("image", "") if isinstance(entry, Mapping) else entry for entry in training)
    return tuple(Path(str(image)).name for image in images if image)
