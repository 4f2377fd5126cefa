"""Revisions, the names that a person gives to runs and checkpoints.

`RUN` is a run's id, or what begins or ends the id of one run alone (3 characters or more).
`GROUP@{N}` is the run N before the newest of a group, `@{N}` of all; `GROUP@latest` and `@latest`
are the newest (`-` and `_` are one letter in a group). `RUN@LABEL` and `RUN@TAG` are checkpoints,
behind a group those of its newest run; 4 or more hexadecimal digits are the id of one. `~2` behind
any of them is two before it.

The first `@` ends the run's or group's name; what follows is a label or tag as it is, which may
hold `@` and end in `~N`, and only if there is none of that name a `~N` is read as one. What a text
may mean is looked for in this order: a run's id; with an `@`, what stands above; the beginning of
an id, its end, a checkpoint's id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectKind
from maverick.checkpoints.refs.refs import SHORTEST_PART, no_such_run
from maverick.checkpoints.trees.checkpoint import Checkpoint
from maverick.errors import NotFound, ObjectMissing, RefDamaged, RevisionAmbiguous, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.refs.refs import Ref

_BEFORE = re.compile(r"(?P<base>.+)~(?P<count>[0-9]{0,9})", re.DOTALL)
_BEFORES = re.compile(r"(~[0-9]{0,9})+\Z")
_NUMBER = re.compile(r"\{(?P<count>[0-9]{1,9})\}(?P<rest>(@.*|(~[0-9]{0,9})+)?)", re.DOTALL)
_LATEST = "latest"
_MOST_CANDIDATES = 8


def resolve(store: StoreFolder, revision: str) -> Checkpoint:
    """Give the checkpoint that *revision* names; of a run, its newest.

    Raises:
        NotFound: it names none; the message has the names most like it.
        RevisionAmbiguous: it abbreviates the ids of several runs or checkpoints, which the message
            lists.
        RefDamaged: the run that it names has a damaged ref.
    """
    named = find_named(store, revision)
    return named if isinstance(named, Checkpoint) else store.checkpoint(named.checkpoint)


def resolve_run(store: StoreFolder, word: str) -> Ref:
    """Give the ref of the run that *word* names; raises as `resolve`, also for a checkpoint."""
    named = find_named(store, word)
    if isinstance(named, Checkpoint):
        raise NotFound(
            f"{word} names a checkpoint of {named.run}, and here a run is meant; {named.run} is one"
        )
    return named


def find_named(store: StoreFolder, revision: str) -> Ref | Checkpoint:
    """Give the ref of the run, or the checkpoint, that *revision* names; raises as `resolve`."""
    ref = _ref(store, revision)
    if ref is not None:
        return ref
    left, separator, right = revision.partition("@")
    if separator:
        return _at(store, left, right)
    ref = _abbreviated(store, revision)
    if ref is not None:
        return ref
    if match := _BEFORE.fullmatch(revision):
        return _before(store, resolve(store, match["base"]), match)
    if ids.is_id_prefix(revision):
        return _by_prefix(store, revision)
    if any(_same_group(revision, ref.group) for ref in store.refs()):
        newest = f"{revision}@{_LATEST} is the newest of that workflow"
        raise NotFound(f"there is no run {revision}; {newest}")
    raise no_such_run(revision, store.run_ids())


def fitting(word: str, runs: Iterable[str]) -> list[str]:
    """Give those of *runs* that *word* can mean, sorted: of that id, else beginning, else ending
    with it.
    """
    names = sorted(set(runs))
    if word in names:
        return [word]
    if len(word) < SHORTEST_PART:
        return []
    return [name for name in names if name.startswith(word)] or [
        name for name in names if name.endswith(word)
    ]


def ambiguous(word: str, runs: list[str], hint: str = "") -> RevisionAmbiguous:
    """Give the error that says that *word* can mean each of *runs*."""
    return _fits(word, f"runs{hint}", len(runs), runs[:_MOST_CANDIDATES])


def _fits(word: str, what: str, count: int, shown: list[str]) -> RevisionAmbiguous:
    lines = [f"{word} fits {count} {what}:", *(f"  {line}" for line in shown)]
    if count > len(shown):
        lines.append(f"  and {count - len(shown)} more")
    return RevisionAmbiguous("\n".join(lines))


def history(store: StoreFolder, start: Checkpoint) -> Iterator[Checkpoint]:
    """Yield *start* and what came before it: parents while they exist, then the labelled
    checkpoints.
    """
    checkpoint: Checkpoint | None = start
    while checkpoint is not None:
        yield checkpoint
        checkpoint = _existing(store, checkpoint.parent) or _existing(store, checkpoint.labelled)


def _existing(store: StoreFolder, checkpoint: CheckpointId) -> Checkpoint | None:
    if not checkpoint:
        return None
    try:
        return store.checkpoint(checkpoint)
    except ObjectMissing:
        return None


def _ref(store: StoreFolder, run: str) -> Ref | None:
    try:
        return store.find_ref(run)
    except UsageError:  # what cannot be the id of a run is none
        return None


def _abbreviated(store: StoreFolder, word: str) -> Ref | None:
    """Give the ref of the one run whose id *word* begins or ends; only its file is read."""
    runs = fitting(word, store.run_ids())
    if len(runs) < 2:
        return store.find_ref(runs[0]) if runs else None
    refs = [ref for ref in store.refs() if ref.run in runs]
    newest_first = [*(ref.run for ref in refs), *sorted({*runs} - {ref.run for ref in refs})]
    is_group = any(_same_group(word, ref.group) for ref in refs)
    hint = f" ({word}@{_LATEST} is the newest of that workflow)" if is_group else ""
    raise ambiguous(word, newest_first, hint)


def _before(
    store: StoreFolder, checkpoint: Checkpoint, match: re.Match[str], prefix: str = ""
) -> Checkpoint:
    """Give what stood as many before *checkpoint* as *match* says; *prefix* stands before its text
    in the message.
    """
    base, count = f"{prefix}{match['base']}", int(match["count"] or 1)
    for steps in range(count):
        parent = _existing(store, checkpoint.parent)
        if parent is None:
            why = "is the first" if not checkpoint.parent else "is the oldest that gc has left"
            raise NotFound(f"there is no {base}~{count}: {base}~{steps} {why}")
        checkpoint = parent
    return checkpoint


def _at(store: StoreFolder, left: str, right: str) -> Ref | Checkpoint:
    ref = _ref(store, left) if left else None
    if ref is not None:
        return _in_run(store, ref, right, f"{left}@")
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    number = _NUMBER.fullmatch(right)
    of_all = not left and (number is not None or _BEFORES.sub("", right) == _LATEST)
    group = [ref for ref in refs if of_all or (left and _same_group(left, ref.group))]
    if group and number is not None:
        return _counted(store, group, damaged, number, left)
    if group:
        return _in_run(store, group[0], right, f"{left}@")
    ref = _abbreviated(store, left)
    if ref is not None:
        return _in_run(store, ref, right, f"{left}@")
    if damaged:
        raise damaged[0]
    if of_all:
        raise NotFound("there is no run yet")
    if not left:
        raise no_such_run(f"@{right}", [ref.run for ref in refs])
    raise no_such_run(left, [*{ref.group for ref in refs if ref.group}, *(ref.run for ref in refs)])


def _same_group(left: str, right: str) -> bool:
    return left.replace("_", "-") == right.replace("_", "-")


def _counted(
    store: StoreFolder,
    refs: list[Ref],
    damaged: list[RefDamaged],
    number: re.Match[str],
    group: str,
) -> Ref | Checkpoint:
    """Give what `{N}` and what stands behind it name among *refs*, the runs of *group* (empty: all)
    newest first.
    """
    count, rest = int(number["count"]), number["rest"]
    name = f"{group}@{{{count}}}"
    if count and damaged:  # One of them may be newer than the run that is meant.
        raise RefDamaged(f"which run {name} is cannot be told: {damaged[0]}") from damaged[0]
    if count >= len(refs):
        what = f"{len(refs)} run{'' if len(refs) == 1 else 's'}"
        of = f" of {group}" if group else ""
        raise NotFound(f"there is no {name}: there {'is' if len(refs) == 1 else 'are'} {what}{of}")
    if not rest:
        return refs[count]
    if rest.startswith("@"):
        return _in_run(store, refs[count], rest[1:], f"{name}@")
    return _in_run(store, refs[count], f"{_LATEST}{rest}", f"{name}@")


def _in_run(store: StoreFolder, ref: Ref, name: str, prefix: str) -> Ref | Checkpoint:
    """Give what *name* is in the run of *ref*; *prefix* stands before it in a message."""
    if name == _LATEST:
        return ref
    if name in ref.tags:
        return store.checkpoint(ref.tags[name])
    labels: dict[str, None] = {}
    labelled = ref.labelled
    while labelled:
        checkpoint = store.checkpoint(labelled)
        if checkpoint.label == name:
            return checkpoint
        labels[checkpoint.label] = None
        labelled = checkpoint.labelled
    if match := _BEFORE.fullmatch(name):
        base = _in_run(store, ref, match["base"], prefix)
        start = base if isinstance(base, Checkpoint) else store.checkpoint(base.checkpoint)
        return _before(store, start, match, prefix)
    names = ", ".join([*labels, *ref.tags]) or "none"
    hint = f"; {ref.group}@{name} counts runs" if ref.group and _NUMBER.fullmatch(name) else ""
    raise NotFound(f"run {ref.run} has no label or tag {name}; it has {names}{hint}")


def _by_prefix(store: StoreFolder, prefix: str) -> Checkpoint:
    ids = sorted(store.objects.packs.with_prefix(prefix, ObjectKind.CHECKPOINT))
    if not ids:
        raise no_such_run(prefix, store.run_ids())
    if len(ids) == 1:
        return store.checkpoint(CheckpointId(ids[0]))
    shown = [store.checkpoint(CheckpointId(candidate)) for candidate in ids[:_MOST_CANDIDATES]]
    lines = [
        f"{it.id[: len(prefix) + 8]}  {it.run}, {it.sequence} ({it.label or it.kind})"
        for it in shown
    ]
    raise _fits(prefix, "checkpoints", len(ids), lines)
