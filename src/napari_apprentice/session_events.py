"""What a session announces."""

from psygnal import Signal


class SessionEvents:
    """What a session announces. Facts only: nothing is asked through them."""

    study_changed = Signal()
    """Another study is open, or none."""
    cases_changed = Signal()
    """Cases were added, or the state of one changed."""
    case_opened = Signal()
    """Another case is open for correction, or none."""
    canvas_changed = Signal(object)
    """Labels or status changed inside this `Box`."""
    saved = Signal(str)
    """A revision with this name was stored."""
    conflicted = Signal(object)
    """Somebody else stored this `Revision` of the open case since it was opened, and now it was saved here too."""
    models_changed = Signal()
    """A model version was registered or activated."""
    noticed = Signal(str)
    """A sentence the person should see now."""
    went_wrong = Signal(object)
    """An `ApprenticeError` that arose while nobody was waiting, such as a stroke that the disk did not take."""
