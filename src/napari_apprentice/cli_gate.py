"""The gate's table on the command line."""

from collections.abc import Mapping

from napari_apprentice.core.gate import ALL_LABELS, GateReport, GateRow


def gate_lines(gate: GateReport | None, names: Mapping[int, str]) -> list[str]:
    """Before and after, label by label, with the 95 % interval of the change; and what that is worth."""
    if gate is None or not gate.rows:
        return []
    lines = ["held-out scans | label | scans | subjects | before | after | change | 95 % interval"]
    rows = [row for replay in (False, True) for row in (*gate.rows, *gate.totals) if row.replay == replay]
    lines += [_line(row, names) for row in rows]
    return [*lines, *([gate.caution] if gate.caution else [])]


def _line(row: GateRow, names: Mapping[int, str]) -> str:
    kind = "replay" if row.replay else "corrections"
    label = "all labels" if row.label == ALL_LABELS else names.get(row.label, f"label {row.label}")
    return (
        f"{kind} | {label} | {row.cases} | {row.subjects or ''} | {row.before:.3f} | {row.after:.3f} | "
        f"{row.change:+z.3f} | {row.interval}"
    )
