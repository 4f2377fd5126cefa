"""Refs: one small sealed file per run, which says where the run stands. Listing runs reads nothing
else.

A ref moves by compare-and-swap on (sequence, checkpoint) under `refs.lock`; after a crash it is the
old one or the new one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import UNREADABLE, open_file, replace
from maverick.checkpoints.disk.layout import file_name, is_pack, list_folder, run_name, temporary
from maverick.checkpoints.disk.locks import is_locked
from maverick.checkpoints.disk.sealed import quote, spell, to_bytes
from maverick.checkpoints.objects import ids
from maverick.checkpoints.trees.checkpoint import CHECKPOINT_KINDS, Checkpoint, CheckpointKind
from maverick.errors import (
    NotFound,
    PackDamaged,
    RefDamaged,
    StoreDenied,
    StoreTooNew,
    UsageError,
)
from maverick.noted import is_exact, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.ids import CheckpointId, TreeId
    from maverick.checkpoints.objects.packs import Pack

LOG_LENGTH = 16
_NOTE = "refs.lock"
_MOST_KNOWN = 1 << 12


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
            updated=checkpoint.created,
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

    def keeping(self, is_kept: Callable[[CheckpointId], bool]) -> Ref:
        """Give it without the positions and tags whose checkpoints are not kept."""
        return self._replace(
            positions=tuple(it for it in self.positions if is_kept(it.checkpoint)),
            tags={
                name: checkpoint for name, checkpoint in self.tags.items() if is_kept(checkpoint)
            },
        )

    @property
    def went_back(self) -> bool:
        """Whether the run was made to stand where it stood before, because of damage."""
        return bool(self.positions) and self.positions[-1].time > self.updated

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
    """The refs of the store at *root*. Only `put`, `overwrite` and `remove` change anything; hold
    `refs.lock` for them.

    A ref that was got or put is not parsed again while its file has the bytes it had. Where a run
    stands is what its file says or, if that is newer, its last record in an open pack.
    """

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._folder = root / "refs"
        self._known: dict[str, tuple[bytes, Ref]] = {}

    def get(self, run: str) -> Ref | None:
        """Give the ref of *run*, which may say more than its file; None if there is no such run.

        Raises:
            RefDamaged: it is torn or altered, or cannot be read.
        """
        return self._newer(run, self._ahead())

    def _newer(self, run: str, ahead: Mapping[str, Ref]) -> Ref | None:
        try:
            ref = self.in_file(run)
        except RefDamaged:
            # It may be written over at this instant, or was when the power went. What a pack that
            # is kept says is on the disk only if the file is torn after it was read, too.
            busy = self._ahead(busy=True)
            try:
                ref = self.in_file(run)
            except RefDamaged:
                if run not in busy:
                    raise
                return busy[run]
        led = ahead.get(run)
        return ref if led is None else newer(ref, led)

    def in_file(self, run: str) -> Ref | None:
        """Give what the file of the ref says; None if there is none. Raises RefDamaged, and
        StoreDamaged if the folder is gone.
        """
        path = self.path(run)
        try:
            data = sealed.load(self._files, path)
        except FileNotFoundError:
            if not path.parent.exists():
                list_folder(self._files, self._root, "refs")  # says what is missing
            return None
        except sealed.Broken as broken:
            raise RefDamaged(
                f"the ref of run {run} {broken} ({path}); run `maverick checkpoint fsck`"
            ) from broken
        known = self._known.get(run)
        if known is not None and known[0] == data:
            return known[1]
        ref = parse_ref(data)
        if ref is None or ref.run != run:
            raise RefDamaged(
                f"the ref of run {run} is torn or altered ({path}); "
                "run `maverick checkpoint fsck --repair` to rebuild it"
            )
        self._know(ref, data)
        return ref

    def _know(self, ref: Ref, data: bytes) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[ref.run] = data, ref

    def list(
        self, damaged: list[RefDamaged] | None = None, ahead: Mapping[str, Ref] | None = None
    ) -> list[Ref]:
        """Read all refs, those of runs that were started last first. *damaged* gets those that
        cannot be read; *ahead* is where runs stand by the open packs, if the caller knows it.
        """
        refs: list[Ref] = []
        ahead = self._ahead() if ahead is None else ahead
        for run in dict.fromkeys((*self._runs(), *ahead)):
            try:
                ref = self._newer(run, ahead)
            except RefDamaged as error:
                if damaged is not None:
                    damaged.append(error)
            else:
                if ref is not None:
                    refs.append(ref)
        return sorted(refs, key=by_start)

    def run_ids(self) -> tuple[str, ...]:
        """Give the ids of all runs, sorted, also of those whose refs cannot be read."""
        return tuple(sorted({*self._runs(), *self._ahead()}))

    def next_order(self) -> int:
        """Give the number of a run that begins now, above that of any other.

        The last number is noted in `refs.lock`, sealed with the names that `refs/` had then. Where
        that does not fit, because the note was lost or runs are gone, all refs are read.
        """
        number, seal = b"", b""
        with suppress(OSError, ValueError):
            number, seal = self._files.read(self._root / _NOTE).split()
        ahead = self._ahead()
        orders, unknown = [0, *(ref.order for ref in ahead.values())], 1
        if number.isdigit() and seal == self._seal(number):
            return max(int(number), *orders) + 1
        for run in self._runs():
            try:
                ref = self._newer(run, ahead)
                orders.append(ref.order if ref is not None else 0)
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
            descriptor = open_file(self._root / _NOTE, os.O_WRONLY | os.O_NOFOLLOW)
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
        replace(self._files, temporary(self._root), self.path(ref.run), [data])
        self._know(ref, data)

    def overwrite(self, ref: Ref, descriptor: int, size: int) -> int:
        """Write *ref* over what the open file of its run holds, *size* bytes, and give how many it
        holds now. Nothing is synced: an open pack says the same.
        """
        data = encode_ref(ref)
        self._files.pwrite(descriptor, data, 0)
        if len(data) < size:
            self._files.truncate(descriptor, len(data))
        self._know(ref, data)
        return len(data)

    def may_lag(self) -> bool:
        """Say whether there are runs in open packs that nobody keeps their refs right for."""
        return bool(self._ahead())

    def _ahead(self, *, busy: bool = False) -> dict[str, Ref]:
        """Give where runs stand by the open packs, as far as refs may lag behind these.

        What a process of this boot has locked is left out, since it keeps its refs right, unless
        *busy* ones are wanted, too.
        """
        stand: list[dict[str, Ref]] = []
        for file in open_packs(self._files, self._root):
            from maverick.checkpoints.objects.pack_records import may_say_more  # noqa: PLC0415 - many have none

            path = self._root / "objects" / file
            try:
                if not busy and self._is_kept_right(path):
                    continue
                if not may_say_more(self._files.read(path)):
                    continue
                from maverick.checkpoints.objects.packs import open_growing  # noqa: PLC0415 - after a kill only

                pack = open_growing(file, partial(self._files.pread, path))
                stand.append(standing(pack))
            except (FileNotFoundError, PackDamaged, StoreTooNew):
                continue  # It was sealed at this instant, or fsck says what is wrong.
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                continue
        return newest(stand)

    def _is_kept_right(self, path: Path) -> bool:
        if not is_locked(path):
            return False
        from maverick.checkpoints.disk.filesystem import boot  # noqa: PLC0415 - beside a run only
        from maverick.checkpoints.objects.pack_records import PACK_HEADER_BYTES  # noqa: PLC0415

        return self._files.pread(path, 0, PACK_HEADER_BYTES)[-16:] == boot() != bytes(16)

    def path(self, run: str) -> Path:
        """Give the file of a run's ref."""
        return self._folder / file_name(run)

    def remove(self, run: str) -> None:
        """Remove the ref of *run*, which exists."""
        self._files.unlink(self.path(run))
        self._files.sync_folder(self._folder)

    def _runs(self) -> Iterator[str]:
        """Yield the runs that have files; what somebody's file browser left there is none."""
        return filter(None, map(run_name, list_folder(self._files, self._root, "refs")))


def open_packs(files: Files, root: Path) -> list[str]:
    """Give the names of the files of open packs."""
    names = list_folder(files, root, "objects")
    return sorted(name for name in names if name.endswith(".open") and is_pack(name))


def standing(pack: Pack) -> dict[str, Ref]:
    """Give where the runs stand that are not closed in *pack*, as far as that can be read."""
    from maverick.checkpoints.refs.run_commits import committed  # noqa: PLC0415 - after a kill only

    refs: dict[str, Ref] = {}
    for data, since in committed(pack):
        ref = parse_ref(data)
        for checkpoint, said in since:
            if ref is not None and checkpoint.run == ref.run:
                ref = Ref.at(checkpoint, before=ref, **said)
        if ref is not None:
            refs[ref.run] = ref
    return refs


def newest(stand: Iterable[Mapping[str, Ref]]) -> dict[str, Ref]:
    """Give where each run stands by what several open packs say: the highest sequence counts."""
    found: dict[str, Ref] = {}
    for refs in stand:
        for run, ref in refs.items():
            if run not in found or found[run].sequence < ref.sequence:
                found[run] = ref
    return found


def newer(ref: Ref | None, led: Ref) -> Ref:
    """Give where a run stands, by what its file says, *ref*, and what an open pack says, *led*.

    Tags are as in the file if that can be read: another process than the one that saves may have
    set them.
    """
    if ref is None:
        return led
    return ref if ref.sequence >= led.sequence else led._replace(tags=ref.tags, order=ref.order)


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


def check_summary(summary: Mapping[str, Any]) -> None:
    """Raise UsageError if a ref cannot have this *summary*."""
    if not is_exact(summary):
        raise UsageError("a summary is a small mapping of JSON, without floats; give such a one")


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
    if ref.labelled and not ids.is_id(ref.labelled):
        raise ValueError("a label is no id")
    if not isinstance(ref.tags, dict | MappingProxyType) or not all(
        type(checkpoint) is str and ids.is_id(checkpoint) for checkpoint in ref.tags.values()
    ):
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
