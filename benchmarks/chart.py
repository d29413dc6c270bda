"""A line chart as SVG, so that the docs can show a benchmark's curve without another library."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, BELOW = 640, 300, 48, 36
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def line_chart(path: Path, title: str, x: str, y: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Write a chart; `lines` maps a name to its (x, y) points."""
    points = [p for line in lines.values() for p in line]
    x_end = max(p[0] for p in points)
    low, high = min(0.0, *(p[1] for p in points)), max(p[1] for p in points)

    def place(point: tuple[float, float]) -> str:
        across = LEFT + point[0] / x_end * (WIDTH - LEFT - 12)
        down = HEIGHT - BELOW - (point[1] - low) / (high - low) * (HEIGHT - BELOW - 28)
        return f"{across:.1f},{down:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"',
        ' font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="16" font-size="14">{title}</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}">{x}</text><text x="4" y="30">{y}</text>',
    ]
    for tick in range(6):
        value = low + (high - low) * tick / 5
        down = float(place((0, value)).split(",")[1])
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{down}" y2="{down}" stroke="#ddd"/>')
        parts.append(f'<text x="8" y="{down + 4}">{value:.2f}</text>')
        across = float(place((x_end * tick / 5, low)).split(",")[0])
        parts.append(f'<text x="{across - 10:.0f}" y="{HEIGHT - BELOW + 16}">{x_end * tick / 5:.0f}</text>')
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        path_points = " ".join(place(p) for p in line)
        parts.append(f'<polyline points="{path_points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{WIDTH - 200}" y="{44 + 16 * list(lines).index(name)}" fill="{colour}">{name}</text>')
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def main() -> None:
    """Draw the curves that a benchmark wrote with --json: `python benchmarks/chart.py RESULT.json OUT.svg`."""
    result, out = Path(sys.argv[1]), Path(sys.argv[2])
    curves = json.loads(result.read_text(encoding="utf-8"))["curves"]
    lines = {}
    for name, curve in zip(("first model", "fine-tune"), curves, strict=False):
        lines[f"{name}: loss"] = [(p["step"], p["loss"]) for p in curve]
        lines[f"{name}: held-out Dice"] = [(p["step"], p["dice"]) for p in curve if p["dice"] is not None]
    line_chart(out, result.stem, "step", "loss and Dice", lines)


if __name__ == "__main__":
    main()
