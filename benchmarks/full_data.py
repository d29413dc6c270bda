"""The first model from nearly all there is: hippocampus, 150 subjects to learn from, Dice on the 45 others.

The subjects are split once by --seed. Of the 150 the program itself holds a fifth out, as it always does, so that
weights come from 120. The 45 are seen by nothing before they are predicted. For comparison, nnU-Net reaches 0.895
with 195 subjects and a 195/65 split.

With --folder the study is kept there, and a later call goes on from its last checkpoint.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Result, curve, drain, options, real_scans, scan_names

from napari_apprentice.core.config import TrainSettings, first_model_settings
from napari_apprentice.scans.datasets.dataset_json import read_dataset_json
from napari_apprentice.session import Session

LEARN, TEST = 150, 45
CLAIM = 0.88


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--steps", type=int, help="of the first model")
    parser.add_argument("--memory-mb", type=float, default=1500, help="budget of the network's patches")
    parser.add_argument("--features", type=int, default=16, help="of the network's first stage")
    parser.add_argument("--folder", type=Path, help="keep the study there")
    given = parser.parse_args()
    counts = (12, 6) if given.quick else (LEARN, TEST)
    steps = given.steps or (100 if given.quick else 12_500)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="full-data-"))
    try:
        how = replace(first_model_settings(steps, given.seed), validate_every=max(50, steps // 8))
        network = {"memory_mb": given.memory_mb, "features": given.features}
        run(folder, real_scans("hippocampus"), counts, how, network).show(given.json)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


def run(folder: Path, data: Path, counts: tuple[int, int], how: TrainSettings, network: dict[str, Any]) -> Result:
    """Train in `folder` and measure; counts are subjects to learn from and to test on."""
    names = scan_names(data)
    shuffled = [names[i] for i in np.random.default_rng(how.seed).permutation(len(names))]
    learn, test = shuffled[: counts[0]], shuffled[counts[0] :][: counts[1]]
    session = Session(author="benchmark")
    study = folder / "full.study"
    if study.exists():
        session.open_study(study)
    else:
        session.create_study(study, read_dataset_json(data / "dataset.json").schema)
        for name in learn:
            drain(session.add_scans([data / "imagesTr" / name], corrected=data / "labelsTr" / name))
        drain(session.add_scans([data / "imagesTr" / n for n in test]))
    under_way = session.running_training() or session.resumable_training()
    report = drain(session.follow_training(under_way or session.begin_training("train", how, **network)))
    cases = [n.removesuffix(".nii.gz") for n in test]
    drain(session.predict(cases, model=report.model))
    found = session.evaluate(data / "labelsTr", model=report.model, cases=cases)
    result = Result(("label", "subjects", "Dice"))
    for label, dice in found.by_label().items():
        result.rows.append((session.study.schema.name(label), len(cases), dice))
    result.rows.append(("mean", len(cases), found.mean))
    result.claims = {
        f"mean Dice on subjects it never saw (at least {CLAIM})": found.mean, "steps": how.steps,
        "seconds of training": report.seconds, "seed": how.seed,
    }  # fmt: skip
    result.extra = {"curves": [curve(session.study.runs.open(report.run_id))]}
    session.close()
    return result


if __name__ == "__main__":
    main()
