"""What every benchmark shares: its options, its table, its claims, its real scans."""

import argparse
import json
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from napari_apprentice.store.runs import RunFolder

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]


def options(text: str) -> argparse.ArgumentParser:
    """The options every benchmark takes."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--quick", action="store_true", help="done within 5 minutes on 2 cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write table and claims there as well")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def real_scans(name: str) -> Path:
    """A folder of real scans: below $APPRENTICE_DATA, or beside the checkout; ends the program without it."""
    folder = Path(os.environ.get("APPRENTICE_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        sys.exit(f"{folder} is not there: set APPRENTICE_DATA to the folder that holds {name}.")
    return folder


def scan_names(folder: Path) -> list[str]:
    """File names of a Decathlon folder's scans, sorted."""
    return sorted(p.name for p in (folder / "imagesTr").glob("*.nii.gz") if not p.name.startswith("."))


def curve(run: RunFolder) -> list[dict[str, float | None]]:
    """Loss and held-out Dice of a training run, by step."""
    points = [e for e in run.events()[0] if e["event"] == "progress" and e.get("loss") is not None]
    return [{"step": e["done"], "loss": e["loss"], "dice": e.get("dice")} for e in points]


def drain(work: Generator[Any, None, T]) -> T:
    """Run a generator verb to its end and return its value."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


@dataclass
class Result:
    """A table and the claims drawn from it."""

    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    claims: dict[str, float | str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def show(self, json_file: Path | None) -> None:
        """Print the table, then one `name: figure` line per claim; write the same as JSON if asked."""
        cells = [[_text(c) for c in row] for row in (self.columns, *self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        for row in cells:
            print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
        for name, figure in self.claims.items():
            print(f"{name}: {_text(figure)}")
        if json_file is not None:
            facts = {"columns": self.columns, "rows": self.rows, "claims": self.claims, **self.extra}
            json_file.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
