"""What lies in the folder of a model of another program: descriptions, read here, and checkpoints, which are not."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_apprentice.core.ensemble import FAMILY
from napari_apprentice.core.foreign import ForeignModel
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.monai_bundle import read_bundle
from napari_apprentice.core.nnunet_plans import doubt_of_orientation, read_plans
from napari_apprentice.errors import InputError, ModelError

PLANS, DATASET, METADATA = "plans.json", "dataset.json", "configs/metadata.json"
_CONFIGS = ("configs/inference.json", "configs/train.json")
_LARGEST = 16 * 1024**2  # bytes of a description


@dataclass(frozen=True)
class Found:
    """A model as described, and where its weights are.

    Parameters
    ----------
    kind
        "nnunet" or "bundle".
    checkpoint, member
        The file; in an archive the archive and the name in it.
    facts
        What is worth keeping of it, as JSON values.
    doubt
        Why its orientation should be said, where the checkpoint may tell that it need not be.
    """

    kind: str
    model: ForeignModel
    checkpoint: Path
    member: str
    facts: Mapping[str, str]
    doubt: str = ""


def is_nnunet(folder: Path) -> bool:
    """Whether it is the folder of an nnU-Net trainer, or one that holds such folders."""
    return (folder / PLANS).is_file() or any(folder.glob(f"*/{PLANS}"))


def is_bundle(path: Path) -> bool:
    """Whether it is a MONAI bundle, as a folder or as an archive."""
    return zipfile.is_zipfile(path) if path.is_file() else (path / "configs").is_dir()


def find_nnunet(folder: Path, settings: ImportSettings) -> tuple[Found, ...]:
    """Understand a folder of nnU-Net v2: plans.json, dataset.json and fold_N/checkpoint_final.pth; one per fold.

    Raises
    ------
    InputError
        Several of what can be imported, or none of what was asked for.
    ModelError
        It is damaged, or something in it is not known here.
    """
    folder = _trainer_folder(folder)
    told = {n: (folder / n).read_bytes() for n in (PLANS, DATASET) if (folder / n).is_file()}
    if len(told) < 2:
        lacking = PLANS if PLANS not in told else DATASET
        raise ModelError(f"{folder.name} has no {lacking}; both belong to a model of nnU-Net.")
    plans, dataset = (_json(told[n], n) for n in (PLANS, DATASET))
    configuration = _configuration(folder, plans, settings)
    model = read_plans(plans, dataset, configuration, settings.orientation)
    doubt = doubt_of_orientation(plans, settings.orientation)
    facts = {
        "name": str(plans.get("dataset_name", folder.name)), "configuration": configuration,
        # by which folds of one model find each other; two trainings of the same data set must not be taken for one
        FAMILY: hashlib.sha256(b"".join((folder.name.encode(), *told.values()))).hexdigest(),
    }  # fmt: skip
    return tuple(
        Found(
            "nnunet", model, checkpoint, "",
            {**facts, "fold": checkpoint.parent.name, "checkpoint": checkpoint.name}, doubt,
        )
        for checkpoint in _checkpoints(folder, settings)
    )  # fmt: skip


def find_bundle(path: Path, settings: ImportSettings) -> Found:
    """Understand a MONAI bundle: configs/inference.json (or train.json), configs/metadata.json, models/model.pt.

    Raises
    ------
    InputError
        Something is asked for that it does not have, or its orientation must be said.
    ModelError
        It is damaged, or something in it is not known here.
    """
    files = _Files(path)
    config = next((c for c in map(files.json, _CONFIGS) if c is not None), None)
    if config is None:
        raise ModelError(
            f"{path.name} has no {' or '.join(_CONFIGS)}. Bundles configured in YAML must be saved as JSON first."
        )
    metadata = files.json(METADATA)
    if metadata is None:
        raise ModelError(f"{path.name} has no {METADATA}, so it is unknown what its outputs stand for.")
    wanted = f"models/{settings.checkpoint or 'model.pt'}"
    if not files.has(wanted):
        only = (
            " It has a TorchScript model (.ts), a program, which is never run here."
            if files.has("models/model.ts")
            else ""
        )
        raise ModelError(f"{path.name} has no {wanted}.{only}")
    model = read_bundle(config, metadata, settings.orientation)
    facts = {"name": path.stem, "version": str(metadata.get("version", "")), "checkpoint": wanted}
    return Found("bundle", model, *files.place(wanted), facts)


class _Files:
    """Files of a bundle, in a folder or in an archive, where they may lie one folder deeper."""

    def __init__(self, path: Path) -> None:
        self._path, self._inside = path, ""
        self._sizes: dict[str, int] = {}
        if path.is_file():
            with zipfile.ZipFile(path) as archive:
                self._sizes = {i.filename: i.file_size for i in archive.infolist()}
            found = [n for n in self._sizes if n.endswith(METADATA)]
            self._inside = found[0].removesuffix(METADATA) if found else ""

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return self._inside + name in self._sizes if self._sizes else (self._path / name).is_file()

    def place(self, name: str) -> tuple[Path, str]:
        """The file; or the archive and the name in it."""
        return (self._path, self._inside + name) if self._sizes else (self._path / name, "")

    def json(self, name: str) -> dict[str, Any] | None:
        """A JSON object; None where there is no such file."""
        if not self.has(name):
            return None
        if not self._sizes:
            return _json((self._path / name).read_bytes(), name)
        if self._sizes[self._inside + name] > _LARGEST:
            raise ModelError(f"{name} is larger than such a file can be.")
        with zipfile.ZipFile(self._path) as archive:
            return _json(archive.read(self._inside + name), name)


def _json(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} is damaged: it is not JSON.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{name} is damaged: it holds no JSON object.")
    return found


def _trainer_folder(folder: Path) -> Path:
    if (folder / PLANS).is_file():
        return folder
    inside = sorted(p.parent for p in folder.glob(f"*/{PLANS}"))
    if len(inside) > 1:
        names = ", ".join(p.name for p in inside)
        raise InputError(f"{folder.name} holds several models of nnU-Net: {names}. Import one of these folders.")
    return inside[0]


def _configuration(folder: Path, plans: Mapping[str, Any], settings: ImportSettings) -> str:
    known = plans.get("configurations")
    if not isinstance(known, dict) or not known:
        raise ModelError(f"{PLANS} lacks configurations, so the model cannot be understood.")
    called = folder.name.split("__")[-1]  # nnUNetTrainer__nnUNetPlans__3d_fullres
    for name in (settings.configuration, called if called in known else ""):
        if name:
            return name
    if len(known) == 1:
        return str(next(iter(known)))
    raise InputError(f"Which configuration is this? The plans have {', '.join(known)}; say it with configuration.")


def _checkpoints(folder: Path, settings: ImportSettings) -> list[Path]:
    """Those of the folds asked for; of the first that has one, where none was asked for."""
    kinds = (settings.checkpoint,) if settings.checkpoint else ("final", "best")
    names = [f"checkpoint_{k}.pth" for k in kinds]
    folds = _asked(folder, settings.fold)
    found = {fold: next((p for n in names if (p := folder / fold / n).is_file()), None) for fold in folds}
    there = [path for path in found.values() if path is not None]
    lacking = [fold for fold, path in found.items() if path is None]
    if not there or (settings.fold and lacking):
        where = ", ".join(lacking) or "no fold"
        also = " For every fold there is say each." if settings.fold == "all" else ""
        raise ModelError(f"{folder.name} has no {' or '.join(names)} (looked at {where}).{also}")
    return there if settings.fold else there[:1]


def _asked(folder: Path, text: str) -> list[str]:
    if text == "each":
        return [fold for fold in _folds(folder) if fold[5:].isdecimal()]
    return list(dict.fromkeys(f"fold_{f.strip()}" for f in text.split(",") if f.strip())) or _folds(folder)


def _folds(folder: Path) -> list[str]:
    found = [p.name for p in folder.glob("fold_*")]
    return sorted(found, key=lambda n: (not n[5:].isdecimal(), int(n[5:]) if n[5:].isdecimal() else 0))
