"""Authenticated encryption of bytes with one study's key: AES-256-GCM.

Source: NIST SP 800-38D. Every piece gets a random nonce of 96 bits; that is safe for about 2**32 pieces under
one key (section 8.3), which is some millions of scans. The key that encrypts is derived from the study's key
(HMAC-SHA-256 over a name and the key's id), so that studies that share a key in the environment share no nonces.
"""

import hmac
import os
from collections.abc import Callable
from typing import Any

from napari_apprentice.errors import InputError

KEY_BYTES = 32
NONCE_BYTES = 12
BLOCK_BYTES = 16
EXTRA_BYTES = NONCE_BYTES + 16  # a sealed piece is longer by its nonce and its tag
_PURPOSE = b"napari-apprentice/1/"
_MISSING = (
    "An encrypted study needs the package cryptography, which is not installed: "
    'pip install "napari-apprentice[encryption]".'
)


class SealError(ValueError):
    """The bytes are not what was sealed for this place with this key."""


class Cipher:
    """Seals and opens bytes.

    Parameters
    ----------
    key
        The study's key, 32 random bytes.
    key_id
        Its id, which the study's document shows.

    Raises
    ------
    InputError
        The package cryptography is not installed.
    """

    def __init__(self, key: bytes, key_id: str) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
        except ImportError as error:
            raise InputError(_MISSING) from error
        self._aes = AESGCM(_derived(key, key_id, b"encrypt"))
        self._wrong: type[Exception] = InvalidTag

    def seal(self, data: bytes | memoryview, place: str) -> bytes:
        """Nonce, encrypted bytes and tag.

        Parameters
        ----------
        place
            What the bytes are and where they belong; they open nowhere else.
        """
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, data, place.encode())

    def open(self, data: bytes | memoryview, place: str) -> bytes:
        """What was sealed.

        Raises
        ------
        SealError
            A byte of it was altered, or it was sealed with another key or for another place.
        """
        view = memoryview(data)
        if len(view) < EXTRA_BYTES:
            raise SealError("it is too short for encrypted bytes")
        try:
            return self._aes.decrypt(view[:NONCE_BYTES], view[NONCE_BYTES:], place.encode())
        except self._wrong as error:
            raise SealError("its bytes were altered or belong elsewhere") from error


class PassingCipher:
    """Hides bytes in a temporary file that goes with this process: AES-256-CTR with a random key that only it has.

    Source: NIST SP 800-38A, 6.5. Every piece takes blocks of the key stream that none before it took, also where it is
    written over another one. Nobody else has the file, so that no tag says whether it was altered.

    Raises
    ------
    InputError
        The package cryptography is not installed.
    """

    def __init__(self) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher as Stream  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers import algorithms, modes  # noqa: PLC0415
        except ImportError as error:
            raise InputError(_MISSING) from error
        aes, counter = algorithms.AES(os.urandom(KEY_BYTES)), modes.CTR
        self._from: Callable[[int], Any] = lambda block: Stream(aes, counter(block.to_bytes(BLOCK_BYTES))).encryptor()
        self._blocks = 0

    def cover(self, data: memoryview) -> tuple[bytes, int]:
        """As many encrypted bytes, and the number by which they are decrypted: their first block."""
        first = self._blocks
        self._blocks += -(-len(data) // BLOCK_BYTES)
        return bytes(self._from(first).update(data)), first

    def uncover(self, data: memoryview, number: int) -> None:
        """Decrypt in place."""
        data[:] = self._from(number).update(data)


def check_value(key: bytes, key_id: str) -> str:
    """What tells a wrong key from altered bytes; the key cannot be found from it. Hexadecimal, 128 bits."""
    return _derived(key, key_id, b"check")[:16].hex()


def _derived(key: bytes, key_id: str, purpose: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + purpose + b"/" + key_id.encode(), "sha256")
