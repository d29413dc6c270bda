"""What lies in a study that does not belong there, and what is missing."""

import os
from collections.abc import Iterator
from pathlib import Path

from napari_apprentice.errors import StudyError
from napari_apprentice.store.documents import read_document
from napari_apprentice.store.files import is_aside, storage_errors
from napari_apprentice.store.finding import Finding
from napari_apprentice.store.names import is_name, is_revision


def layout_faults(path: Path) -> list[Finding]:
    """Links, names that readers pass over, and folders that are not whole."""
    with storage_errors(f"the folder of {path.name}"):
        return [*map(Finding, (*_links(path), *_odd_names(path), *_halves(path), *_doubles(path)))]


def _links(path: Path) -> Iterator[str]:
    root = path.resolve()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            found = Path(folder) / name
            if found.is_symlink() and root not in found.resolve().parents:
                yield f"{found.relative_to(path)} is a link that leads out of the study; it is not followed."


def _odd_names(path: Path) -> Iterator[str]:
    places = [path / "cases.zarr", path / "models", path / "runs", path / "journal"]
    for place in places:
        for found in _entries(place):
            if found.is_dir() and not is_name(found.name):
                yield f"{found.relative_to(path)} has a name that this program does not use; it is passed over."
    for labels in path.glob("cases.zarr/*/image/labels"):
        for found in _entries(labels):
            if found.is_dir() and not is_revision(found.name):
                yield f"{found.relative_to(path)} is no revision; it is passed over."


def _halves(path: Path) -> Iterator[str]:
    for found in _entries(path / "runs"):
        if found.is_dir() and not (found / "run.json").is_file():
            yield f"{found.relative_to(path)} is no run: its run.json is missing."
    for case in _entries(path / "cases.zarr"):
        for name in ("image", "image/labels", "predictions"):
            if case.is_dir() and not (case / name).is_dir():
                yield f"Case {case.name} is damaged: its folder {name} is missing."


def _doubles(path: Path) -> Iterator[str]:
    seen: dict[str, str] = {}
    for found in _entries(path / "cases.zarr"):
        other = seen.setdefault(found.name.lower(), found.name)
        if other != found.name:
            yield f"Cases {other} and {found.name} differ by upper and lower case only; other computers mix them up."


def _entries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not is_aside(p)) if folder.is_dir() else []


def group_faults(folder: Path, what: str) -> list[Finding]:
    """Whether a folder is a Zarr v3 group, so that other tools find what is in it."""
    try:
        document = read_document(folder / "zarr.json")
    except StudyError:
        document = {}
    sound = document.get("node_type") == "group" and document.get("zarr_format") == 3
    if sound and isinstance(document.get("attributes", {}), dict):
        return []
    return [Finding(f"{folder.name}/zarr.json of {what} is missing or damaged; apprentice repair rebuilds it.")]
