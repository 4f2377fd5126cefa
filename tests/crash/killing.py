"""Kills processes that use one store at random instants, and looks whether they lied.

    python tests/crash/killing.py FOLDER ROUNDS SEED

Workers save, resume, collect and check; each writes what was acknowledged to it into a file outside
the store, in one `write` that the kernel completes whoever dies. After each round, with everybody
dead, the store is compared with what was acknowledged. Prints every lie; exits with 1 if there was
one.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.fsck.check import check
from maverick.checkpoints.gc import sweep
from maverick.errors import NotFound, ObjectMissing, RunConflict

assert sweep  # imported once, before processes are forked

WORKERS, KILLS = 4, 4
RUNS = 6


def text_of(run: str, sequence: int) -> bytes:
    """What a run stores at its save number *sequence*: much of it others store as well."""
    return f"part {sequence % 7} of all runs\n".encode() * 60 + (
        run.encode() if sequence % 3 else b""
    )


@dataclass(frozen=True)
class Told:
    """What was acknowledged of a run last; gc may take it once it `ends`."""

    sequence: int = 0
    checkpoint: str = ""
    ends: bool = False


class Worker:
    """One process: does what comes to its mind until it is killed."""

    def __init__(self, root: Path, log: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._root = root
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._seed = seed

    def work(self) -> None:
        actions: list[Callable[[], None]] = (
            [self._run] * 6 + [self._collect, self._look] * 2 + [self._check, self._seal]
        )
        while True:
            try:
                self._random.choice(actions)()
            except (RunConflict, NotFound):  # somebody else was faster
                continue

    def _run(self) -> None:
        """Go on with a run, or begin it; now and then bring it to its end, or drop it."""
        store = Store.open(self._root)
        run = f"run-{self._random.randrange(RUNS)}"
        try:
            with store.own(run):
                self._advance(store, run)
        except ObjectMissing as error:
            self._lie(f"{run} cannot go on: {error}")

    def _advance(self, store: Store, run: str) -> None:
        ref = store.find_ref(run)
        at = store.checkpoint(ref.checkpoint) if ref is not None else None
        if at is not None and at.kind == "final":
            return
        if at is not None:
            self._compare(store, at)
        for _ in range(self._random.randrange(1, 6)):
            sequence = at.sequence + 1 if at is not None else 1
            last = sequence > 20
            kind = "final" if last else "label" if sequence % 5 == 0 else "auto"
            if last:
                self._tell(f"ends {run}")
            at = store.save(
                run,
                {
                    ("texts", str(sequence)): blob(text_of(run, sequence)),
                    ("last",): value(sequence),
                },
                parent=at,
                kind=kind,  # type: ignore[arg-type]
                label=f"at {sequence}" if kind == "label" else "",
                group="fly",
            )
            self._tell(f"saved {run} {at.sequence} {at.id}")
            if last:
                return

    def _collect(self) -> None:
        """Collect, of the runs that are done all."""
        Store.open(self._root).plan_gc(keep_last=0).execute()

    def _seal(self) -> None:
        """Seal what others have left open."""
        Store.open(self._root).appender.seal_all()

    def _look(self) -> None:
        """Read any checkpoint of any log; of a run that is done it may be gone."""
        store = Store.open(self._root)
        refs = store.refs()
        if refs:
            ref = self._random.choice(refs)
            position = self._random.choice(ref.positions)
            try:
                self._compare(store, store.checkpoint(position.checkpoint))
            except (ObjectMissing, NotFound):
                return

    def _check(self) -> None:
        for finding in check(self._root):
            if finding.severity == "error":
                self._lie(f"fsck: {finding.message}")

    def _compare(self, store: Store, at: Checkpoint) -> None:
        for problem in problems(store, at):
            self._lie(problem)

    def _tell(self, line: str) -> None:
        os.write(self._log, f"{line}\n".encode())

    def _lie(self, text: str) -> None:
        self._tell(f"lie {text}")


def problems(store: Store, at: Checkpoint) -> Iterator[str]:
    """Say where a checkpoint is not what was saved."""
    found = store.snapshot(at)
    if found.value("last") != at.sequence:
        yield f"{at.run} {at.sequence} says that it is {found.value('last')!r}"
    if found.names("texts") != sorted(str(number) for number in range(1, at.sequence + 1)):
        yield f"{at.run} {at.sequence} holds {found.names('texts')}"
    for name in found.names("texts"):
        if found.data(("texts", name)) != text_of(at.run, int(name)):
            yield f"{at.run} {at.sequence} holds wrong bytes at {name}"


def main(folder: Path, rounds: int, seed: int) -> int:
    """Kill for so many rounds; gives the number of lies."""
    root, log = folder / "store", folder / "log"
    Store.create(root)
    log.touch()
    source = random.Random(seed)
    known = 0
    for number in range(rounds):
        kill_for_a_while(root, log, source)
        told, lies = read_log(log)
        found = [*lies[known:], *judge(root, told)]
        if found:
            sys.stdout.writelines(f"round {number} of seed {seed}: {it}\n" for it in found)
            return len(found)
        known = len(lies)
    saves = sum(line.startswith("saved") for line in log.read_text().splitlines())
    sys.stdout.write(f"{rounds} rounds, {saves} acknowledged saves\n")
    return 0


def kill_for_a_while(root: Path, log: Path, source: random.Random) -> None:
    """Let workers work; kill one after the other as they are at it, replacing some; leave none
    alive.
    """
    workers = [start(root, log, source.randrange(1 << 30)) for _ in range(WORKERS)]
    try:
        for _ in range(KILLS):
            wait_for_growth(log, source.randrange(400), seconds=0.3)
            end(workers.pop(source.randrange(len(workers))))
            workers.append(start(root, log, source.randrange(1 << 30)))
    finally:
        for pid in workers:
            end(pid)


def wait_for_growth(log: Path, by: int, *, seconds: float) -> None:
    """Wait until a log has so many more bytes, or for so long: they may all be collecting."""
    until, size = time.monotonic() + seconds, log.stat().st_size + by
    while log.stat().st_size < size and time.monotonic() < until:
        time.sleep(0.001)


def end(pid: int) -> None:
    """Kill a worker, wherever it is."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def start(root: Path, log: Path, seed: int) -> int:
    """Start a worker in a process of its own; gives its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        Worker(root, log, seed).work()
    except BaseException:  # noqa: BLE001 - whatever it is, a worker should not meet it
        text = traceback.format_exc().replace("\n", " | ")
        os.write(os.open(log, os.O_WRONLY | os.O_APPEND), f"lie {text}\n".encode())
    finally:
        os._exit(0)


def judge(root: Path, told: dict[str, Told]) -> Iterator[str]:
    """Compare the store with what was acknowledged, while nobody uses it."""
    yield from (
        f"fsck: {it.message}" for it in check(root, read_data=True) if it.severity == "error"
    )
    store = Store.open(root)
    refs = {ref.run: ref for ref in store.refs()}
    for run, last in told.items():
        ref = refs.get(run)
        if not last.ends:
            if ref is None or ref.sequence < last.sequence:
                yield f"{run} stands at {ref and ref.sequence}; acknowledged was {last.sequence}"
            elif last.checkpoint not in {it.checkpoint for it in ref.positions}:
                yield f"{run} does not know its acknowledged checkpoint {last.sequence}"
    for ref in refs.values():
        for position in ref.positions:
            yield from problems(store, store.checkpoint(position.checkpoint))


def read_log(log: Path) -> tuple[dict[str, Told], list[str]]:
    """Give what was acknowledged of each run, and the lies. A run that went and began anew is as
    told last.
    """
    told: dict[str, Told] = {}
    lies: list[str] = []
    for line in log.read_text().splitlines():
        what, _, rest = line.partition(" ")
        if what == "saved":
            run, sequence, checkpoint = rest.split()
            began_anew = int(sequence) <= told.get(run, Told()).sequence
            told[run] = Told(
                int(sequence), checkpoint, ends=told.get(run, Told()).ends and not began_anew
            )
        elif what == "ends":
            told[rest] = replace(told.get(rest, Told()), ends=True)
        else:
            lies.append(rest)
    return told, lies


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
