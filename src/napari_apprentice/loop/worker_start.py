"""How every child process begins: `python -m napari_apprentice.loop.worker_start`, with the words of `loop.worker`."""

import logging
import sys

from napari_apprentice.learn.lean_monai import import_lean_monai
from napari_apprentice.loop.child import NOT_LOADED


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    try:
        import_lean_monai()
        from napari_apprentice.loop import worker  # noqa: PLC0415 - imports MONAI, which is to be there already
    except (ImportError, OSError):  # OSError: of a library of PyTorch's own, as Windows has it
        logging.getLogger(__name__).exception("What predicts and trains cannot be loaded")
        return NOT_LOADED
    return worker.main(arguments)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(sys.argv[1:]))
