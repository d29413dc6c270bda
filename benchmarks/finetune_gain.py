"""What a fine-tune gains on another scanner and costs on the first: real MR scans, simulated corrections.

Hippocampus of the Medical Segmentation Decathlon. The base model version learns the source domain (the scans as
they are). The target domain is a fixed change of every scan: gamma 0.6, a bias field, and half the resolution
through the slices. K subjects of it are corrected by the simulated corrector, which starts from the base's
predictions; 4 more are held out for interpolation and gate, with 4 of the source. Dice, mean of both labels, on 40
subjects that nobody learned from, in either domain. One base for all; another choice of subjects, and other
patches, for each seed.

Everything that learns or judges is the program's own: fit, interpolation, gate, predictor, plan.
Each arm has three rows: "whole" is the fine-tune as it came out of training, "kept" what is active in the end: after
interpolation, or the base where the gate refuses; "all or nothing" what it would be without interpolation. "edited
only" knows only the voxels that were edited, "unseen as background" takes the rest of those scans for background.
"chained" corrects in two halves and tunes from the first tuned model with the second half alone, without the base's
scans. "distilled" and "not distilled" have no replay and know only the voxels that were edited: on the others the
program keeps to the base where its scans are not there ("no replay" has none to distil on, because everything was
looked at). "naive" has the rate of a first model and no warm-up, replay, averaging or distillation, and it is always
kept. "all" is what could be had: 60 target subjects with their true labels, naive. Every arm has the steps that the
program would take for its corrected cases.

Rule, fixed before running: at K = 5 ours gains at least half of what "all" does, source drops by at most 0.005, and
for no seed ours is below the base on the target.

On a CPU the scans are brought to 2 mm first (--mm), so that a fine-tune of 500 steps takes less than a minute of
processor time; every arm that is done is written to --json at once, and a later call goes on from there.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Result, drain, options, real_scans, scan_names
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.correction import ACCEPTED, EDITED, UNSEEN
from napari_apprentice.core.corrector import correct
from napari_apprentice.core.fingerprint import fingerprint
from napari_apprentice.core.gate import CaseScore, judge
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Plan, derive_plan
from napari_apprentice.core.records import Example
from napari_apprentice.core.shares import choose_share, shares
from napari_apprentice.learn import weights as weight_files
from napari_apprentice.learn.calibration import calibration_error
from napari_apprentice.learn.device import choose_device
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.interpolate import between
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.resample import resample_labels, resample_voxels, target_shape
from napari_apprentice.learn.scaled import ScaledScan
from napari_apprentice.learn.trainer import fit
from napari_apprentice.scans.reader import read_label_map, read_volume

ARMS = (
    "nothing", "ours", "naive", "all", "half replay", "no replay", "EMA", "chained", "edited only",
    "unseen as background", "distilled", "not distilled",
)  # fmt: skip
TEST, SOURCE, HELD_OUT, ALL = 40, 20, 4, 60
BASE_SEED = 2
LABELS = {1: "Anterior", 2: "Posterior"}
HOW = PredictSettings(quality="draft", backend="torch")


@dataclass(frozen=True, eq=False)
class Scan:
    """One subject: voxels (1, z, y, x) float32 of the source, labels (z, y, x) uint8."""

    name: str
    voxels: NDArray[np.float32]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Size:
    """How much work it is."""

    mm: float
    features: int
    base_steps: int
    steps: int
    test: int
    source: int
    everyone: int


def shifted(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, z, y, x) as another scanner would have it: gamma 0.6, a bias field, twice as thick slices."""
    low, high = np.percentile(voxels, (0.5, 99.5))
    bent = np.clip((voxels[0] - low) / max(high - low, 1e-6), 0, 1) ** 0.6
    z, y, x = (np.linspace(-1, 1, n) for n in bent.shape)
    bias = 1 + 0.25 * y[None, :, None] - 0.2 * x[None, None, :] + 0.15 * z[:, None, None] ** 2
    blurred = ndimage.uniform_filter1d((bent * bias).astype(np.float32), 2, axis=0)
    coarse = torch.from_numpy(np.ascontiguousarray(blurred[::2]))[None]
    shape = (bent.shape[0], bent.shape[1], bent.shape[2])
    return 1000 * resample_voxels(coarse, shape).numpy()


class Bench:
    """Scans, subjects of a seed, its base model, and what was measured so far."""

    def __init__(self, size: Size, seed: int, folder: Path, scans: Sequence[Scan]) -> None:
        self.size, self.seed = size, seed
        self.folder, self.shared = folder / f"seed{seed}", folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = choose_device("auto")
        mixed = [scans[i] for i in np.random.default_rng(1234).permutation(len(scans))]
        self.test, rest = mixed[: size.test], mixed[size.test :]
        own = [rest[i] for i in np.random.default_rng(BASE_SEED).permutation(len(rest))]
        cuts = np.cumsum([size.source, HELD_OUT])
        self.source, self.source_kept, others = own[: cuts[0]], own[cuts[0] : cuts[1]], own[cuts[1] :]
        mine = [others[i] for i in np.random.default_rng(seed).permutation(len(others))]
        self.target_kept, self.target = mine[:HELD_OUT], mine[HELD_OUT:][: size.everyone]

    @cached_property
    def plan(self) -> Plan:
        """As the program derives it from the source scans, with two patches per step to save time."""
        prints = [fingerprint(e) for e in self.known(self.source, replay=True)]
        schema = LabelSchema.from_names(LABELS.values())
        return replace(derive_plan(prints, schema, features=self.size.features), batch=2)

    @cached_property
    def base(self) -> Path:
        """Weights of the base model version, one for all seeds; trained on the first call."""
        out = self.shared / f"base-{self.size.base_steps}.safetensors"
        if not out.exists():
            how = first_model_settings(self.size.base_steps, BASE_SEED)
            self.tune(None, self.known(self.source, replay=False), how, out)
        return out

    def known(self, scans: Sequence[Scan], *, replay: bool) -> list[Example]:
        """Source scans with their true labels, all accepted."""
        return [self.example(s, s.voxels, s.labels, np.full(s.labels.shape, ACCEPTED, np.uint8), replay) for s in scans]

    def example(
        self, scan: Scan, voxels: NDArray[np.float32], labels: NDArray[Any], status: NDArray[np.uint8], replay: bool
    ) -> Example:
        """As the program hands it to training."""
        mm = self.size.mm
        kind = "source" if replay else "target"
        return Example(f"{scan.name}-{kind}/r0001", scan.name, voxels, labels, status, (mm, mm, mm), ("MR",), replay)

    def corrected(self, scans: Sequence[Scan]) -> list[Example]:
        """Target scans, corrected by somebody who starts from the base's predictions."""
        predictor, found = Predictor(self.plan, self.base, self.device), []
        for scan in scans:
            voxels = shifted(scan.voxels)
            start = drain(predictor.predict_array(voxels, (self.size.mm,) * 3, HOW, lambda: False)).labels
            # the same volume of overlooked faults as 8 voxels of 1 mm
            labels, status = correct(start, scan.labels, smallest=max(1, round(8 / self.size.mm**3)))
            found.append(self.example(scan, voxels, labels, status, False))
        return found

    def true(self, scans: Sequence[Scan]) -> list[Example]:
        """Target scans with their true labels."""
        return [
            self.example(s, shifted(s.voxels), s.labels, np.full(s.labels.shape, ACCEPTED, np.uint8), False)
            for s in scans
        ]

    def tune(self, start: Path | None, examples: Sequence[Example], how: TrainSettings, out: Path) -> float:
        """Train; seconds it took."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.folder) as checkpoint:
            quiet = replace(how, validate_every=100_000)
            drain(fit(self.plan, examples, [], quiet, start, out, Path(checkpoint), lambda: False))
        return time.monotonic() - began

    def measured(self, weights: Path) -> dict[str, Any]:
        """Dice of the test subjects in both domains, and the calibration error in the target domain."""
        predictor = Predictor(self.plan, weights, self.device)
        target = self.true(self.test)
        facts = {
            kind: by_subject(scores(predictor, examples, HOW, lambda: False))
            for kind, examples in (("target", target), ("source", self.known(self.test, replay=True)))
        }
        return {**{k: float(np.mean(v)) for k, v in facts.items()}, "by subject": facts, "ece": self.ece(weights)}

    def ece(self, weights: Path) -> float:
        """Expected calibration error (15 bins) of the voxels within 3 voxels of a label."""
        module = build(self.plan)
        weight_files.load(module, weights)
        module.to(self.device).eval()
        logits, rows = [], []
        for example in self.true(self.test):
            voxels = ScaledScan(example.source, self.plan, self.device)
            truth = resample_labels(torch.from_numpy(example.labels), voxels.shape)
            near = torch.from_numpy(ndimage.binary_dilation(truth.numpy() > 0, iterations=3))
            logits.append(seen_at_once(module, voxels.read(0, voxels.shape[0]), self.plan)[:, near].T)
            rows.append(truth[near].long())
        return calibration_error(torch.cat(logits), torch.cat(rows))

    def kept(self, fitted: Path, held_out: Sequence[Example]) -> dict[str, Any]:
        """What the program makes of fitted weights: all of the change, a share of it, or nothing."""
        before, paths = self.scored(self.base, held_out), {}
        for share in shares(TrainSettings().interpolation):
            paths[share] = fitted if share == 1 else fitted.with_suffix(f".{share}")
            if share < 1:
                between(self.base, fitted, share, paths[share])
        by_share = {share: self.scored(weights, held_out) for share, weights in paths.items()}
        share, tried = choose_share(before, by_share, LABELS)
        report = judge(before, by_share[share], LABELS)
        return {
            "share": share if report.passed else 0.0, "weights": paths[share] if report.passed else self.base,
            "reason": report.reason, "tried": [vars(t) for t in tried],
        }  # fmt: skip

    def scored(self, weights: Path, held_out: Sequence[Example]) -> list[CaseScore]:
        """Dice per scan and label."""
        return scores(Predictor(self.plan, weights, self.device), held_out, HOW, lambda: False)


@torch.inference_mode()
def seen_at_once(module: Network, voxels: torch.Tensor, plan: Plan) -> torch.Tensor:
    """(rows, z, y, x) logits of a whole scan (c, z, y, x), on the CPU."""
    multiple = np.prod(plan.strides, axis=0)
    missing = [int(-n % m) for n, m in zip(voxels.shape[1:], multiple, strict=True)]
    padded = F.pad(voxels[None], (0, missing[2], 0, missing[1], 0, missing[0]))
    z, y, x = voxels.shape[1:]
    return module(padded)[0].float()[0, :, :z, :y, :x].cpu()


def by_subject(found: Sequence[CaseScore]) -> list[float]:
    """Mean over labels for each subject, in order."""
    names = dict.fromkeys(s.revision for s in found)
    return [float(np.mean([s.dice for s in found if s.revision == name])) for name in names]


def only_edited(example: Example) -> Example:
    """What was accepted is taken for unseen."""
    return replace(example, status=np.where(example.status == EDITED, EDITED, UNSEEN).astype(np.uint8))


def rest_is_background(example: Example) -> Example:
    """What was not edited is taught as background."""
    labels = np.where(example.status == EDITED, example.labels, 0).astype(example.labels.dtype)
    return replace(example, labels=labels, status=np.maximum(example.status, ACCEPTED).astype(np.uint8))


def run_arm(bench: Bench, arm: str, k: int) -> dict[str, Any]:
    """One arm for one seed: measured as it came out of training, and as it is kept."""
    if arm == "nothing":
        return {"whole": bench.measured(bench.base), "share": 0.0, "seconds": 0.0}
    out = bench.folder / f"{arm.replace(' ', '-')}-{k}.safetensors"
    seconds = train_arm(bench, arm, k, out)
    facts: dict[str, Any] = {"whole": bench.measured(out), "seconds": seconds}
    if arm in ("naive", "all"):
        return {**facts, "kept": facts["whole"], "share": 1.0}
    held_out = [*bench.corrected(bench.target_kept), *bench.known(bench.source_kept, replay=True)]
    verdict = bench.kept(out, held_out)
    weights = verdict.pop("weights")
    return {**facts, **verdict, "kept": facts["whole"] if verdict["share"] == 1 else bench.measured(weights)}


def train_arm(bench: Bench, arm: str, k: int, out: Path) -> float:
    """Tune as an arm says; seconds it took."""
    asked = TrainSettings(steps=bench.size.steps, seed=bench.seed)
    ours = asked.for_cases(k)
    naive = replace(
        asked, rate=first_model_settings(1).rate, warm_up=0.0, replay_share=0.0, distil=0.0, ema=0.0, edited_weight=1.0
    )
    if arm == "all":
        return bench.tune(bench.base, bench.true(bench.target), naive.for_cases(len(bench.target)), out)
    fresh = bench.corrected(bench.target[:k])
    replayed = bench.known(bench.source, replay=True)
    if arm == "naive":
        return bench.tune(bench.base, fresh, naive.for_cases(k), out)
    if arm == "chained":
        half = (k + 1) // 2
        first = out.with_suffix(".first")
        seconds = bench.tune(bench.base, fresh[:half], asked.for_cases(half), first)
        return seconds + bench.tune(first, fresh[half:] or fresh, asked.for_cases(half), out)
    changes: dict[str, Callable[[Example], Example]] = {
        "edited only": only_edited, "unseen as background": rest_is_background,
        "distilled": only_edited, "not distilled": only_edited,
    }  # fmt: skip
    examples = [changes[arm](e) if arm in changes else e for e in fresh]
    settings = {
        "EMA": replace(ours, ema=0.995), "half replay": replace(ours, replay_share=0.5),
        "not distilled": replace(ours, distil=0.0),
    }  # fmt: skip
    if arm not in ("no replay", "distilled", "not distilled"):
        examples += replayed
    return bench.tune(bench.base, examples, settings.get(arm, ours), out)


def load(folder: Path, mm: float, count: int | None) -> list[Scan]:
    """Subjects on a grid of `mm`."""
    found = []
    for name in scan_names(folder)[:count]:
        volume = read_volume(folder / "imagesTr" / name)
        labels = read_label_map(folder / "labelsTr" / name).voxels
        z, y, x = labels.shape
        shape = target_shape((z, y, x), volume.geometry.spacing, (mm, mm, mm))
        voxels = resample_voxels(torch.from_numpy(volume.voxels.astype(np.float32)), shape).numpy()
        rows = resample_labels(torch.from_numpy(labels.astype(np.uint8)), shape).numpy()
        found.append(Scan(name.removesuffix(".nii.gz"), voxels, rows))
    return found


class Notes:
    """What was measured, on disk after every arm."""

    def __init__(self, path: Path, size: Size) -> None:
        self.path = path
        self.runs: dict[str, Any] = {}
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored.get("size") != vars(size):
                raise SystemExit(f"{path} holds runs of another size: {stored.get('size')}; give another file.")
            self.runs = stored["runs"]
        self._size = vars(size)

    def add(self, name: str, facts: dict[str, Any]) -> None:
        """Keep one more."""
        self.runs[name] = facts
        aside = self.path.with_name(self.path.name + ".part")
        aside.write_text(json.dumps({"size": self._size, "runs": self.runs}, indent=1), encoding="utf-8")
        aside.replace(self.path)


def key(seed: int, arm: str, k: int) -> str:
    return f"{seed}|{arm}|{k}"


def table(runs: dict[str, Any], k: int, seeds: Sequence[int]) -> Result:
    """Means over seeds, and whether the rule holds."""
    result = Result(
        ("arm", "K", "seeds", "target", "change", "worst seed", "source", "change", "ECE", "share kept", "seconds")
    )
    bases = {s: runs[key(s, "nothing", 0)]["whole"] for s in seeds if key(s, "nothing", 0) in runs}
    for name in sorted({n.split("|", 1)[1] for n in runs}, key=lambda n: (int(n.split("|")[1]), n)):
        arm, many = name.split("|")
        mine = {
            s: with_all_or_nothing(runs[key(s, arm, int(many))], bases[s])
            for s in bases if key(s, arm, int(many)) in runs
        }  # fmt: skip
        for state in ("whole", "kept", "all or nothing"):
            if mine and all(state in m for m in mine.values()):
                result.rows.append(row(f"{arm}, {state}", int(many), mine, bases, state))
    claims(result, runs, k, bases)
    return result


def with_all_or_nothing(facts: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """What would be active without interpolation: the whole change where the gate passes it, else the base."""
    whole = [t["passed"] for t in facts.get("tried", ()) if t["share"] == 1]
    return {**facts, "all or nothing": facts["whole"] if whole[0] else base} if whole else facts


def row(name: str, k: int, mine: dict[int, Any], bases: dict[int, Any], state: str) -> tuple[Any, ...]:
    gains = {d: [mine[s][state][d] - bases[s][d] for s in mine] for d in ("target", "source")}
    means = {d: float(np.mean([m[state][d] for m in mine.values()])) for d in ("target", "source", "ece")}
    return (
        name, k, len(mine), means["target"], float(np.mean(gains["target"])), min(gains["target"]), means["source"],
        float(np.mean(gains["source"])), means["ece"], "/".join(f"{m['share']:.2f}" for m in mine.values()),
        float(np.mean([m["seconds"] for m in mine.values()])),
    )  # fmt: skip


def claims(result: Result, runs: dict[str, Any], k: int, bases: dict[int, Any]) -> None:
    """The rule, as far as both of its arms are there."""
    both = [s for s in bases if key(s, "ours", k) in runs and key(s, "all", 0) in runs]
    if not both:
        return
    ours = {d: np.array([runs[key(s, "ours", k)]["kept"][d] - bases[s][d] for s in both]) for d in ("target", "source")}
    best = np.mean([runs[key(s, "all", 0)]["whole"]["target"] - bases[s]["target"] for s in both])
    share, drop, worst = float(ours["target"].mean() / best), float(-ours["source"].mean()), float(ours["target"].min())
    result.claims = {
        f"K = {k}: share of what all target data gain": share, f"K = {k}: source drop": drop,
        f"K = {k}: change on the target for the worst seed": worst, "seeds": len(both),
        "the rule holds": str(share >= 0.5 and drop <= 0.005 and worst >= 0),
    }  # fmt: skip


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--k", nargs="+", type=int, default=[5], help="corrected subjects")
    parser.add_argument("--seeds", nargs="+", type=int, help="default 0 1 2; quick: --seed alone")
    parser.add_argument("--mm", type=float, default=2.0, help="spacing that scans are brought to")
    parser.add_argument("--features", type=int, default=8, help="feature maps of the first stage")
    parser.add_argument("--steps", type=int, default=0, help="of a fine-tune; 0: by how many cases were corrected")
    given = parser.parse_args()
    size = Size(given.mm, given.features, 1300, given.steps, TEST, SOURCE, ALL)
    if given.quick:
        size = Size(given.mm, given.features, 400, 100, 8, 8, 12)
    seeds = given.seeds or ([given.seed] if given.quick else [0, 1, 2])
    scans = load(real_scans("hippocampus"), size.mm, 50 if given.quick else None)
    with tempfile.TemporaryDirectory(prefix="finetune-gain-") as aside:
        file = given.json or Path(aside) / "gain.json"
        notes = Notes(file, size)
        work = Path(aside) if given.json is None else file.with_suffix(".weights")
        for arm in ("nothing", *(a for a in given.arms if a != "nothing")):
            for k in [0] if arm in ("nothing", "all") else given.k:
                for seed in seeds:
                    if key(seed, arm, k) not in notes.runs:
                        notes.add(key(seed, arm, k), run_arm(Bench(size, seed, work, scans), arm, k))
                        print(key(seed, arm, k), flush=True)
    table(notes.runs, given.k[0] if 5 not in given.k else 5, seeds).show(None)


if __name__ == "__main__":
    main()
