"""The real program, killed again and again at random moments; what it acknowledged must be there afterwards.

One parent imports everything and forks a child for every round, so that a round costs no start of an
interpreter. It reads no voxel itself: threads of zarr would not survive the fork. The child says on a pipe
what it is about to do and, after the program returned, that it is done. A model of its own, plain numpy, says
what must be on disk after the kill: the state after the last thing acknowledged, or after the one that was
under way.

Run it: python tests/crash.py STUDY --rounds 300 --seed 0. The study must be fresh. Prints facts as JSON. With
--filler the study's disk is full for a part of most rounds.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_apprentice.core.correction import ACCEPTED, EDITED, UNSEEN
from napari_apprentice.errors import StorageError
from napari_apprentice.session import Session
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

LONGEST = 0.4  # seconds from the fork to the kill
VERBS = ("stroke",) * 48 + ("undo",) * 16 + ("redo",) * 10 + ("accept",) * 4 + ("open",) * 3 + ("save",)
Action = dict[str, Any]
State = tuple[np.ndarray, np.ndarray]  # labels and status, never changed in place


@dataclass
class Believed:
    """What must be on disk of one case."""

    now: State
    done: list[tuple[State, State]] = field(default_factory=list)
    undone: list[tuple[State, State]] = field(default_factory=list)
    journal: list[tuple[str, State, State]] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        return {"digest": digest(*self.now), "unsaved": len(self.journal), "revisions": self.revisions}

    def act(self, action: Action) -> None:
        """The action's outcome, worked out without the program."""
        verb, before = action["verb"], self.now
        if verb == "save":
            self.revisions.append(digest(*self.now))
            self.journal.clear()
        elif verb in ("undo", "redo"):
            source, target = (self.done, self.undone) if verb == "undo" else (self.undone, self.done)
            if source:
                target.append(source.pop())
                self.now = target[-1][0 if verb == "undo" else 1]
                self.journal.append((verb, before, self.now))
        elif (after := changed(before, action)) is not None:
            self.done.append((before, after))
            self.undone.clear()
            self.now = after
            self.journal.append((verb, before, after))


def changed(state: State, action: Action) -> State | None:
    labels, status = (array.copy() for array in state)
    if action["verb"] == "accept":
        part = status[action["index"]]
        part[part == UNSEEN] = ACCEPTED
    elif action["verb"] == "stroke":
        box = box_of(action)
        before = labels[box].copy()
        labels[box] = painted(before, action)
        status[box][before != labels[box]] = EDITED
    same = np.array_equal(labels, state[0]) and np.array_equal(status, state[1])
    return None if same else (labels, status)


def box_of(action: Action) -> tuple[slice, slice, slice]:
    z, y, x = (slice(start, start + size) for start, size in zip(action["start"], action["size"], strict=True))
    return z, y, x


def painted(before: np.ndarray, action: Action) -> np.ndarray:
    brush = np.random.default_rng(action["brush"]).random(before.shape) < 0.7
    return np.where(brush, np.uint8(action["label"]), before)


def actions(chance: random.Random, cases: list[str], shape: tuple[int, ...]) -> Iterator[Action]:
    yield {"verb": "open", "case": chance.choice(cases)}
    while True:
        action: Action = {"verb": chance.choice(VERBS)}
        if action["verb"] == "open":
            action["case"] = chance.choice(cases)
        elif action["verb"] == "accept":
            action["index"] = chance.randrange(shape[0])
        elif action["verb"] == "stroke":
            size = [chance.randint(1, n) for n in shape]
            start = [chance.randint(0, n - s) for n, s in zip(shape, size, strict=True)]
            action |= {"size": size, "start": start, "label": chance.randint(0, 2), "brush": chance.getrandbits(32)}
        yield action


# ------------------------------------------------------------------- children


def work(path: Path, chance: random.Random, cases: list[str], shape: tuple[int, ...], pipe: int) -> None:
    """Correct until killed."""
    session = Session("crash test")
    session.open_study(path)
    for action in actions(chance, cases, shape):
        os.write(pipe, json.dumps(action).encode() + b"\n")
        os.write(pipe, b"done\n" if done(session, action) else b"refused\n")


def done(session: Session, action: Action) -> bool:
    """One action through the program, durable when this returns; False when a full disk refused to store a revision."""
    try:
        perform(session, action)
    except StorageError:
        if action["verb"] == "save" and session.case.unsaved:
            return False
        if session.case.unwritten:
            raise  # the rescue journal takes it: that is on another disk
    return True


def perform(session: Session, action: Action) -> None:
    verb = action["verb"]
    if verb == "open":
        session.show_case(session.load_case(action["case"]))
        return
    case = session.case
    if case is None:
        raise RuntimeError("no case is open")
    if verb == "stroke":
        box = box_of(action)
        before = case.canvas.labels[box].copy()
        case.canvas.labels[box] = painted(before, action)  # as a paint tool does
        session.record(box, before, case.canvas.labels[box].copy())
    elif verb == "accept":
        session.accept_slice(0, action["index"])
    else:
        {"undo": session.undo, "redo": session.redo, "save": session.save}[verb]()
    case.flush()


def look(path: Path, cases: list[str]) -> dict[str, Any]:
    """What a person finds who opens the study again."""
    faults = [found.text for found in drain(check(path))]
    study, session = Study.open(path), Session("crash test")
    session.open_study(path)
    found: dict[str, Any] = {}
    for case_id in cases:
        case = session.load_case(case_id)
        found[case_id] = {
            "digest": digest(case.canvas.labels, case.canvas.status),
            "unsaved": case.unsaved,
            "revisions": [study.revisions.info(case_id, name).digest for name in study.revisions.names(case_id)],
        }
    return {"faults": faults, "cases": found}


def drain(work: Any) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def forked(target: Any) -> tuple[int, int]:
    """Start `target(pipe)` in a forked child; its process id and the pipe's end to read from."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    code = 1
    try:
        target(writing)
        code = 0
    except BaseException as error:  # noqa: BLE001 - it must not run on as a second parent
        os.write(writing, b"failed: " + repr(error).encode() + b"\n")
    finally:
        os._exit(code)


def everything(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as file:
        return file.read()


# --------------------------------------------------------------------- rounds


class Filler:
    """A file that leaves a small disk hardly any room.

    Parameters
    ----------
    path
        Where to put it: on the disk of the study.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, room: int) -> None:
        """Leave so many bytes."""
        with self.path.open("wb", buffering=0) as file:
            for size in (2**20, 2**16, 2**12):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
            file.truncate(max(0, file.tell() - room))

    def free(self) -> None:
        """Give all of it back."""
        self.path.unlink(missing_ok=True)


class Rounds:
    """Kills, looks, compares.

    Parameters
    ----------
    path, seed
        A fresh study; what chance begins with.
    filler
        Fills the study's disk in two rounds of three; None to leave it alone.
    """

    def __init__(self, path: Path, seed: int, filler: Filler | None = None) -> None:
        self.path = path
        self.filler = filler
        self.chance = random.Random(seed)
        cases = Study.open(path).cases
        self.cases = list(cases.ids())
        self.shape = cases.info(self.cases[0]).shape
        empty = np.zeros(self.shape, np.uint8)
        self.believed = {case_id: Believed((empty, empty)) for case_id in self.cases}
        self.acknowledged: Counter[str] = Counter()
        self.killed_in: Counter[str] = Counter()
        self.refused = self.full = 0
        self.wrong: list[str] = []

    def run(self, rounds: int) -> None:
        for number in range(rounds):
            lines = self._killed_child()
            states = self._follow(lines, number)
            self._compare(states, number)

    def _killed_child(self) -> list[str]:
        chance = random.Random(self.chance.getrandbits(32))
        child, pipe = forked(lambda out: work(self.path, chance, self.cases, self.shape, out))
        self._wait()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if self.filler is not None:
            self.filler.free()
        return everything(pipe).decode().splitlines()

    def _wait(self) -> None:
        """Until the kill; the disk may become full meanwhile, and have room again."""
        parts = sorted(self.chance.uniform(0, LONGEST) for _ in range(3))
        if self.filler is None or self.chance.random() < 1 / 3:
            time.sleep(parts[1])
            return
        time.sleep(parts[0])
        self.filler.fill(self.chance.randrange(0, 40) * 1024)
        self.full += 1
        time.sleep(parts[1] - parts[0])
        if self.chance.random() < 0.5:
            self.filler.free()
        time.sleep(parts[2] - parts[1])

    def _follow(self, lines: list[str], number: int) -> list[dict[str, Believed]]:
        """States that may be on disk now: after the last thing acknowledged, or with what was under way."""
        if lines and lines[-1].startswith("failed"):
            self.wrong.append(f"round {number}: the program stopped by itself, {lines.pop()}")
        while "refused" in lines:
            at = lines.index("refused")
            del lines[at - 1 : at + 1]
            self.refused += 1
        begun = [json.loads(line) for line in lines if line != "done"]
        under_way = begun.pop() if lines and lines[-1] != "done" else None
        case_id = ""
        for action in begun:
            case_id = self._act(self.believed, case_id, action)
            self.acknowledged[action["verb"]] += 1
        self.killed_in[under_way["verb"] if under_way else "nothing"] += 1
        states = [self.believed]
        if under_way and under_way["verb"] != "open":
            states.append(deepcopy(self.believed))
            self._act(states[1], case_id, under_way)
            if under_way["verb"] == "save":  # the revision is there, its strokes are still in the journal too
                states.append(deepcopy(states[1]))
                states[2][case_id].journal = list(self.believed[case_id].journal)
        return states

    def _act(self, believed: dict[str, Believed], case_id: str, action: Action) -> str:
        if action["verb"] == "open":
            return str(action["case"])  # undo and redo go on where they were, behind revisions too
        believed[case_id].act(action)
        return case_id

    def _compare(self, states: list[dict[str, Believed]], number: int) -> None:
        child, pipe = forked(lambda out: os.write(out, json.dumps(look(self.path, self.cases)).encode()) and None)
        text = everything(pipe).decode()
        os.waitpid(child, 0)
        if not text.startswith("{"):
            self.wrong.append(f"round {number}: the study cannot be opened again, {text}")
            return
        found = json.loads(text)
        self.wrong += [f"round {number}: check says: {fault}" for fault in found["faults"]]
        for state in states:
            if {case_id: b.facts for case_id, b in state.items()} == found["cases"]:
                self.believed = state
                return
        expected = [{case_id: b.facts for case_id, b in state.items()} for state in states]
        self.wrong.append(f"round {number}: found {found['cases']}, expected one of {expected}")

    def facts(self) -> dict[str, Any]:
        changes = sum(n for verb, n in self.acknowledged.items() if verb not in ("open", "save"))
        return {
            "rounds": sum(self.killed_in.values()),
            "changes acknowledged": changes,
            "saves acknowledged": self.acknowledged["save"],
            "killed in": dict(self.killed_in.most_common()),
            **({"rounds on a full disk": self.full, "saves refused": self.refused} if self.filler else {}),
            "wrong": self.wrong,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--filler", type=Path, help="file to fill the study's disk with, which must be a small one")
    options = parser.parse_args()
    rounds = Rounds(options.study, options.seed, Filler(options.filler) if options.filler else None)
    began = time.monotonic()
    rounds.run(options.rounds)
    facts = rounds.facts() | {"seconds": round(time.monotonic() - began, 1)}
    sys.stdout.write(json.dumps(facts) + "\n")
    return 1 if rounds.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
