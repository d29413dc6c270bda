"""A model card: what somebody who is handed a model should know, as Markdown (Mitchell et al., FAccT 2019)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_apprentice.core.architecture import MonaiNetwork, NnUNet
from napari_apprentice.core.gate import ALL_LABELS, GateRow
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.core.words import counted

_LIMITS = (
    "- It was measured on the scans counted above and on no others. On other scanners, protocols, ages or diseases it "
    "may be worse, and nothing here says by how much.\n"
    "- Its uncertainty says where it hesitates, not where it is wrong.\n"
    "- It is no medical device: a person has to look at what it proposes."
)


@dataclass(frozen=True)
class Material:
    """What a model version learned from, in counts: no case and no person is named.

    Parameters
    ----------
    scans, subjects
        Corrected scans it was taught, and of how many people.
    held_out, held_out_subjects
        Those it was only measured on.
    channels
        Channel names, in order.
    """

    scans: int
    subjects: int
    held_out: int
    held_out_subjects: int
    channels: tuple[str, ...] = ()


def model_card(version: ModelVersion, material: Material, lineage: Sequence[Mapping[str, Any]]) -> str:
    """The card of a model version.

    Parameters
    ----------
    lineage
        From its parent backwards, as JSON values.
    """
    parts = [
        f"# Model card: {version.name}",
        f"Made {version.created} with napari-apprentice {version.libraries.get('napari-apprentice', '?')}.",
        "## What it does",
        _network(version.plan, material.channels),
        "Labels: " + ", ".join(f"{i} {version.schema.name(i)}" for i in version.plan.labels) + ".",
        "## What it learned from",
        _data(material, version.origin),
        "## How good it is",
        _metrics(version),
        "## Where it is from",
        _lineage(version, lineage),
        "## Limits",
        _LIMITS,
        "## Licence",
        "None was chosen yet. Whoever hands this model on writes here what may be done with it; the licences of the "
        "scans it learned from, and of the model it was tuned from, have a say in that.",
        "## How to use it",
        "Everything is in this folder: `weights.safetensors` and `model.json`. Nothing in it runs code.",
        "```\napprentice import-model STUDY --from THIS_FOLDER\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _network(plan: Plan, channels: Sequence[str]) -> str:
    how = plan.architecture
    if isinstance(how, NnUNet):
        kind = f"nnU-Net's {'ResidualEncoderUNet' if how.residual else 'PlainConvUNet'}"
    else:
        kind = f"MONAI's {how.name}" if isinstance(how, MonaiNetwork) else "a U-Net (MONAI's DynUNet)"
    spacing = " x ".join(f"{s:g}" if s else "the scan's own" for s in plan.spacing)
    patch = " x ".join(map(str, plan.patch))
    seen = f"{len(plan.normalisation)} channel{'s' * (len(plan.normalisation) > 1)}"
    named = f" ({', '.join(channels)})" if channels else ""
    return (
        f"It proposes label maps. The network is {kind}; it sees {seen}{named} at {spacing} mm (z, y, x), "
        f"{patch} voxels at once."
    )


def _data(material: Material, origin: Mapping[str, Any]) -> str:
    if material.scans:
        return (
            f"{counted(material.scans, 'corrected scan')} of {counted(material.subjects, 'subject')}; "
            f"{counted(material.held_out, 'scan')} of {counted(material.held_out_subjects, 'other subject')} "
            f"{'was' if material.held_out == 1 else 'were'} held out to measure on."
        )
    if origin:
        return f"It was imported from {origin.get('library', 'elsewhere')}; what it learned from is told there."
    return "No corrected scan is recorded."


def _metrics(version: ModelVersion) -> str:
    if version.gate is None or not version.gate.rows:
        return "It was not measured against another model version."
    rows = [_row(row, version) for row in (*version.gate.rows, *version.gate.totals)]
    head = (
        "| label | held-out scans | count | Dice before | Dice after | 95 % interval of the change |\n"
        "|---|---|---|---|---|---|"
    )
    verdict = "It passed the gate" if version.gate.passed else "It did not pass the gate"
    texts = (f"{verdict}: {version.gate.reason}.", version.gate.caution, _calibration(version))
    return "\n\n".join(["\n".join([head, *rows]), *(t for t in texts if t)])


def _row(row: GateRow, version: ModelVersion) -> str:
    label = "all" if row.label == ALL_LABELS else version.schema.name(row.label)
    kind = "earlier scans" if row.replay else "corrections"
    return f"| {label} | {kind} | {row.cases} | {row.before:.3f} | {row.after:.3f} | {row.interval} |"


def _calibration(version: ModelVersion) -> str:
    found = version.metrics.get("calibration")
    if not found:
        return ""
    return (
        f"Its logits are divided by {version.temperature:.3g} (temperature scaling). On held-out scans of "
        f"{counted(found['subjects'], 'subject')} that takes the expected calibration error "
        f"from {found['ece_before']:.4f} to {found['ece_after']:.4f}."
    )


def _lineage(version: ModelVersion, lineage: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"- {version.name}, weights {version.weights_digest[:16]}{_of(version.note)}"]
    lines += [f"- from {a['name']}, weights {str(a['digest'])[:16]}{_of(str(a.get('note', '')))}" for a in lineage]
    return "\n".join(lines)


def _of(note: str) -> str:
    return f" ({note})" if note else ""
