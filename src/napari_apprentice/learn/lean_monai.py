"""MONAI without what it imports to read and transform scans, for processes that want its networks alone.

MONAI imports each of its modules at once, and with them pandas, SciPy, nibabel and more. A child reads scans through
this program, so it does without: a prediction that somebody waits for begins about three seconds earlier (6 s instead
of 9 on two cores). Only the program's own processes ask for it, because whoever uses `learn` in a program of their own
may want all of MONAI.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

# MONAI does without each of them, until one of its transforms is asked for.
NOT_NEEDED = ("matplotlib", "nibabel", "pandas", "PIL", "pydicom", "requests", "scipy", "skimage")


def import_lean_monai() -> None:
    """Import MONAI, its transforms crippled for this process; where it is not installed, nothing is said yet."""
    if find_spec("monai") is None:
        return
    import_module("torch")
    with _hidden(NOT_NEEDED):
        import_module("monai")


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
