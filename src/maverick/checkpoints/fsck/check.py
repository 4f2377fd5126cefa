"""The check of a store: everything that is wrong with it, with the runs it matters to. It changes
nothing.

It goes on after each finding, and raises for no damage. The quick check reads all structure (packs'
headers, indexes, trailers and heads of records, refs, checkpoints, tree nodes), but no content of
sealed packs; `read_data` reads and hashes every byte. What a kill or a power cut may leave of an
open pack and of the refs behind it is no damage.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout, sealed
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.disk.layout import is_pack
from maverick.checkpoints.disk.locks import Locks
from maverick.checkpoints.fsck.coherence import Coherence
from maverick.checkpoints.fsck.findings import Finding, FindingKind, error, warning
from maverick.checkpoints.fsck.pack_check import PackCheck
from maverick.checkpoints.fsck.reach import DamageSource, Graph
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
from maverick.checkpoints.objects.objects import Objects
from maverick.checkpoints.refs import refs, retention
from maverick.checkpoints.refs.dropped import FILE, lost_runs, read_dropped
from maverick.checkpoints.refs.retention import Fate
from maverick.checkpoints.trees.checkpoint import Checkpoint, parse_checkpoint
from maverick.checkpoints.trees.closure import ClosureWalk
from maverick.errors import (
    FormatDamaged,
    ObjectCorrupt,
    ObjectMissing,
    PackDamaged,
    StoreDamaged,
    StoreDenied,
    StoreTooNew,
    StoreUnwritable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maverick.checkpoints.objects.segments import Item
    from maverick.checkpoints.refs.refs import Ref

_SHOWN_RUNS = 3


def check(root: Path, *, files: Files | None = None, read_data: bool = False) -> Iterator[Finding]:
    """Yield what is wrong with the store at *root*, which need not be one that can be opened.

    Saves may go on meanwhile; gc waits.

    Raises:
        NotFound: there is no store.
        StoreDenied: this user may not read all of it, so that nobody can say what is damaged.
    """
    files = files or Files()
    form, findings = _check_format(root, files)
    yield from findings
    if form is None:
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(Locks(root).shared())
        except StoreDenied:
            raise
        except (StoreUnwritable, OSError) as problem:
            yield warning("unreadable", f"the store cannot be locked: {problem}", file="store.lock")
        yield from _Check(root, files, read_data=read_data).run()


def _check_format(root: Path, files: Files) -> tuple[layout.Format | None, list[Finding]]:
    try:
        return layout.read_format(files, root), []
    except FormatDamaged as damage:
        return layout.CURRENT, [error("format", str(damage), file="format.json")]
    except StoreTooNew as problem:
        return None, [error("too-new", str(problem), file="format.json")]
    except OSError as problem:
        return layout.CURRENT, [_unreadable("format.json", problem)]


class _Check:
    """One check. The phases build on one another: refs, packs, what the refs lead to, then what is
    left over.
    """

    def __init__(self, root: Path, files: Files, *, read_data: bool) -> None:
        self._root = root
        self._files = files
        self._read_data = read_data
        self._source = DamageSource(Objects(files, root))
        self._refs: dict[str, Ref] = {}
        self._unread_runs: set[str] = set()
        self._damage: list[tuple[Finding, list[ObjectId]]] = []
        self._coherence = Coherence({}, self._source.read)
        self._orphans: list[Checkpoint] = []
        self._misplaced: set[str] = set()
        # What the checkpoints of the run hold that was looked at last, if it has a ref.
        self._says_run = b"\0"

    def run(self) -> Iterator[Finding]:
        yield from self._check_folders()
        yield from self._read_refs()
        yield from self._check_packs()
        self._check_reachable()
        yield from self._with_runs()
        yield from self._check_refs()
        yield from self._check_orphans()
        yield from self._check_leftovers()

    def _list(self, folder: str) -> list[str]:
        try:
            names = sorted(self._files.list(self._root / folder))
        except OSError:  # reported by `_check_folders`
            return []
        return [name for name in names if f"{folder}/{name}" not in self._misplaced]

    def _check_folders(self) -> Iterator[Finding]:
        self._misplaced = set(layout.misplaced(self._files, self._root))
        for file in sorted(self._misplaced):
            folder, _, name = file.partition("/")
            run = layout.run_name(name) if folder in {"refs", "owners"} else None
            text = f"something else stands where {file} is to be"
            yield error("unreadable", text, file=file, run=run)
        for folder in set(layout.FOLDERS) - self._misplaced:
            try:
                self._files.list(self._root / folder)
            except FileNotFoundError:
                text = f"the folder {folder}/ is missing"
                yield (error if folder in {"objects", "refs"} else warning)(
                    "folder", text, file=folder
                )
            except OSError as problem:
                yield _unreadable(folder, problem)

    def _read_refs(self) -> Iterator[Finding]:
        try:
            self._refs = {ref.run: ref for ref in refs.Refs(self._files, self._root).list()}
        except StoreDenied:
            raise
        except (StoreDamaged, OSError):  # The folder is missing, or below it is said which it is.
            pass
        for name in self._list("refs"):
            run, file = layout.run_name(name), f"refs/{name}"
            if run is None:
                yield warning("stray", f"{file} is no ref", file=file)
            elif run not in self._refs:
                yield from self._read_ref(run, file)

    def _read_ref(self, run: str, file: str) -> Iterator[Finding]:
        """Say what is wrong with a ref that cannot be read, unless it was made or removed since."""
        try:
            ref = refs.parse_ref(self._files.read(self._root / file))
        except FileNotFoundError:
            return
        except OSError as problem:
            yield _unreadable(file, problem, run)
        else:
            if ref is not None and ref.run == run:
                self._refs[run] = ref
                return
            says = "is torn or altered" if ref is None else f"is that of another run, {ref.run}"
            yield error("ref", f"the ref of run {run} {says}", file=file, run=run)
        self._unread_runs.add(run)

    def _check_packs(self) -> Iterator[Finding]:
        seen: set[str] = set()
        # An open pack that is sealed meanwhile has another name then.
        while new := [name for name in self._list("objects") if name not in seen]:
            seen.update(new)
            for name in new:
                file = f"objects/{name}"
                if not is_pack(name):
                    yield warning("stray", f"{file} is no pack", file=file)
                    continue
                try:
                    found = PackCheck(
                        self._files,
                        self._root / file,
                        self._source.read_chunks,
                        read_data=self._read_data,
                        see=self._see_checkpoint,
                    )
                except FileNotFoundError:
                    continue
                except OSError as problem:
                    yield _unreadable(file, problem)
                else:
                    self._damage += found.findings
                    self._source.take(found)

    def _see_checkpoint(self, item: Item) -> None:
        """Keep a checkpoint whose run has no ref."""
        if self._says_run in item.data:
            return
        with suppress(StoreDamaged, StoreTooNew):
            checkpoint = parse_checkpoint(CheckpointId(item.id), item.data)
            if checkpoint.run not in self._refs and checkpoint.run not in self._unread_runs:
                self._orphans.append(checkpoint)
            else:
                self._says_run = sealed.to_bytes(
                    f'"run":{sealed.quote(checkpoint.run)},"sequence":'
                )

    def _check_reachable(self) -> None:
        damaged = {
            object_id
            for finding, about in self._damage
            if finding.kind == "object-corrupt"
            for object_id in about
        }
        self._coherence.sizes.update(self._source.sizes)
        walk = ClosureWalk(self._source)
        for ref in self._refs.values():
            for visit in walk.visit(retention.roots(ref, Fate.WHOLE)):
                if visit.error is None:
                    self._coherence.add(visit)
                elif visit.link.id not in damaged:
                    text = str(visit.error)
                    finding = error(_kind_of(visit.error), text, object_id=visit.link.id)
                    self._damage.append((finding, [visit.link.id]))
        for object_id, text in self._coherence.problems():
            self._damage.append((error("object-malformed", text, object_id=object_id), [object_id]))

    def _with_runs(self) -> Iterator[Finding]:
        """Yield the damage, with the runs whose refs lead to it and where it stands in them."""
        if not self._damage:
            return
        graph = Graph(self._source, self._refs.values())
        for finding, about in self._damage:
            lost = about
            if finding.kind in {"object-corrupt", "pack"}:
                lost = [it for it in about if not self._source.is_whole(it, finding.file)]
            yield _with_places(finding, graph.places(lost))

    def _check_refs(self) -> Iterator[Finding]:
        for run, ref in self._refs.items():
            for problem in self._coherence.ref_problems(ref):
                text = f"the ref of run {run} is wrong: {problem}"
                yield error("ref", text, file=f"refs/{layout.file_name(run)}", run=run)

    def _check_orphans(self) -> Iterator[Finding]:
        """Look for runs that have had a ref: with a second checkpoint, and not dropped."""
        if read_dropped(self._files, self._root) is None:
            yield error(
                "dropped",
                f"the list of the runs that gc dropped, {FILE}, is torn or altered",
                file=FILE,
            )
        runs = self._refs.keys() | self._unread_runs
        for run, left in lost_runs(self._files, self._root, runs, self._orphans).items():
            newest = max(checkpoint.sequence for checkpoint in left)
            text = (
                f"run {run} has checkpoints, the newest of them number {newest}, but its ref "
                "is gone"
            )
            yield error("ref-missing", text, file=f"refs/{layout.file_name(run)}", run=run)

    def _check_leftovers(self) -> Iterator[Finding]:
        for name in self._list("tmp"):
            file = f"tmp/{name}"
            if self._is_leftover(file):
                text = f"{file} was left by a process that ended early"
                yield warning("leftover", text, file=file)
        for folder, text in (
            ("trash", "waits to be removed by gc"),
            ("quarantine", "was set aside"),
        ):
            for name in self._list(folder):
                yield warning("leftover", f"{folder}/{name} {text}", file=f"{folder}/{name}")

    def _is_leftover(self, file: str) -> bool:
        try:
            return layout.is_leftover(self._files, self._root / file)
        except OSError:
            return not layout.writer_lives(file.partition("/")[2])


def _kind_of(problem: StoreDamaged | StoreTooNew) -> FindingKind:
    match problem:
        case ObjectMissing() | PackDamaged():
            return "object-missing"
        case ObjectCorrupt():
            return "object-corrupt"
        case StoreTooNew():
            return "too-new"
        case _:
            return "object-malformed"


def _unreadable(file: str, problem: OSError, run: str | None = None) -> Finding:
    """Give the finding for a file that the system cannot read. That this user may not read it is
    none: it is raised.
    """
    if isinstance(problem, StoreDenied):
        raise problem
    return error("unreadable", f"{file} cannot be read: {problem}", file=file, run=run)


def _with_places(finding: Finding, places: dict[str, str]) -> Finding:
    if not places:
        return finding
    shown = [f"{run} ({place})" for run, place in list(places.items())[:_SHOWN_RUNS]]
    more = f" and {len(places) - _SHOWN_RUNS} more" if len(places) > _SHOWN_RUNS else ""
    message = f"{finding.message}; affects {', '.join(shown)}{more}"
    return replace(finding, runs=tuple(places), message=message)
