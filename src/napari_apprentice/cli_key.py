"""`apprentice key`: the key of an encrypted study, to keep it safe, hand it on, or take it over."""

import argparse
import sys
from getpass import getpass
from typing import Any

from napari_apprentice.errors import InputError
from napari_apprentice.session import Session
from napari_apprentice.store.encryption import keep_key, key_of
from napari_apprentice.store.keys import VARIABLE, from_environment, from_text, new_key, to_text

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def key(options: Options, session: Session) -> Answer:
    """Print a study's key, put it into the keyring, or print a new one."""
    del session  # a study whose key is not here yet could not be opened
    if options.new:
        text = to_text(new_key())
        return {"key": text}, [text]
    if options.study is None:
        raise InputError("Name the study: apprentice key STUDY --show, or --store.")
    if options.store:
        keep_key(options.study, _given(options.json))
        return {"kept": True}, [f"The key of {options.study} is in the keyring of this computer now."]
    text = to_text(key_of(options.study))
    return {"key": text}, [text]


def _given(as_json: bool) -> bytes:
    """The key in the environment; without one it is asked for, or read from standard input."""
    given = from_environment()
    if given is not None:
        return given
    asks = sys.stdin.isatty() and not as_json
    text = getpass("Key (it is not shown): ") if asks else sys.stdin.readline()
    if not text.strip():
        raise InputError(f"No key was given: set {VARIABLE} to it, or write it to standard input.")
    return from_text(text, "What was given")
