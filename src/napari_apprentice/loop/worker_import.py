"""Taking weights of another program over, in the child process: a checkpoint in, a model version into the study."""

import shutil
import zipfile
from collections.abc import Generator
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import ModelVersion, now
from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.learn import weights
from napari_apprentice.learn.importing import Imported, from_bundle, from_nnunet
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.models import file_digest
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

LIBRARIES = ("napari-apprentice", "torch", "monai", "numpy")
FIRST = "imported, and the first model version"


def import_weights(run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
    """Read the checkpoint of a run of kind "import" and register it.

    The result names the new model version and says whether it became active.
    """
    study = Study.open(run.study_path, run.vault.key)
    source = Path(str(run.request["checkpoint"]))
    yield Progress(0, 3, f"Reading {source.name}")
    with storage_errors(f"the import of {source.name}"):
        checkpoint = _at_hand(source, str(run.request["member"]), run.path)
    digest = file_digest(checkpoint)
    imported = _read(run, checkpoint)
    yield Progress(1, 3, "Storing the weights")
    if run.cancelled():
        raise Cancelled("The import was cancelled; nothing was added.")
    fitted = run.path / weights_name()
    weights.write(imported.weights, fitted)
    register = study.models.register if run.request["name"] else study.models.register_as_next
    version = register(_version(run, study, imported, digest), fitted)
    fitted.unlink(missing_ok=True)
    first = study.models.activate_in_place_of(None, version.name, FIRST)
    yield Progress(3, 3, f"Imported {version.name}")
    return {"model": version.name, "active": first}


def weights_name() -> str:
    """Of the file in the run's folder, until it is registered."""
    return "weights.safetensors"


def _at_hand(source: Path, member: str, folder: Path) -> Path:
    """The checkpoint as a file: itself, or taken out of an archive."""
    if not member:
        if not source.is_file():
            raise InputError(f"{source.name} is not there any more.")
        return source
    out = folder / Path(member).name
    with zipfile.ZipFile(source) as archive, archive.open(member) as packed, out.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return out


def _read(run: RunFolder, checkpoint: Path) -> Imported:
    plan = Plan.from_json(run.request["plan"])
    try:
        if run.request["format"] == "nnunet":
            return from_nnunet(plan, checkpoint, str(run.request["configuration"]), str(run.request["doubt"]))
        return from_bundle(plan, checkpoint)
    finally:
        if run.request["member"]:  # a copy; nothing of another program's format stays in the study
            checkpoint.unlink(missing_ok=True)


def _version(run: RunFolder, study: Study, imported: Imported, digest: str) -> ModelVersion:
    origin = {**run.request["origin"], **{k: v for k, v in imported.facts.items() if v}, "digest": digest}
    return ModelVersion(
        name=str(run.request["name"]) or study.models.next_name(),
        parent=None,
        created=now(),
        plan=imported.plan,
        schema=study.schema_for(imported.plan.labels),
        revisions=(),
        held_out=(),
        gate=None,
        settings={},
        seed=0,
        libraries={name: library_version(name) for name in LIBRARIES},
        weights_digest="",
        note=f"imported from {origin['library']}: {origin['name']}",
        origin=origin,
        channels=tuple(str(name) for name in origin["channels"]),
    )
