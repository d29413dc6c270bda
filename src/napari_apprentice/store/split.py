"""Which subjects models learn from and which they are only measured on; decided once, kept for good."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_apprentice.core.records import now
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.store.ledger import Ledger
from napari_apprentice.store.vault import PLAIN, Vault

TRAIN, VALIDATION = "train", "validation"
SIDES = (TRAIN, VALIDATION)


@dataclass(frozen=True)
class Move:
    """A subject that a person put on the other side: to which one, why, who and when (UTC)."""

    subject: str
    side: str
    reason: str
    author: str
    time: str


class Split:
    """The ledger of sides; a subject keeps its side in every run.

    Parameters
    ----------
    path
        The study's split.jsonl.
    vault
        The study's.
    """

    def __init__(self, path: Path, vault: Vault = PLAIN) -> None:
        self.ledger = Ledger(path, vault)

    def side(self, subject: str) -> str | None:
        """Side of a subject, "train" or "validation"; None when it was never assigned."""
        return self.sides().get(subject)

    def sides(self) -> Mapping[str, str]:
        """Every assigned subject and its side, in order of arrival."""
        sides: dict[str, str] = {}
        for number, record in enumerate(self.ledger.read(), 1):
            subject, side = record.get("subject"), record.get("side")
            if not isinstance(subject, str) or side not in SIDES:
                raise StudyError(f"split.jsonl is damaged in line {number}: it assigns no subject.")
            # Of two writers whom no lock keeps apart and who met a new subject at once, the first one counts.
            if record.get("moved") or subject not in sides:
                sides[subject] = side
        return sides

    def validation(self) -> frozenset[str]:
        """Subjects that models are only measured on."""
        return frozenset(s for s, side in self.sides().items() if side == VALIDATION)

    def ever_taught(self) -> frozenset[str]:
        """Subjects that were on the train side at some time, wherever they are now; nobody learned from the others."""
        return frozenset(str(r["subject"]) for r in self.ledger.read() if r.get("side") == TRAIN and "subject" in r)

    def assign(self, subject: str, *, side: str | None = None) -> str:
        """Give a new subject its side; one that has a side keeps it.

        Without `side`, of the subjects in order of arrival every fifth from the third on goes to
        validation (3rd, 8th, 13th ...): two to learn from first, then one to prove it on, one in five after.

        Parameters
        ----------
        side
            "train" or "validation", for a new subject only.

        Returns
        -------
        The subject's side.

        Raises
        ------
        InputError
            An unknown side, or another one than the subject has.
        """
        if side is not None:
            _check(side)
        sides = self.sides()
        if subject not in sides:
            self.ledger.append_decided(lambda: self._line_of(subject, side))
            sides = self.sides()
        if side is not None and sides[subject] != side:
            raise InputError(f"Subject {subject} is on the {sides[subject]} side already; move it with a reason.")
        return sides[subject]

    def _line_of(self, subject: str, side: str | None) -> dict[str, str] | None:
        """The line of a new subject; None where another process has written one since."""
        sides = self.sides()
        side = side or (VALIDATION if (len(sides) + 1) % 5 == 3 else TRAIN)
        return None if subject in sides else {"subject": subject, "side": side, "time": now()}

    def move(self, subject: str, side: str, reason: str, author: str = "") -> None:
        """Put a subject on the other side; the ledger keeps that, who did it and why.

        Raises
        ------
        InputError
            An unknown side, no reason, or a subject that was never assigned or is on that side already.
        """
        _check(side)
        now_on = self.side(subject)
        if now_on is None:
            raise InputError(f"Subject {subject} has no side yet; it gets one with its first revision.")
        if now_on == side:
            raise InputError(f"Subject {subject} is on the {side} side already.")
        if not reason.strip():
            raise InputError(f"Say why subject {subject} is moved; the reason is kept with the split.")
        self.ledger.append(
            {"subject": subject, "side": side, "moved": True, "reason": reason.strip(), "author": author, "time": now()}
        )

    def moves(self) -> tuple[Move, ...]:
        """Every time a person moved a subject, oldest first."""
        moved = [r for r in self.ledger.read() if r.get("moved")]
        return tuple(
            Move(*(str(r.get(key, "")) for key in ("subject", "side", "reason", "author", "time"))) for r in moved
        )


def _check(side: str) -> None:
    if side not in SIDES:
        raise InputError(f"A side is train or validation, not {side!r}.")
