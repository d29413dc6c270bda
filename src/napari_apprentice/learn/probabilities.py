"""What is done to a cell when every window over it was added: from logits to the probabilities that matter."""

from collections.abc import Sequence
from itertools import combinations

import torch

from napari_apprentice.errors import NoNumbersError

# Labels that nowhere in a cell are likelier than this are left out there. They cannot win, and 117 of them
# change the entropy by less than a tenth of the step it is stored in.
NEGLIGIBLE = 1e-6


def mean_probabilities(logits: Sequence[torch.Tensor], temperatures: tuple[float, ...]) -> torch.Tensor:
    """(1 + labels, ...) mean softmax over models; their `logits`, (1 + labels, ...) each, are overwritten."""
    for member, temperature in zip(logits, temperatures, strict=True):
        if temperature != 1:
            member /= temperature
        member -= member.amax(0)
        member.exp_()
        member /= member.sum(0)
    return logits[0] if len(logits) == 1 else torch.stack(tuple(logits)).mean(0)


def largest(probabilities: torch.Tensor) -> torch.Tensor:
    """(rows,) how likely each of (rows, ...) is where it is likeliest."""
    return probabilities.flatten(1).amax(1)


def likely(most: torch.Tensor) -> tuple[int, ...]:
    """The rows that are not negligible everywhere, from what `largest` says of a cell; on the CPU.

    Raises
    ------
    NoNumbersError
        Some are no numbers: what is NaN would pass for background that is certain.
    """
    if bool(most.isnan().any()):
        raise NoNumbersError(
            "The model gives no numbers (NaN) in a part of this scan, so nothing was proposed: its weights are broken, "
            "or numbers became too large. Try without half precision, or another model version."
        )
    return tuple((most >= NEGLIGIBLE).nonzero().flatten().tolist())


class Agreement:
    """Pairwise Dice of several models on the network's grid, label by label (arXiv 2406.03323)."""

    def __init__(self, models: int, rows: int, device: torch.device) -> None:
        self._models, self._rows = models, rows
        self._sizes = torch.zeros(models, rows, dtype=torch.int64, device=device)
        self._shared = torch.zeros(models, models, rows, dtype=torch.int64, device=device)

    def add(self, logits: Sequence[torch.Tensor]) -> None:
        """Count one part of the scan, each voxel of it once; (rows, ...) logits of each model."""
        votes = [m.argmax(0).flatten() for m in logits]
        for a, vote in enumerate(votes):
            self._sizes[a] += self._counted(vote)
        for a, b in combinations(range(self._models), 2):
            self._shared[a, b] += self._counted(torch.where(votes[a] == votes[b], votes[a], self._rows))

    def _counted(self, vote: torch.Tensor) -> torch.Tensor:
        """(rows,) how often each row is voted for; what is no row is left out."""
        if vote.device.type == "cpu":
            return torch.bincount(vote, minlength=self._rows + 1)[: self._rows]
        return (vote == torch.arange(self._rows, device=vote.device)[:, None]).sum(1)  # bincount waits for a GPU

    def dice(self) -> dict[int, float]:
        """Mean over pairs, for each row that some model found; row 0 is left out."""
        found, sizes, shared = {}, self._sizes.tolist(), self._shared.tolist()
        for row in range(1, self._rows):
            scores = [
                2 * shared[a][b][row] / (sizes[a][row] + sizes[b][row])
                for a, b in combinations(range(self._models), 2)
                if sizes[a][row] + sizes[b][row] > 0
            ]
            if scores:
                found[row] = sum(scores) / len(scores)
        return found


class Confidence:
    """Soft-Dice confidence, 2 sum(p y) / (sum(p) + sum(y)), arXiv 2402.10665."""

    def __init__(self, rows: int) -> None:
        self._agreed, self._expected, self._found = ([0.0] * rows for _ in range(3))

    def add(self, row: int, expected: float, found: float, agreed: float) -> None:
        """Count a row in one part of the scan: sum(p), sum(y) and sum(p y)."""
        self._expected[row] += expected
        self._found[row] += found
        self._agreed[row] += agreed

    def dice(self) -> dict[int, float]:
        """For each row found anywhere; row 0 is left out. Rounded, so that the order of parts does not show."""
        counts = zip(self._agreed, self._expected, self._found, strict=True)
        return {i: round(2 * a / (e + f), 6) for i, (a, e, f) in enumerate(counts) if i and f > 0}
