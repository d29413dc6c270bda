"""A checksum inside a record, so that `check` sees when a record is not what was written.

Records without a seal are older than seals and as good as before. A seal protects from accidents, not from
somebody who can compute one.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "seal"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as JSON values, with a seal over everything else in it."""
    plain = json.loads(json.dumps({key: value for key, value in record.items() if key != KEY}))
    return {**plain, KEY: _seal(plain)}


def is_broken(record: Mapping[str, Any]) -> bool:
    """Whether a record has a seal that does not fit what else it says."""
    rest = {key: value for key, value in record.items() if key != KEY}
    return KEY in record and record[KEY] != _seal(rest)


def _seal(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
