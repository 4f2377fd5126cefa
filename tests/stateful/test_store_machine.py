"""A store used in any order by two `Store` objects at once, against a plain dictionary.

The dictionary knows what every checkpoint that was ever acknowledged holds, and where each run
stands. Whatever happens, a checkpoint that loads is what it was; what the refs name loads; and
nothing that was promised is lost, except by damage, and then only what the damage hit.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from kit.faults import CountingFiles, Killed, kill
from kit.stores import read_all
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.trees.checkpoint import NO_CHECKPOINT
from maverick.errors import RefMoved, UsageError

Holds = dict[str, bytes]
"""What a checkpoint holds: the bytes at each path."""

either = st.integers(0, 1)
number = st.integers(0, 50)
ends = st.sampled_from(["leave", "kill", "seal"])
paths = st.sampled_from(["a", "b", "wide/1", "wide/2"])
# Few of them, so that much is stored already; one grows, so that it is like what was there before.
SMALL = [b"x" * 700, b"y" * 700, b"x" * 700 + b"and more", b"z" * 3, b""]
# One that is a single chunk, and ones of so many that they are listed in lists.
MANY_CHUNKS = random.Random(0).randbytes(1_200_000)
CONTENTS = [*SMALL, *SMALL, b"x" * 150_000, MANY_CHUNKS, MANY_CHUNKS + b"and more"]


def content(position: int) -> bytes:
    """Give one of the contents. (Hypothesis keeps the text of what it chooses from for each
    step.)
    """
    return CONTENTS[position]


contents = st.sampled_from(range(len(CONTENTS))).map(content)


class HookedFiles(CountingFiles):
    """Does something else ahead of one of its operations, as another process might."""

    def __init__(self) -> None:
        super().__init__()
        self._hook: tuple[int, Callable[[], None]] | None = None

    @contextmanager
    def hooked(self, after: int, hook: Callable[[], None]) -> Iterator[None]:
        """Do *hook* ahead of operation number *after* from now on, or at the end if there are
        fewer.
        """
        self._hook = len(self.done) + after, hook
        yield
        if self._hook is not None:
            self._hook = None
            hook()

    def before(self, operation: str) -> None:
        if self._hook is not None and len(self.done) >= self._hook[0]:
            _, hook = self._hook
            self._hook = None
            hook()
        super().before(operation)


@dataclass
class Run:
    """Where a run stands."""

    newest: Checkpoint
    holds: Holds
    done: bool = False
    tags: dict[str, Checkpoint] = field(default_factory=dict)


class StoreMachine(RuleBasedStateMachine):
    """With locks that work."""

    locked = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="maverick-machine-"))
        self.root = self.folder / "store"
        self.now = 1_000_000_000_000
        # Else the order of packs, and so what is damaged, would be another one each time.
        self.patches = [mock.patch.object(os, "urandom", self.not_random)]
        if not self.locked:
            self.patches.append(mock.patch.object(fcntl, "flock"))
        for patch in self.patches:
            patch.start()
        Store.create(self.root, files=CountingFiles())
        (self.root / "reserve").write_bytes(b"small")
        self.stores = [self.open(), self.open()]
        self.runs: dict[str, Run] = {}
        self.held: dict[str, Holds] = {}
        self.count = 0

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()
        shutil.rmtree(self.folder)

    def not_random(self, count: int) -> bytes:
        self.now += 1
        return blake3(str(self.now).encode()).digest(length=count)

    def open(self) -> Store:
        return Store.open(self.root, files=HookedFiles(), clock=self.clock)

    def clock(self) -> int:
        self.now += 1
        return self.now

    def pick(self, choice: int, *, done: bool | None = None) -> str | None:
        """One of the runs."""
        names = [name for name, run in self.runs.items() if done is None or run.done is done]
        return names[choice % len(names)] if names else None

    # --- saving ---

    @rule(which=either, path=paths, data=contents, labelled=st.booleans())
    def start(self, which: int, path: str, data: bytes, labelled: bool) -> None:
        self.begin(self.stores[which], path, data, labelled=labelled)

    def begin(self, store: Store, path: str, data: bytes, *, labelled: bool = False) -> None:
        self.count += 1
        kind = {"kind": "label", "label": "first"} if labelled else {}
        name = f"r{self.count}"
        at = store.save(
            name,
            {tuple(path.split("/")): blob(data)},
            parent=None,
            group=f"g{self.count % 2}",
            **kind,
        )
        self.acknowledge(name, at, {path: data})

    @rule(
        which=either,
        choice=number,
        path=paths,
        data=contents,
        label=st.sampled_from(["", "", "one", "two"]),
    )
    def save(self, which: int, choice: int, path: str, data: bytes, label: str) -> None:
        name = self.pick(choice, done=False)
        if name is not None:
            self.save_on(self.stores[which], name, path, data, label)

    def save_on(self, store: Store, name: str, path: str, data: bytes, label: str = "") -> None:
        run = self.runs[name]
        removes = run.holds.get(path) == data
        change = {tuple(path.split("/")): None if removes else blob(data)}
        kind = {"kind": "label", "label": label} if label else {}
        at = store.save(name, change, parent=run.newest, **kind)
        holds = {key: it for key, it in run.holds.items() if key != path}
        self.acknowledge(name, at, holds if removes else {**holds, path: data})

    @rule(which=either, choice=number, path=paths, data=contents, saves=st.integers(1, 3), end=ends)
    def save_while_owning(
        self, which: int, choice: int, path: str, data: bytes, saves: int, end: str
    ) -> None:
        """Each save is appended; the process leaves the run in the end, or is killed."""
        name = self.pick(choice, done=False)
        if name is not None:
            with suppress(Killed), self.stores[which].own(name):
                for _ in range(saves):
                    self.save_on(self.stores[which], name, path, data)
                if end == "kill":
                    kill()
            if end == "kill":  # It was all of this process.
                self.stores = [self.open(), self.open()]
            if end == "seal":
                self.stores[1 - which].appender.seal_all()

    @rule(which=either, choice=number)
    def finish(self, which: int, choice: int) -> None:
        name = self.pick(choice, done=False)
        if name is not None:
            run = self.runs[name]
            data = b"what came of it"
            at = self.stores[which].save(
                name, {("output",): blob(data)}, parent=run.newest, kind="final"
            )
            self.acknowledge(name, at, {**run.holds, "output": data})
            self.runs[name].done = True

    @rule(which=either, choice=number, back=st.integers(1, 3))
    def save_on_an_old_one(self, which: int, choice: int, back: int) -> None:
        """It is refused; nothing moves."""
        name = self.pick(choice)
        if name is not None:
            positions = self.stores[which].ref(name).positions[:-1]
            if positions:
                old = self.stores[which].checkpoint(
                    positions[-min(back, len(positions))].checkpoint
                )
                with pytest.raises(RefMoved):
                    self.stores[which].save(name, {("a",): value(1)}, parent=old)

    @rule(which=either, choice=number, back=st.integers(0, 4))
    def fork(self, which: int, choice: int, back: int) -> None:
        """From any position of a log: what stands there is whole."""
        name = self.pick(choice)
        if name is not None:
            positions = self.stores[which].ref(name).positions
            at = self.stores[which].checkpoint(
                positions[-1 - min(back, len(positions) - 1)].checkpoint
            )
            self.count += 1
            new = self.stores[which].save(f"r{self.count}", {}, parent=at)
            self.acknowledge(f"r{self.count}", new, self.held[at.id])

    def acknowledge(self, name: str, at: Checkpoint, holds: Holds) -> None:
        self.held[at.id] = holds
        if name in self.runs:
            self.runs[name].newest, self.runs[name].holds = at, holds
        else:
            self.runs[name] = Run(at, holds)

    # --- looking ---

    @rule(which=either, choice=number)
    def resume(self, which: int, choice: int) -> None:
        name = self.pick(choice)
        if name is not None:
            store = self.stores[which]
            assert (
                self.runs[name].newest == store.resolve(name) == store.newest_whole(name).checkpoint
            )
            self.assert_holds(store, self.runs[name].newest)

    @rule(which=either)
    def reopen(self, which: int) -> None:
        self.stores[which] = self.open()

    @rule(read_data=st.booleans())
    def fsck(self, read_data: bool) -> None:
        assert [] == [
            it for it in self.stores[0].check(read_data=read_data) if it.severity == "error"
        ]

    def assert_holds(self, store: Store, at: Checkpoint) -> None:
        found = read_all(store, at)
        assert {f"state/{path}": data for path, data in self.held[at.id].items()} == found

    @invariant()
    def refs_stand_where_they_should(self) -> None:
        found = {ref.run: ref for ref in self.stores[0].refs()}
        assert {name: run.newest.id for name, run in self.runs.items()} == {
            name: ref.checkpoint for name, ref in found.items()
        }
        for name, run in self.runs.items():
            assert {tag: at.id for tag, at in run.tags.items()} == found[name].tags

    # --- tags, dropping, gc ---

    @rule(which=either, choice=number, tag=st.sampled_from(["good", "bad"]), on=st.booleans())
    def tag(self, which: int, choice: int, tag: str, on: bool) -> None:
        name = self.pick(choice)
        if name is not None:
            run = self.runs[name]
            self.stores[which].tag(name, tag, run.newest if on else None)
            run.tags.pop(tag, None)
            if on:
                run.tags[tag] = run.newest

    @rule(which=either, choice=number)
    def drop(self, which: int, choice: int) -> None:
        name = self.pick(choice)
        if name is not None:
            self.stores[which].drop(name)
            del self.runs[name]

    @rule(which=either, keep_last=st.integers(0, 2))
    def gc(self, which: int, keep_last: int) -> None:
        self.collect(self.alone(self.stores[which]), keep_last)

    def alone(self, store: Store) -> Store:
        """Give the store that may collect and repair, when nothing else is at work."""
        if self.locked:
            return store
        with pytest.raises(UsageError):
            store.plan_gc()
        with pytest.raises(UsageError):
            store.repair()
        return Store.open(self.root, files=HookedFiles(), clock=self.clock, trust_locks=True)

    def collect(self, store: Store, keep_last: int) -> None:
        """What must stay after it is what the rules of retention say, no more and no less of
        runs.
        """
        whole = [it.checkpoint for ref in store.refs() if not ref.done for it in ref.positions]
        stays = set(self.staying(keep_last))
        store.plan_gc(keep_last=keep_last).execute()
        self.runs = {name: run for name, run in self.runs.items() if name in stays}
        for checkpoint in whole:
            self.assert_holds(store, store.checkpoint(checkpoint))
        self.everything_named_loads(store)

    def staying(self, keep_last: int) -> Iterator[str]:
        newer: dict[str, int] = {}
        for ref in self.stores[0].refs():
            name, run = ref.run, self.runs.get(ref.run)
            if run is None:  # a fork that is about to be acknowledged
                continue
            if run.done:
                newer[run.newest.group] = newer.get(run.newest.group, 0) + 1
            if not run.done or run.tags or newer[run.newest.group] <= keep_last:
                yield name

    def everything_named_loads(self, store: Store) -> None:
        for ref in store.refs():
            named = [ref.checkpoint, *ref.tags.values(), *(it.checkpoint for it in ref.positions)]
            labelled = ref.labelled
            while labelled != NO_CHECKPOINT:
                named.append(labelled)
                labelled = store.checkpoint(labelled).labelled
            for checkpoint in named:
                self.assert_holds(store, store.checkpoint(checkpoint))

    # --- damage ---

    @rule(choice=number, place=st.integers(0, 99), cut=st.booleans())
    def damage_a_pack_and_repair(self, choice: int, place: int, cut: bool) -> None:
        """Runs stand at a checkpoint that they had, or, where none is left, are gone. Nothing is
        made up.
        """
        packs = sorted((self.root / "objects").iterdir())
        if packs:
            path = packs[choice % len(packs)]
            data = bytearray(path.read_bytes())
            at = len(data) * place // 100
            data[at] ^= 4
            path.write_bytes(data[:at] if cut else data)
            self.repair()

    @rule(choice=number, place=st.integers(0, 99), gone=st.booleans())
    def damage_a_ref_and_repair(self, choice: int, place: int, gone: bool) -> None:
        """The run stands where it stood. Its tags are lost; and a run of one checkpoint whose ref
        is gone.
        """
        name = self.pick(choice)
        if name is not None:
            path = self.root / "refs" / name
            data = bytearray(path.read_bytes())
            data[len(data) * place // 100] ^= 4
            path.write_bytes(data)
            if gone:
                path.unlink()
            before = self.runs[name]
            self.repair()
            assert name not in self.runs or self.held[before.newest.id] == self.runs[name].holds
            assert name in self.runs or (gone and before.newest.sequence == 1)

    def repair(self) -> None:
        self.alone(self.stores[0]).repair()
        assert [] == [it for it in self.stores[0].check(read_data=True) if it.severity == "error"]
        store = Store.open(self.root, files=CountingFiles())
        refs = {ref.run: ref for ref in store.refs()}
        assert refs.keys() <= self.runs.keys()
        for name in list(self.runs):
            if name not in refs:
                del self.runs[name]
                continue
            at = store.checkpoint(refs[name].checkpoint)
            # One that does not name a damaged label any more holds what its parent did.
            self.held.setdefault(at.id, self.held.get(at.parent, {}))
            tags = {tag: store.checkpoint(it) for tag, it in refs[name].tags.items()}
            self.runs[name] = Run(at, self.held[at.id], at.kind == "final", tags)
        self.everything_named_loads(store)
        assert [] == self.alone(self.stores[1]).repair()


class UnlockedStoreMachine(StoreMachine):
    """Where `flock` holds off nobody, and another process may come in between any two
    operations.
    """

    locked = False

    @rule(choice=number, path=paths, data=contents, after=st.integers(0, 11))
    def start_during_a_save(self, choice: int, path: str, data: bytes, after: int) -> None:
        """With what the save is about to store, too."""
        name = self.pick(choice, done=False)
        if name is not None:
            with self.files(0).hooked(after, lambda: self.begin(self.stores[1], path, data)):
                self.save_on(self.stores[0], name, path, data)
            self.everything_named_loads(self.stores[0])

    @rule(choice=number, path=paths, data=contents, after=st.integers(0, 11))
    def save_during_a_fork(self, choice: int, path: str, data: bytes, after: int) -> None:
        """By the run that it begins at."""
        name = self.pick(choice, done=False)
        if name is not None:
            at = self.runs[name].newest
            self.count += 1
            fork = f"r{self.count}"
            with self.files(0).hooked(
                after, lambda: self.save_on(self.stores[1], name, path, data)
            ):
                new = self.stores[0].save(fork, {}, parent=at)
            self.acknowledge(fork, new, self.held[at.id])
            self.everything_named_loads(self.stores[0])

    def files(self, which: int) -> HookedFiles:
        files = self.stores[which].files
        assert isinstance(files, HookedFiles)
        return files


SHORT = settings(
    max_examples=20,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
LONG = settings(SHORT, max_examples=400, stateful_step_count=50, derandomize=False)
MACHINES = [StoreMachine, UnlockedStoreMachine]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_store_is_a_dictionary(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine, settings=SHORT)


@pytest.mark.thorough
@pytest.mark.parametrize("machine", MACHINES)
def test_a_store_is_a_dictionary_for_long(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine, settings=LONG)
