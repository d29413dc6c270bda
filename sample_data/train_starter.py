"""Train the starter model version: `python sample_data/train_starter.py` (ten minutes on 2 cores).

It learns from first-site phantoms only: those of the sample study that are marked known, and more that
are made here and thrown away.
"""

import json
import tempfile
from importlib.metadata import version as library_version
from pathlib import Path

from make_scans import KNOWN, seed_of

from napari_apprentice.core.config import first_model_settings
from napari_apprentice.core.fingerprint import fingerprint
from napari_apprentice.core.phantom import phantom
from napari_apprentice.core.plan import derive_plan
from napari_apprentice.core.records import Example, ModelVersion, now
from napari_apprentice.learn.network import build
from napari_apprentice.learn.trainer import fit
from napari_apprentice.learn.weights import load, save
from napari_apprentice.loop.sample import STARTER, sample_folder, sample_list

STEPS, SEED, EXTRA = 1200, 0, 20
HELD_OUT = (KNOWN[2], KNOWN[7])  # the third and the eighth subject of a study are held out


def main() -> None:
    """Write starter/model.json and starter/weights.safetensors beside this script."""
    schema = sample_list().schema
    known = {c: _example(f"{c}/r0001", seed_of(c)) for c in KNOWN}
    extra = [_example(f"phantom-{s}/r0001", s) for s in range(1000, 1000 + EXTRA)]
    train = [e for c, e in known.items() if c not in HELD_OUT] + extra
    plan = derive_plan([fingerprint(e) for e in train], schema, memory_mb=140, features=8)
    settings = first_model_settings(STEPS, SEED)
    out = sample_folder() / "starter"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        trained = Path(scratch) / "weights.safetensors"
        work = fit(
            plan, train, [known[c] for c in HELD_OUT], settings, None, trained, Path(scratch) / "run", lambda: False
        )
        for progress in work:
            print(progress)
        module = build(plan)
        load(module, trained)
        save(module, out / "weights.safetensors", half=True)  # half the size; the Dice stays the same
    model = ModelVersion(
        name=STARTER, parent=None, created=now(), plan=plan, schema=schema,
        revisions=tuple(f"{c}/r0001" for c in KNOWN if c not in HELD_OUT),
        held_out=tuple(f"{c}/r0001" for c in HELD_OUT),
        gate=None, settings=settings.to_json(), seed=SEED,
        libraries={n: library_version(n) for n in ("torch", "monai", "numpy")}, weights_digest="",
        note=f"came with the program; learned from {len(train)} phantoms of the first site",
    )  # fmt: skip
    (out / "model.json").write_text(json.dumps(model.to_json(), indent=1) + "\n", encoding="utf-8")


def _example(revision: str, seed: int) -> Example:
    volume, labels = phantom(seed, "A")
    known = labels.voxels.astype("uint8") * 0 + 1
    return Example(
        revision, revision.split("/")[0], volume.voxels, labels.voxels, known, volume.geometry.spacing, volume.channels
    )


if __name__ == "__main__":
    main()
