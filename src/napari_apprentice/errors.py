"""The whole exception tree, sorted by what the handler does.

Every text says what happened, to which file or case, and what to do next. The window shows the
text once and without a traceback; the log keeps the traceback.
"""


class ApprenticeError(Exception):
    """Anything this program refuses or cannot do; the text is written for a person."""


class InputError(ApprenticeError):
    """A name, number or choice that does not exist here: ask again."""


class ScanError(ApprenticeError):
    """A file that is no scan, or a damaged one: skip it and go on with the rest."""


class ChoiceError(ScanError):
    """A file that can be read in several ways, none of them safe to assume: ask, and read it again.

    Parameters
    ----------
    text
        What is to be decided and why.
    setting
        Name of the field of `core.reading.ReadSettings` that decides it.
    choices
        Values that field can take here, each with a sentence; empty where any value of its form will do.
    """

    def __init__(self, text: str, setting: str, choices: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.setting = setting
        self.choices = choices


class GeometryError(ApprenticeError):
    """Two grids that should be equal are not: stop before voxels are mixed up."""


class StudyError(ApprenticeError):
    """A folder that is no study, a damaged one, or one of a newer layout: open another."""


class LockedError(StudyError):
    """An encrypted study whose key is not here, or with another key: ask for the key and open it again."""


class StorageError(ApprenticeError):
    """The disk is full, gone or read-only: keep the work in memory and try again."""


class ConflictError(ApprenticeError):
    """Someone else wrote in the meantime: look at both."""


class ModelError(ApprenticeError):
    """No model version, or one that does not fit the case: choose or train another."""


class NoNumbersError(ModelError):
    """A model version gives NaN for a part of a scan: where it is only measured, it found nothing there."""


class RunError(ApprenticeError):
    """A prediction or training process ended badly: its run folder says why."""


class OutOfMemoryError(RunError):
    """Memory ran out where smaller work may find enough: try that before a person is told."""


class GpuLostError(RunError):
    """A GPU fails the process that computes on it: another process may get on with it."""


class Cancelled(ApprenticeError):  # noqa: N818 - it is no fault
    """The person asked the work to stop; what was finished is kept."""
