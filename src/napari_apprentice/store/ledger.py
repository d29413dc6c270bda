"""An append-only file of JSON lines: the split, the activations."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_apprentice.errors import StudyError
from napari_apprentice.store.file_lock import one_at_a_time
from napari_apprentice.store.files import append_durably, storage_errors, write_durably
from napari_apprentice.store.trust import read_plain, refuse_links
from napari_apprentice.store.vault import PLAIN, Vault

_LARGEST = 256 * 1024**2  # bytes


class Ledger:
    """JSON lines that are only ever added to; a torn last line (a crash) counts as never written.

    Parameters
    ----------
    path
        The file.
    vault
        The study's; in an encrypted one each line is sealed on its own.
    """

    def __init__(self, path: Path, vault: Vault = PLAIN) -> None:
        self.path = path
        self._vault = vault.at(path.name)

    def read(self) -> list[dict[str, Any]]:
        """Read all complete lines, oldest first; none when the file is absent.

        Raises
        ------
        StudyError
            A line before the last is damaged.
        """
        return [self._parse(n, line) for n, line in enumerate(complete(self._bytes()).splitlines(), 1)]

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line durably, after cutting off a torn one.

        Raises
        ------
        StorageError
            The disk is full, gone or read-only, or another process is changing the file; nothing was added.
        """
        self.append_decided(lambda: record)

    def append_decided(self, decide: Callable[[], Mapping[str, Any] | None]) -> None:
        """Add the line that is decided on while nobody else can add one, or none; raises as `append`."""
        refuse_links(self.path.parent, self.path)
        with one_at_a_time(self.path, f"the file {self.path.name}"):
            # Else what looks torn may be a line on its way, and a file that is replaced may lose one.
            record = decide()
            if record is None:
                return
            data = self._bytes()
            good = complete(data)
            if len(good) < len(data):
                write_durably(self.path, good)
            append_durably(self.path, (json.dumps(self._vault.close_record(record)) + "\n").encode())

    def _bytes(self) -> bytes:
        with storage_errors(f"the file {self.path.name}"):
            return read_plain(self.path, _LARGEST) if self.path.exists() else b""

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise StudyError(f"{self.path.name} is damaged in line {number}: it is not JSON.") from error
        if not isinstance(record, dict):
            raise StudyError(f"{self.path.name} is damaged in line {number}: it holds no JSON object.")
        return self._vault.open_record(record, f"{self.path.name}, line {number},")


def complete(data: bytes) -> bytes:
    """The bytes up to the last whole line."""
    return data[: data.rfind(b"\n") + 1]
