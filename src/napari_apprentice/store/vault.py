"""How what a study keeps is written: as it is, or encrypted.

Everything of a study that writes or reads is handed a vault, narrowed to the place it writes at. The vault of a
plain study lets all pass; that of an encrypted one seals each piece for its place, so that a piece moved to
another place does not open there.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from napari_apprentice.errors import StudyError
from napari_apprentice.store.cipher import Cipher, SealError
from napari_apprentice.store.keys import VARIABLE, to_text
from napari_apprentice.store.seal import sealed

_ENCRYPTED = "encrypted"


@dataclass(frozen=True)
class Vault:
    """Keeps bytes and records of one place in a study.

    Parameters
    ----------
    cipher
        None in a plain study.
    place
        Names of the study's parts, joined by slashes; not a path: revisions get their number when they are
        moved into place.
    key
        The study's key where a person gave it, so that a child process must be told; None where the environment
        or the keyring has it.
    """

    cipher: Cipher | None = None
    place: str = ""
    key: bytes | None = None

    def __repr__(self) -> str:
        # Without the key: this may get into a log.
        return f"Vault({'encrypted' if self.encrypted else 'plain'}, {self.place!r})"

    @property
    def encrypted(self) -> bool:
        """Whether what it keeps is encrypted."""
        return self.cipher is not None

    def environment(self) -> dict[str, str]:
        """What a child process needs in its environment to open the study too."""
        return {} if self.key is None else {VARIABLE: to_text(self.key)}

    def at(self, *names: str) -> "Vault":
        """The vault of a place further in."""
        return replace(self, place="/".join([self.place, *names] if self.place else names))

    def seal(self, data: bytes | memoryview) -> bytes | memoryview:
        """Bytes as they are to be stored."""
        return data if self.cipher is None else self.cipher.seal(data, self.place)

    def open(self, data: bytes | memoryview) -> bytes | memoryview:
        """Bytes as they were before `seal`.

        Raises
        ------
        SealError
            They were altered, or sealed for another place or study.
        """
        return data if self.cipher is None else self.cipher.open(data, self.place)

    def close_record(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record as JSON values to be stored, with a seal."""
        return self.close_event(sealed(record))

    def close_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event as JSON values to be stored, without a seal: it tells how far work is, it is not the work."""
        if self.cipher is None:
            return dict(event)
        return {_ENCRYPTED: b64encode(self.seal(json.dumps(dict(event)).encode())).decode()}

    def open_record(self, stored: Mapping[str, Any], what: str) -> dict[str, Any]:
        """A record as `close_record` was given it, its seal included.

        Parameters
        ----------
        what
            What it is the record of, at the beginning of a sentence: "Case a1".

        Raises
        ------
        StudyError
            It was altered, moved here from elsewhere, or is plain in an encrypted study.
        """
        if self.cipher is None:
            return dict(stored)
        try:
            record = json.loads(bytes(self.open(b64decode(stored[_ENCRYPTED], validate=True))))
            if isinstance(record, dict):
                return record
        except SealError as error:
            raise StudyError(f"{what} is damaged: {error}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{what} is damaged: it is not encrypted as all of this study is.") from error
        raise StudyError(f"{what} is damaged: it holds no JSON object.")


PLAIN = Vault()
