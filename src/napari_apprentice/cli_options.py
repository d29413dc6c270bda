"""What the command line accepts; settings come from the dataclasses of `core.config`, one flag per field."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from napari_apprentice import __version__
from napari_apprentice.cli_add import channel_from
from napari_apprentice.core.cohort import CohortSettings
from napari_apprentice.core.collecting import LAYOUTS, AddSettings
from napari_apprentice.core.config import PRESETS, PredictSettings, Settings, TrainSettings, first_model_settings
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.postprocess import TEXTS
from napari_apprentice.core.reading import ReadSettings

S = TypeVar("S", bound=Settings)

STEPS = "auto"  # where none are given

# Of what a scan's file may leave open, what a label map's file may leave open too.
_OF_LABEL_MAPS = ("segments", "overlap", "spacing", "series", "match", "foreign")


class UsageError(Exception):
    """The command line could not be understood; `usage` shows how it is written."""

    def __init__(self, text: str, usage: str) -> None:
        super().__init__(text)
        self.usage = usage


class Parser(argparse.ArgumentParser):
    """A parser that leaves it to the caller how a fault is told."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of ending the process."""
        raise UsageError(message, self.format_usage())


def parser() -> argparse.ArgumentParser:
    """The whole command line; the command's name comes out as `command`. Its faults are UsageErrors."""
    top = Parser(prog="apprentice", description="A segmentation model that learns from corrections.")
    top.add_argument("--version", action="version", version=f"napari-apprentice {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", dest="command", required=True)
    _study_commands(commands)
    _learning_commands(commands)
    _result_commands(commands)
    return top


def settings_from(options: argparse.Namespace, base: S) -> S:
    """The base settings with every flag that was given put in."""
    given = {f.name: getattr(options, f.name, None) for f in dataclasses.fields(base)}  # type: ignore[arg-type]
    changed = {name: value for name, value in given.items() if value is not None and name != "steps"}
    return dataclasses.replace(base, **changed)  # type: ignore[type-var]


def _study_commands(commands: Any) -> None:
    create = _command(commands, "create", "make a new study")
    labels = create.add_mutually_exclusive_group()
    labels.add_argument("--labels", help="label names, separated by commas")
    text = "take labels and title from a data set, or from its dataset.json"
    labels.add_argument("--dataset", type=Path, metavar="FOLDER", help=text)
    create.add_argument("--title", default="", help="title of the study")
    text = "encrypt scans, label maps and strokes; the key is kept in the keyring, or taken from APPRENTICE_KEY"
    create.add_argument("--encrypt", action="store_true", help=text)

    _add_command(_command(commands, "add", "add scans as cases: files, DICOM series, whole data sets"))

    _command(commands, "cases", "list the cases: what became of each, and how well it is predicted")

    correct = _command(commands, "correct", "store a label map made elsewhere as a revision")
    correct.add_argument("case", metavar="CASE")
    correct.add_argument("label_map", type=Path, metavar="LABELMAP")
    text = "what counts as looked at: every voxel (default), or only those that differ from what the case showed before"
    correct.add_argument("--accept", choices=("all", "edited"), default="all", help=text)
    text = "take the nearest label where the label map lies on another grid, and leave out what lies outside"
    correct.add_argument("--resample", action="store_true", help=text)
    _author(correct)
    _settings(correct, ReadSettings, only=_OF_LABEL_MAPS)

    history = _command(commands, "history", "say who changed what in a case, and when")
    history.add_argument("case", metavar="CASE")
    restore = _command(commands, "restore", "store an earlier revision of a case again as its newest one")
    restore.add_argument("case", metavar="CASE")
    restore.add_argument("revision", metavar="REVISION", help="such as r0001; apprentice history names them")
    _author(restore)
    audit = _command(commands, "export-audit", "write the history of all cases as .csv or .json")
    audit.add_argument("out", type=Path, metavar="OUT")
    audit.add_argument("--overwrite", action="store_true", help="replace the file if it exists")

    key = _command(commands, "key", "the key of an encrypted study", study=False)
    key.add_argument("study", nargs="?", type=Path, metavar="STUDY", help="the study's folder")
    what = key.add_mutually_exclusive_group(required=True)
    what.add_argument("--show", action="store_true", help="print the key, to keep it safe or hand it to a colleague")
    text = "put the key into this computer's keyring, from APPRENTICE_KEY or standard input"
    what.add_argument("--store", action="store_true", help=text)
    what.add_argument("--new", action="store_true", help="print a new key, for a study that is to be made")

    _command(commands, "check", "verify everything a study holds")
    _command(commands, "repair", "mend what can be mended by rule, and say what was done")


def _add_command(add: argparse.ArgumentParser) -> None:
    text = "scan files, folders of them, or the folder of a data set"
    paths = add.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=text, default=())
    add.add_argument(
        "--channel",
        action=_ChannelAction,
        instead_of=paths,
        type=channel_from,
        metavar="NAME=PATH",
        help="instead of paths: a file that is one channel of the case; may come several times",
    )
    add.add_argument("--dry-run", action="store_true", help="only say what would be added")
    text = "the person these scans are of; by default as the data set or DICOM says, else one per scan"
    add.add_argument("--subject", help=text)
    add.add_argument("--corrected", type=Path, metavar="LABELMAP", help="accepted label map of a single scan")
    _author(add)
    add.add_argument("--as", dest="layout", choices=LAYOUTS, help="what a folder is taken for (default auto)")
    text = "leave the label maps of a data set where they are; by default they are accepted revisions"
    add.add_argument("--without-labels", dest="labels", action="store_const", const=False, help=text)
    _settings(add, AddSettings, leave_out=("layout", "labels"))
    _settings(add, ReadSettings)


class _ChannelAction(argparse.Action):
    """Collects --channel, and makes the paths unnecessary once one was given."""

    def __init__(self, *args: Any, instead_of: argparse.Action, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._paths = instead_of

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        self._paths.required = False
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or ()), values])


def _learning_commands(commands: Any) -> None:
    for name, text, defaults in (
        ("train", "train a first model version on all revisions", first_model_settings(0)),
        ("fine-tune", "fine-tune the base model version on corrections", TrainSettings()),
    ):
        verb = _command(commands, name, text)
        verb.add_argument("--steps", help=f"{', '.join(PRESETS)} or a number (default {STEPS})")
        text = (
            "go on with the run that was cancelled or killed, with its own settings; follow one that still trains "
            "(Ctrl-C stops it)"
        )
        verb.add_argument("--resume", action="store_true", help=text)
        text = "with --resume: also with a run of another computer that has given no sign of life for a while"
        verb.add_argument("--take-over", action="store_true", help=text)
        _settings(verb, TrainSettings, leave_out=("steps",), defaults=defaults)

    predict = _command(commands, "predict", "predict cases (all by default)")
    predict.add_argument("cases", nargs="*", metavar="CASE", help="named right after the study; by default all")
    predict.add_argument("--model", help="model version; by default the active one")
    _settings(predict, PredictSettings)
    _settings(predict, CohortSettings)

    _postprocess_command(_command(commands, "postprocess", "steps that predictions go through, label by label"))

    changed = _command(commands, "labels", "list the study's labels; add, rename and remove some")
    changed.add_argument("--add", action="append", metavar="NAME", help="one more; a fine-tune learns it")
    changed.add_argument("--rename", action="append", metavar="OLD=NEW", help="the same label under another name")
    text = "one that is in no revision; model versions that know it do not propose it any more"
    changed.add_argument("--remove", action="append", metavar="NAME", help=text)
    _author(changed)

    _models_command(_command(commands, "models", "list model versions, choose one, go back to one, write about one"))
    runs = _command(commands, "runs", "list training runs and compare them")
    runs.add_argument("--all", action="store_true", help="also runs that predicted or imported")
    split = _command(commands, "split", "say which subjects are learned from and which are measured on, or move one")
    text = "put a subject on the other side (train or validation)"
    split.add_argument("--move", nargs=2, metavar=("SUBJECT", "SIDE"), help=text)
    split.add_argument("--why", default="", help="the reason, which is kept with the split")
    _author(split)
    taken = _command(commands, "import-model", "take over a model of nnU-Net v2, a MONAI bundle or another study")
    text = "a study, a folder made by export-model, a model folder of nnU-Net, a MONAI bundle (folder or .zip)"
    taken.add_argument("--from", dest="source", type=Path, required=True, metavar="PATH", help=text)
    _settings(taken, ImportSettings)
    handed = _command(commands, "export-model", "write a model version with its model card, to hand it on")
    handed.add_argument("model", metavar="VERSION")
    handed.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    _command(commands, "queue", "review queue with reasons")


def _models_command(models: argparse.ArgumentParser) -> None:
    what = models.add_mutually_exclusive_group()
    what.add_argument("--activate", metavar="V", help="make this version the active one; against the gate with --why")
    what.add_argument("--refuse", metavar="V", help="do not use the active version although it passed the gate")
    what.add_argument("--back", action="store_true", help="go back to the version that was active before")
    what.add_argument("--note", nargs=2, metavar=("V", "TEXT"), help="write something about a version")
    what.add_argument("--show", metavar="V", help="all that is known of one version")
    models.add_argument("--why", default="", help="the reason for going against the gate, which is kept")
    _author(models)


def _postprocess_command(post: argparse.ArgumentParser) -> None:
    told = "; ".join(f"{name}: {text}" for name, text in TEXTS.items())
    text = f"steps of a label, such as liver=largest,holes or cyst=islands:50; LABEL=none for none. {told}"
    post.add_argument("--set", action="append", metavar="LABEL=STEPS", help=text)
    post.add_argument("--clear", action="store_true", help="forget all steps first")
    post.add_argument("--suggest", action="store_true", help="which steps raise Dice on held-out corrected cases")
    post.add_argument("--take", action="store_true", help="suggest, and keep what is proved")
    post.add_argument("--apply", action="store_true", help="put the predictions that are stored through the steps")
    post.add_argument("--model", help="model version; by default the active one")
    _author(post)


def _result_commands(commands: Any) -> None:
    export = _command(commands, "export", "write a label map on the source's exact grid")
    export.add_argument("case", metavar="CASE")
    export.add_argument("out", type=Path, metavar="OUT")
    text = "the newest revision (default), or what the active model version says"
    export.add_argument("--what", choices=("corrected", "prediction", "uncertainty"), default="corrected", help=text)
    text = "label id for voxels of corrected that nobody has looked at, such as 255; by default what was proposed there"
    export.add_argument("--unseen", type=int, metavar="ID", help=text)
    export.add_argument("--overwrite", action="store_true", help="replace OUT when it exists")
    text = "for a DICOM Segmentation (.dcm): folder of the DICOM series that the case came from"
    export.add_argument("--source", type=Path, metavar="FOLDER", help=text)
    export.add_argument("--series", default="", help="which of several series in FOLDER: its number or UID")

    evaluate = _command(commands, "evaluate", "compare with reference label maps")
    text = "a folder of label maps, called like the cases; DICOM SEG and RTSTRUCT go by the series they refer to"
    evaluate.add_argument("references", type=Path, metavar="REFERENCES", help=text)
    text = "named right after the references; by default all that have one"
    evaluate.add_argument("cases", nargs="*", metavar="CASE", help=text)
    text = "the model version's predictions (default), or the newest revisions"
    evaluate.add_argument("--what", choices=("prediction", "corrected"), default="prediction", help=text)
    evaluate.add_argument("--model", help="model version; by default the active one")
    _settings(evaluate, ReadSettings, only=_OF_LABEL_MAPS)

    demo = _command(commands, "demo", "once around the loop on the sample study", study=False)
    demo.add_argument("--headless", action="store_true", help="no window: print the table and leave a report")
    demo.add_argument("--folder", type=Path, help="where to make the study (a new folder)")
    demo.add_argument("--steps", default="quick", help="quick, standard, thorough or a number (default quick)")
    demo.add_argument("--seed", type=int, default=0, help="seed of everything random")


def _command(commands: Any, name: str, text: str, *, study: bool = True) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    if study:
        command.add_argument("study", type=Path, metavar="STUDY", help="the study's folder")
    return command


def _author(command: argparse.ArgumentParser) -> None:
    command.add_argument("--author", default="", help="who corrected; by default the login name")


def _settings(
    command: argparse.ArgumentParser,
    settings: type[Settings],
    leave_out: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    defaults: Settings | None = None,
) -> None:
    group = command.add_argument_group("settings")
    for f in dataclasses.fields(settings):  # type: ignore[arg-type]
        if f.name in leave_out or (only and f.name not in only):
            continue
        default = getattr(defaults, f.name) if defaults else f.default
        flag, text = (
            f"--{f.name.replace('_', '-')}",
            f.metadata["text"] + (f" (default {default})" if default != "" else ""),
        )
        text = text.replace("%", "%%")
        if isinstance(f.default, bool):
            group.add_argument(flag, dest=f.name, action=argparse.BooleanOptionalAction, help=text)
        elif f.metadata["choices"]:
            group.add_argument(flag, dest=f.name, choices=f.metadata["choices"], help=text)
        else:
            group.add_argument(flag, dest=f.name, type=type(f.default), help=text)
