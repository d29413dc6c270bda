"""Once around the loop on real MR scans: hippocampus, Medical Segmentation Decathlon.

A first model version from 20 corrected cases; predictions on 20 others, mended by a simulated
corrector; a fine-tune; Dice on 40 subjects that were in neither, before and after.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import Result, curve, drain, options, real_scans, scan_names

from napari_apprentice.core.config import TrainSettings, first_model_settings
from napari_apprentice.core.corrector import correct
from napari_apprentice.core.metrics import added_path_length
from napari_apprentice.loop.correcting import store_label_map
from napari_apprentice.scans.datasets.dataset_json import read_dataset_json
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.session import Session

FIRST, SECOND, HELD_OUT = 20, 20, 40


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--train-steps", type=int, help="steps of the first model")
    parser.add_argument("--tune-steps", type=int, help="steps of the fine-tune")
    given = parser.parse_args()
    counts = (8, 6, 10) if given.quick else (FIRST, SECOND, HELD_OUT)
    train_steps = given.train_steps or (400 if given.quick else 900)
    tune_steps = given.tune_steps or (250 if given.quick else 600)
    folder = Path(tempfile.mkdtemp(prefix="loop-hippocampus-"))
    try:
        run(folder, real_scans("hippocampus"), counts, (train_steps, tune_steps), given.seed).show(given.json)
    finally:
        shutil.rmtree(folder)


def run(folder: Path, data: Path, counts: tuple[int, int, int], steps: tuple[int, int], seed: int) -> Result:
    """Go around the loop in `folder`; counts are first, second and held-out cases."""
    began = time.monotonic()
    names = scan_names(data)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    first, second, held_out = _split(shuffled, counts)
    session = Session(author="simulated corrector")
    session.create_study(folder / "hippocampus.study", read_dataset_json(data / "dataset.json").schema)
    for name in first:
        drain(session.add_scans([data / "imagesTr" / name], corrected=data / "labelsTr" / name))
    one = drain(session.follow_training(session.begin_training("train", first_model_settings(steps[0], seed))))
    drain(session.add_scans([data / "imagesTr" / n for n in (*second, *held_out)]))
    drain(session.predict([_case(n) for n in (*second, *held_out)]))
    path_length = sum(_correct(session, data, name) for name in second)
    settings = TrainSettings(steps=steps[1], seed=seed)
    two = drain(session.follow_training(session.begin_training("fine-tune", settings)))
    drain(session.predict([_case(n) for n in held_out], model=two.model))
    result = _compare(session, data, held_out, (one.model, two.model))
    seconds = time.monotonic() - began
    result.claims |= {
        "became active": str(two.active), "path length corrected": path_length, "first model seconds": one.seconds,
        "fine-tune seconds": two.seconds, "whole loop seconds": seconds, "seed": seed,
    }  # fmt: skip
    result.extra = {"curves": [curve(session.study.runs.open(r.run_id)) for r in (one, two)]}
    session.close()
    return result


def _split(names: Sequence[str], counts: tuple[int, int, int]) -> tuple[list[str], list[str], list[str]]:
    a, b, c = counts
    return list(names[:a]), list(names[a : a + b]), list(names[a + b : a + b + c])


def _case(name: str) -> str:
    return name.removesuffix(".nii.gz")


def _correct(session: Session, data: Path, name: str) -> int:
    case_id = _case(name)
    start = session.prediction(case_id).labels
    reference = read_label_map(data / "labelsTr" / name).voxels
    labels, _ = correct(start, reference)
    store_label_map(session.study, case_id, labels, accept="all", author=session.author)
    return sum(added_path_length(start, labels, i) for i in session.study.schema.ids)


def _compare(session: Session, data: Path, held_out: Sequence[str], models: tuple[str, str]) -> Result:
    cases = [_case(n) for n in held_out]
    before, after = (session.evaluate(data / "labelsTr", model=m, cases=cases) for m in models)
    result = Result(("label", "scans", f"Dice {models[0]}", f"Dice {models[1]}", "change"))
    for i, value in before.by_label().items():
        later = after.by_label()[i]
        result.rows.append((session.study.schema.name(i), len(cases), value, later, later - value))
    result.rows.append(("mean", len(cases), before.mean, after.mean, after.mean - before.mean))
    result.claims = {"mean Dice before": before.mean, "mean Dice at the end": after.mean}
    return result


if __name__ == "__main__":
    main()
