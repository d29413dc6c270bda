"""Pull the plug on the program, hundreds of times, at random moments of drawing, undoing and saving.

Each round starts the program on the same study, corrects two cases as fast as it can, and kills the process
(SIGKILL). Everything that was acknowledged must be there afterwards: strokes, undo and redo, revisions. The study
is opened again and checked from end to end after every kill. See tests/crash.py for how it is compared.

A killed process is not a power cut: what the operating system has taken over survives here without fsync, too.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Result, options

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.store.study import Study

SHAPE = (10, 24, 32)  # (x, y, z)


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        study = made_study(Path(folder), given.seed)
        facts = killed(study, min(given.rounds, 60) if given.quick else given.rounds, given.seed)
    result = Result(("killed while in", "times"), list(facts["killed in"].items()), extra=facts)
    result.claims = {name: facts[name] for name in ("rounds", "changes acknowledged", "saves acknowledged", "seconds")}
    result.claims["rounds after which something was missing or unsound"] = len(facts["wrong"])
    result.show(given.json)
    sys.exit("\n".join(facts["wrong"]) or None)


def made_study(folder: Path, seed: int) -> Path:
    """Two small cases of noise."""
    study = Study.create(folder / "kill.study", LabelSchema.from_names(["one", "two"]))
    geometry = Geometry.from_source(SHAPE, np.diag([1.0, 1.0, 2.5, 1.0]))
    for number in (1, 2):
        voxels = np.random.default_rng(seed + number).integers(-50, 200, (1, *geometry.shape)).astype(np.int16)
        study.cases.add(f"c{number}", f"s{number}", Volume(voxels, geometry, ("MR",), f"c{number}.nii.gz", "0" * 64))
    return study.path


def killed(study: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Facts of that many rounds."""
    driver = ROOT / "tests" / "crash.py"
    command = [sys.executable, str(driver), str(study), "--rounds", str(rounds), "--seed", str(seed)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    facts: dict[str, Any] = json.loads(ended.stdout)
    return facts


if __name__ == "__main__":
    main()
