"""How every child process begins: `python -m napari_apprentice.loop.worker_start`, with the words of `loop.worker`.

MONAI imports each of its modules at once, and with them whatever it could read scans and tables with. A child
reads scans through this program and needs MONAI's networks alone, so it is started without these packages: a
prediction that somebody waits for begins about three seconds earlier (7 to 4 on two cores). Here and not where
`learn` imports MONAI, because whoever uses `learn` in a program of their own may want all of MONAI.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

# MONAI does without each of them, until one of its transforms is asked for.
NOT_NEEDED = ("matplotlib", "nibabel", "pandas", "PIL", "pydicom", "requests", "scipy", "skimage")


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Let packages look as if they were not installed, as long as nobody has imported them."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None is how Python marks what cannot be
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    if find_spec("monai") is not None:  # without it, the import below says so in its own words
        import_module("torch")
        with _hidden(NOT_NEEDED):
            import_module("monai")
    from napari_apprentice.loop import worker  # noqa: PLC0415 - imports MONAI, which is to be there already

    return worker.main(arguments)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(sys.argv[1:]))
