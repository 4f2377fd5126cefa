"""Refs: one small sealed file per run, which says where the run stands. Listing runs reads nothing
else.

A ref moves by compare-and-swap on (sequence, checkpoint) under `refs.lock`; after a crash it is the
old one or the new one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import replace
from maverick.checkpoints.disk.layout import file_name, list_folder, run_name, temporary
from maverick.checkpoints.disk.sealed import quote, spell, to_bytes
from maverick.checkpoints.objects import ids
from maverick.checkpoints.trees.checkpoint import CHECKPOINT_KINDS, Checkpoint, CheckpointKind
from maverick.errors import NotFound, RefDamaged, StoreDenied
from maverick.noted import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.ids import CheckpointId, TreeId

LOG_LENGTH = 16
_NOTE = "refs.lock"


class Position(NamedTuple):
    """One place where a ref stood. `time` is in milliseconds since the epoch."""

    checkpoint: CheckpointId
    sequence: int
    time: int
    reason: str
    kind: CheckpointKind
    label: str


class Ref(NamedTuple):
    """Where a run stands: its newest checkpoint, and what a listing shows of it.

    `started` and `updated` are in milliseconds since the epoch, `bytes` is the size of the
    checkpoint's tree. `order` is the run's number in the order in which runs were started in this
    store, whatever the clock said; 0 where an earlier version began it. `positions` are the last
    16, oldest first, the last of them the present one. `summary` is what who saves wants a listing
    to show without reading any object: values of JSON, which mean nothing to the store.
    """

    run: str
    group: str
    checkpoint: CheckpointId
    tree: TreeId
    sequence: int
    kind: CheckpointKind
    step: str
    started: int
    updated: int
    bytes: int
    labelled: CheckpointId
    positions: tuple[Position, ...]
    tags: Mapping[str, CheckpointId] = MappingProxyType({})
    order: int = 0
    summary: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def at(
        cls,
        checkpoint: Checkpoint,
        *,
        size: int,
        reason: str,
        before: Ref | None = None,
        time: int | None = None,
        order: int = 0,
        summary: Mapping[str, Any] | None = None,
    ) -> Ref:
        """Give the ref of a run that came to *checkpoint*, whose tree has *size* bytes.

        It goes on with start, log, tags and order of the ref *before*; without one the run starts
        here, as number *order*. It came here at *time*, else when the checkpoint was created. A
        *summary* of None is that of the ref *before*.
        """
        if summary is None:
            summary = before.summary if before is not None else {}
        time = checkpoint.created if time is None else time
        position = Position(
            checkpoint.id, checkpoint.sequence, time, reason, checkpoint.kind, checkpoint.label
        )
        return cls(
            run=checkpoint.run,
            group=checkpoint.group,
            checkpoint=checkpoint.id,
            tree=checkpoint.tree,
            sequence=checkpoint.sequence,
            kind=checkpoint.kind,
            step=checkpoint.step,
            started=before.started if before is not None else checkpoint.created,
            updated=time,
            bytes=size,
            labelled=checkpoint.last_labelled,
            positions=(*(before.positions if before is not None else ()), position)[-LOG_LENGTH:],
            tags=before.tags if before is not None else {},
            order=before.order if before is not None else order,
            summary=summary,
        )

    def fits(self, checkpoint: Checkpoint) -> bool:
        """Say whether a ref that stands at *checkpoint* says this."""
        ref = Ref.at(checkpoint, size=self.bytes, reason="")
        fields = ("run", "group", "checkpoint", "tree", "sequence", "kind", "step", "labelled")
        return all(getattr(self, field) == getattr(ref, field) for field in fields)

    @property
    def done(self) -> bool:
        """Whether the run came to its end; any other run can be resumed."""
        return self.kind == "final"


def by_start(ref: Ref) -> tuple[int, int, str]:
    """Give what sorts refs by when their runs were started, the newest first: by their numbers,
    else by time.
    """
    return -ref.order, -ref.started, ref.run


class Refs:
    """The refs of the store at *root*. Only `put` and `remove` change anything; hold `refs.lock`
    for them.

    A ref that was got or put is not parsed again while its file has the bytes it had.
    """

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._last: tuple[bytes, Ref] | None = None

    def get(self, run: str) -> Ref | None:
        """Read the ref of *run*; None if there is no such run.

        Raises:
            RefDamaged: it is torn or altered, or cannot be read.
        """
        data = self._load(file_name(run))
        if data is None:
            return None
        last = self._last
        if last is not None and last[0] == data and last[1].run == run:
            return last[1]
        ref = self._parsed(file_name(run), data)
        self._last = data, ref
        return ref

    def list(self, damaged: list[RefDamaged] | None = None) -> list[Ref]:
        """Read all refs, those of runs that were started last first. *damaged* gets those that
        cannot be read.
        """
        refs: list[Ref] = []
        for name in self._names():
            try:
                data = self._load(name)
                if data is not None:
                    refs.append(self._parsed(name, data))
            except RefDamaged as error:
                if damaged is not None:
                    damaged.append(error)
        return sorted(refs, key=by_start)

    def run_ids(self) -> tuple[str, ...]:
        """Give the ids of all runs, sorted, also of those whose refs cannot be read."""
        return tuple(sorted(filter(None, map(run_name, self._names()))))

    def next_order(self) -> int:
        """Give the number of a run that begins now, above that of any other.

        The last number is noted in `refs.lock`, sealed with the names that `refs/` had then. Where
        that does not fit, because the note was lost or runs are gone, all refs are read.
        """
        number, seal = b"", b""
        with suppress(OSError, ValueError):
            number, seal = self._files.read(self._root / _NOTE).split()
        if number.isdigit() and seal == self._seal(number):
            return int(number) + 1
        orders, unknown = [0], 1
        for name in self._names():
            try:
                data = self._load(name)
                if data is not None:
                    orders.append(self._parsed(name, data).order)
            except (RefDamaged, StoreDenied):  # it has a number, too
                unknown += 1
        return max(orders) + unknown

    def note_order(self, order: int) -> None:
        """Note that *order* is the greatest number of a run now. A note that is lost costs time
        only.
        """
        number = b"%d" % order
        with suppress(OSError):
            note = b"%s %s\n" % (number, self._seal(number))
            descriptor = os.open(self._root / _NOTE, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.pwrite(descriptor, note, 0)
                os.ftruncate(descriptor, len(note))
            finally:
                os.close(descriptor)

    def _seal(self, number: bytes) -> bytes:
        names = "/".join(sorted(list_folder(self._files, self._root, "refs")))
        return (
            blake3(number + b"/" + names.encode("utf-8", "surrogateescape")).hexdigest(16).encode()
        )

    def put(self, ref: Ref) -> None:
        """Make *ref* the ref of its run. After a crash it is the old one or this one (2 fsyncs)."""
        data = encode_ref(ref)
        target = self._root / f"refs/{file_name(ref.run)}"
        replace(self._files, temporary(self._root), target, [data])
        self._last = data, ref

    def remove(self, run: str) -> None:
        """Remove the ref of *run*, which exists."""
        self._files.unlink(self._root / "refs" / file_name(run))
        self._files.sync_folder(self._root / "refs")

    def _names(self) -> Iterator[str]:
        """Yield the names of refs; what somebody's file browser left in the folder is none."""
        for name in list_folder(self._files, self._root, "refs"):
            if run_name(name) is not None:
                yield name

    def _load(self, name: str) -> bytes | None:
        try:
            return sealed.load(self._files, self._root / f"refs/{name}")
        except FileNotFoundError:
            return None
        except sealed.Broken as broken:
            raise RefDamaged(
                f"the ref of run {run_name(name)} {broken} ({self._root}/refs/{name}); "
                "run `maverick checkpoint fsck`"
            ) from broken

    def _parsed(self, name: str, data: bytes) -> Ref:
        ref = parse_ref(data)
        if ref is None or file_name(ref.run) != name:
            raise RefDamaged(
                f"the ref of run {run_name(name)} is torn or altered ({self._root}/refs/{name}); "
                "run `maverick checkpoint fsck --repair` to rebuild it"
            )
        return ref


def encode_ref(ref: Ref) -> bytes:
    """Give the bytes of the file that holds *ref*."""
    order = f'"order":{ref.order},' if ref.order else ""
    summary = f'"summary":{spell(dict(ref.summary))},' if ref.summary else ""
    spelt = (
        f'{{"bytes":{ref.bytes},"checkpoint":"{ref.checkpoint}","format":1,'
        f'"group":{quote(ref.group)},"kind":"{ref.kind}","labelled":{quote(ref.labelled)},{order}'
        f'"positions":[{",".join(map(_spell_position, ref.positions))}],"run":{quote(ref.run)},'
        f'"sequence":{ref.sequence},"started":{ref.started},"step":{quote(ref.step)},{summary}'
        f'"tags":{spell(dict(ref.tags))},"tree":"{ref.tree}","updated":{ref.updated}}}'
    )
    return sealed.seal_object(to_bytes(spelt))


@lru_cache(4 * LOG_LENGTH)
def _spell_position(position: Position) -> str:
    """Give a row of `positions`; all but one of a ref are those of the ref before it."""
    checkpoint, sequence, time, reason, kind, label = position
    return f"[{quote(checkpoint)},{sequence},{time},{quote(reason)},{quote(kind)},{quote(label)}]"


def parse_ref(data: bytes) -> Ref | None:
    """Read a ref from its file's bytes; None if they are torn, altered or no ref."""
    fields = sealed.unseal(data)
    if fields is None or fields.pop("format", None) != 1:
        return None
    try:
        positions = tuple(Position(*row) for row in fields.pop("positions"))
        ref = Ref(**fields, positions=positions)
        _validate(ref)
    except (KeyError, TypeError, ValueError):
        return None
    return ref


SHORTEST_PART = 3
"""Characters of the part of a run's id that names it."""


def _validate(ref: Ref) -> None:
    numbers: list[Any] = [ref.sequence, ref.started, ref.updated, ref.bytes, ref.order]
    texts: list[Any] = [ref.run, ref.group, ref.step, ref.labelled]
    for position in ref.positions:
        numbers += [position.sequence, position.time]
        texts += [position.checkpoint, position.reason, position.kind, position.label]
    if not all(whole_number(number) is not None for number in numbers) or not all(
        type(text) is str for text in texts
    ):
        raise ValueError("a field has another type")
    if not (ids.is_id(ref.checkpoint) and ids.is_id(ref.tree)) or ref.kind not in CHECKPOINT_KINDS:
        raise ValueError("a field has another shape")
    if not all(ids.is_id(checkpoint) for checkpoint in ref.tags.values()):
        raise ValueError("a tag is no id")
    if not isinstance(ref.summary, dict | MappingProxyType):
        raise TypeError("the summary has another type")


def no_such_run(run: str, runs: Iterable[str]) -> NotFound:
    """Give the error that says there is no *run*, with the names most like it: ids, or their
    ends.
    """
    import difflib  # noqa: PLC0415 - 4 ms that only an error needs

    names = list(runs)
    ends = {name.rpartition("-")[2]: name for name in names}
    near = difflib.get_close_matches(run, names, n=3) or [
        ends[end] for end in difflib.get_close_matches(run, ends, n=3)
    ]
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `maverick runs` shows the runs"
    if 0 < len(run) < SHORTEST_PART:
        hint = f"; a part of a run's name needs {SHORTEST_PART} characters{hint}"
    return NotFound(f"there is no run {run}{hint}")


def tagged(ref: Ref, name: str, checkpoint: CheckpointId | None) -> Ref:
    """Give *ref* with the tag *name* at *checkpoint*, or without that tag."""
    tags = {tag: tagged_id for tag, tagged_id in ref.tags.items() if tag != name}
    if checkpoint is not None:
        tags[name] = checkpoint
    return ref._replace(tags=tags)
