"""The grid of an NRRD in its own numbers.

The format keeps one vector per axis, spacing times direction. ITK takes it apart and multiplies it again,
which may change the last bit; so the vectors are read from the header's text, and written there.

Source: https://teem.sourceforge.net/nrrd/format.html, "space directions" and "space origin".
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MOST = 1 << 20
# What turns a space of the file into ITK's, left-posterior-superior; by its name or its letters.
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_VECTOR = re.compile(r"\(([^)]*)\)")


def exact_grid(path: Path) -> NDArray[np.float64] | None:
    """(4, 4) float64, (i, j, k, 1) to millimetres in LPS+; None where the header says it otherwise."""
    facts = _facts(path)
    signs = _TO_LPS.get(facts.get("space", "").lower())
    vectors = _VECTOR.findall(facts.get("space directions", ""))
    origin = _VECTOR.findall(facts.get("space origin", ""))
    if signs is None or len(vectors) != 3 or len(origin) != 1:
        return None
    try:
        columns = [[float(part) for part in text.split(",")] for text in (*vectors, *origin)]
        grid = np.eye(4)
        grid[:3] = np.transpose(columns) * np.reshape(signs, (3, 1))
    except ValueError:
        return None
    return grid


def put_exact_grid(path: Path, grid: NDArray[np.float64]) -> None:
    """Put the vectors of a (4, 4) LPS+ grid into an NRRD with attached voxels that ITK wrote."""
    head, voxels = path.read_bytes().split(b"\n\n", 1)
    lines = head.decode("latin-1").split("\n")
    wanted = {"space directions": " ".join(_text(grid[:3, n]) for n in range(3)), "space origin": _text(grid[:3, 3])}
    for number, line in enumerate(lines):
        key = line.split(":", 1)[0]
        if key in wanted:
            lines[number] = f"{key}: {wanted[key]}"
    path.write_bytes("\n".join(lines).encode("latin-1") + b"\n\n" + voxels)


def _facts(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        head = re.split(rb"\r?\n\r?\n", file.read(_MOST), maxsplit=1)[0]
    pairs = (line.split(": ", 1) for line in head.decode("latin-1").splitlines() if ": " in line and line[0] != "#")
    return {key.strip().lower(): value.strip() for key, value in pairs}


def _text(vector: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(v)) for v in vector)})"
