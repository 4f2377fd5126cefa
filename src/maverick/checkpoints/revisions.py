"""Revisions, the names that a person gives to checkpoints.

`RUN`, `RUN~2` (two before it), `RUN@LABEL` or `RUN@TAG`, `RUN@latest`, the same of the newest run
of a group (`GROUP@latest`, `GROUP@LABEL`; `-` and `_` are one letter in it), `@latest`, and 4 or
more hexadecimal digits of an id; `~N` may follow any of them. The first `@` ends the run's or
group's name; what follows is a label or tag as it is, which may hold `@` and end in `~N`, and only
if there is none of that name a `~N` is read as one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectKind
from maverick.checkpoints.refs.refs import no_such_run
from maverick.errors import NotFound, ObjectMissing, RefDamaged, RevisionAmbiguous, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.refs.refs import Ref
    from maverick.checkpoints.trees.checkpoint import Checkpoint

_BEFORE = re.compile(r"(?P<base>.+)~(?P<count>[0-9]{0,9})", re.DOTALL)
_BEFORES = re.compile(r"(~[0-9]{0,9})+\Z")
_LATEST = "latest"
_MOST_CANDIDATES = 8


def resolve(store: StoreFolder, revision: str) -> Checkpoint:
    """Give the checkpoint that *revision* names. A run's own id goes before any other reading of
    the text.

    Raises:
        NotFound: it names none; the message has the names most like it.
        RevisionAmbiguous: it abbreviates the ids of several checkpoints, which the message lists.
        RefDamaged: the run that it names has a damaged ref.
    """
    ref = _ref(store, revision)
    if ref is not None:
        return store.checkpoint(ref.checkpoint)
    left, separator, right = revision.partition("@")
    if separator:
        return _at(store, left, right)
    if match := _BEFORE.fullmatch(revision):
        return _before(store, resolve(store, match["base"]), match)
    if ids.is_id_prefix(revision):
        return _by_prefix(store, revision)
    raise no_such_run(revision, [ref.run for ref in store.refs()])


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


def _at(store: StoreFolder, left: str, right: str) -> Checkpoint:
    ref = _ref(store, left) if left else None
    if ref is not None:
        return _in_run(store, ref, right, f"{left}@")
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    group = left.replace("_", "-")
    of_all = not left and _BEFORES.sub("", right) == _LATEST
    fitting = [ref for ref in refs if of_all or group == ref.group.replace("_", "-")]
    if fitting:
        return _in_run(store, fitting[0], right, f"{left}@")
    if damaged:
        raise damaged[0]
    if of_all:
        raise NotFound("there is no run yet")
    if not left:
        raise no_such_run(f"@{right}", [ref.run for ref in refs])
    raise no_such_run(left, [*{ref.group for ref in refs if ref.group}, *(ref.run for ref in refs)])


def _in_run(store: StoreFolder, ref: Ref, name: str, prefix: str) -> Checkpoint:
    """Give what *name* is in the run of *ref*; *prefix* stands before it in a message."""
    if name == _LATEST:
        return store.checkpoint(ref.checkpoint)
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
        return _before(store, _in_run(store, ref, match["base"], prefix), match, prefix)
    names = ", ".join([*labels, *ref.tags]) or "none"
    raise NotFound(f"run {ref.run} has no label or tag {name}; it has {names}")


def _by_prefix(store: StoreFolder, prefix: str) -> Checkpoint:
    ids = sorted(store.objects.packs.with_prefix(prefix, ObjectKind.CHECKPOINT))
    if not ids:
        raise no_such_run(prefix, [ref.run for ref in store.refs()])
    if len(ids) == 1:
        return store.checkpoint(CheckpointId(ids[0]))
    lines = []
    for candidate in ids[:_MOST_CANDIDATES]:
        one = store.checkpoint(CheckpointId(candidate))
        lines.append(
            f"  {candidate[: len(prefix) + 8]}  {one.run}, {one.sequence} ({one.label or one.kind})"
        )
    more = f"\n  and {len(ids) - _MOST_CANDIDATES} more" if len(ids) > _MOST_CANDIDATES else ""
    raise RevisionAmbiguous(f"{prefix} fits {len(ids)} checkpoints:\n" + "\n".join(lines) + more)
