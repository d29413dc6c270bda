"""The study's post-processing recipe: `postprocess.json` beside its label schema."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_apprentice.core.postprocess import PostRecipe, PostStep
from napari_apprentice.core.records import now
from napari_apprentice.errors import ApprenticeError, StorageError, StudyError
from napari_apprentice.store.documents import MALFORMED, read_document, write_document
from napari_apprentice.store.seal import is_broken
from napari_apprentice.store.study import Study

DOCUMENT = "postprocess.json"
_DAMAGED = "set the steps of all labels again with `apprentice postprocess STUDY --clear` and --set"


def read_recipe(study: Study) -> PostRecipe:
    """The steps that predictions of this study go through; none where nobody chose any.

    Raises
    ------
    StudyError
        The document is damaged.
    """
    record = read_choice(study)
    try:
        return PostRecipe.from_json(record.get("steps", {}))
    except (*MALFORMED, ApprenticeError) as error:
        raise StudyError(f"{DOCUMENT} is damaged; {_DAMAGED}.") from error


def read_choice(study: Study) -> Mapping[str, Any]:
    """The whole record: `steps`, and `author`, `changed` and `why` of the choice; {} where there is none."""
    path = _path(study)
    if not path.exists():
        return {}
    return study.vault.at(DOCUMENT).open_record(read_document(path), DOCUMENT)


def write_recipe(study: Study, recipe: PostRecipe, author: str, why: str = "chosen by hand") -> None:
    """Choose the steps for all predictions from now on; those that are stored stay as they are.

    Raises
    ------
    StorageError
        The disk is full, gone or read-only, or the study is of a newer layout; nothing was changed.
    """
    if study.refusal:
        raise StorageError(study.refusal)
    record = {"steps": recipe.to_json(), "author": author, "changed": now(), "why": why}
    write_document(_path(study), study.vault.at(DOCUMENT).close_record(record))


def change_recipe(
    study: Study, steps: Mapping[int, Sequence[PostStep]], author: str, why: str = "chosen by hand", *,
    clear: bool = False,
) -> None:  # fmt: skip
    """Choose other steps for some labels; those of all others stay as they are stored by now, whoever chose them.

    Parameters
    ----------
    steps
        By label id; none take the label out.
    clear
        Whether to forget what is stored first, also where it is damaged.

    Raises
    ------
    StudyError
        The document is damaged; nothing was changed.
    RunError
        Another process has been changing something for longer than that takes.
    StorageError
        As for `write_recipe`.
    """
    with study.runs.alone("the post-processing steps"):
        recipe = PostRecipe() if clear else read_recipe(study)
        for label, chosen in steps.items():
            recipe = recipe.with_label(label, chosen)
        write_recipe(study, recipe, author, why)


def recipe_faults(study: Study) -> list[str]:
    """What is wrong with the document, as sentences."""
    read_recipe(study)
    return [f"{DOCUMENT} is not what was written; {_DAMAGED}."] if is_broken(read_choice(study)) else []


def _path(study: Study) -> Path:
    return study.path / DOCUMENT
