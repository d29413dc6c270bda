"""What a person gives or lacks for an encrypted study."""

from pathlib import Path

from napari_apprentice.errors import InputError
from napari_apprentice.store.encryption import keep_key, refuse_keyless
from napari_apprentice.store.keys import from_text

__all__ = ["kept_here", "key_from", "refuse_keyless"]


def key_from(text: str) -> bytes:
    """The key that a person typed; InputError when it is none."""
    return from_text(text, "What was given")


def kept_here(path: Path, key: bytes) -> str:
    """Put a study's key into this computer's keyring; "" or, as a sentence, why that was not possible.

    Raises
    ------
    LockedError
        It is another study's key.
    """
    try:
        keep_key(path, key)
    except InputError as error:
        return str(error)
    return ""
