"""What a child process tells of an error: its kind, as `loop.launch` knows it, and a sentence for a person."""

from napari_apprentice.errors import ApprenticeError


def told(error: Exception, run_id: str) -> dict[str, str]:
    """The part of an event that says what went wrong in a run."""
    if isinstance(error, ApprenticeError):
        return {"error": type(error).__name__, "text": str(error)}
    if isinstance(error, MemoryError):
        text = "There is not enough memory for this scan and network; close other programs or use a smaller patch."
        return {"error": "RunError", "text": text}
    if isinstance(error, OSError):
        why = error.strerror or str(error)
        text = f"Reading or writing failed: {why}. The study is unharmed; mend this and start again."
        return {"error": "StorageError", "text": text}
    text = f"Run {run_id} stopped on an unexpected fault ({type(error).__name__}: {error})."
    return {"error": "RunError", "text": text}
