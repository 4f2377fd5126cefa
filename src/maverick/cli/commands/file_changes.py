"""The differences between the files of two checkpoints, as people and scripts read them.

Contents are read one file at a time, when they are printed. Text is compared line by line; of what
is binary, or longer than a person reads, the size is shown.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.checkpoints.objects.ids import ObjectId
from maverick.checkpoints.trees.diff import diff_trees
from maverick.checkpoints.workspace import FileChange, change_of, is_binary, tree_of
from maverick.cli.terminal.render import size
from maverick.dsl.paths import is_within
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints import Entry, Snapshot, Store

TEXT_LIMIT_BYTES: Final = 1_000_000
LINK, FOLDER = "120000", "040000"
_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "mode": "~"}


class FileLine(NamedTuple):
    """One file, link or empty folder that differs; `path` such as `workspace/src/app.py`."""

    path: str
    it: FileChange
    store: Store

    @property
    def change(self) -> str:
        """`added`, `removed` or `changed`, which a file is of which only the mode differs, too."""
        return "changed" if self.it.change == "mode" else self.it.change

    def rows(self) -> list[dict[str, Any]]:
        """Give it as mappings: of the modes, where both sides have one and they differ; of the
        contents.
        """
        it, rows = self.it, []
        if it.old_mode and it.new_mode and it.old_mode != it.new_mode:
            rows.append(_row(self.path, "changed", {"mode": it.old_mode}, {"mode": it.new_mode}))
        if it.change != "mode":
            old, new = (self._side(*side) for side in self._sides())
            rows.append(_row(self.path, it.change, old, new))
        return rows

    def short(self) -> str:
        """Give it as a line without contents."""
        old, new = (_short(mode, count) for mode, _, count in self._sides())
        mode = f" ({self.it.old_mode} -> {self.it.new_mode})" if self._has_other_mode() else ""
        what = {"added": new, "removed": old, "mode": ""}.get(self.it.change, f"{old} -> {new}")
        return (
            f"{_SIGNS[self.it.change]} {one_line(self.path)}{mode}{f': {what}' if what else ''}\n"
        )

    def full(self) -> str:
        """Give it with its contents: text as a unified diff, links by where they lead, the rest by
        its size.
        """
        old, new = (self._side(*side) for side in self._sides())
        if (
            self.it.change == "mode"
            or not isinstance(old, str | None)
            or not isinstance(new, str | None)
        ):
            return self._with_links(old, new)
        body = list(unified_diff(_lines(old), _lines(new), "old", "new", lineterm=""))[2:]
        if not body and old and new:  # Only one ends in a newline.
            return self.short()
        mode = f" ({self.it.old_mode} -> {self.it.new_mode})" if self._has_other_mode() else ""
        head = f"{_SIGNS[self.it.change]} {one_line(self.path)}{mode}\n"
        return head + "".join(f"    {one_line(line.expandtabs())}\n" for line in body)

    def _with_links(self, old: Any, new: Any) -> str:
        ends = [
            f"link to {one_line(it['link'])}" if isinstance(it, dict) and "link" in it else ""
            for it in (old, new)
        ]
        if not any(ends):
            return self.short()
        shown = [
            end or _short(mode, count)
            for end, (mode, _, count) in zip(ends, self._sides(), strict=True)
        ]
        what = " -> ".join(it for it in shown if it)
        return f"{_SIGNS[self.it.change]} {one_line(self.path)}: {what}\n"

    def _has_other_mode(self) -> bool:
        return bool(self.it.old_mode and self.it.new_mode) and self.it.old_mode != self.it.new_mode

    def _sides(self) -> tuple[tuple[str, ObjectId, int], tuple[str, ObjectId, int]]:
        it = self.it
        return (it.old_mode, it.old_id, it.old_size), (it.new_mode, it.new_id, it.new_size)

    def _side(self, mode: str, blob: ObjectId, count: int) -> Any:
        """Give what a side holds: text as it is, what else as a mapping that says what it is; None
        for nothing.
        """
        if not mode:
            return None
        if mode == FOLDER:
            return {"mode": FOLDER}
        if mode == LINK:
            return {"link": self.store.read(blob).decode("utf-8", "surrogateescape")}
        binary = {"bytes": count, "blake3": blob}
        if count > TEXT_LIMIT_BYTES or self.it.change == "mode":
            return binary
        data = self.store.read(blob)
        try:
            return binary if is_binary(data) else data.decode("utf-8")
        except UnicodeDecodeError:
            return binary


def file_lines(store: Store, old: Snapshot, new: Snapshot, step: str = "") -> Iterator[FileLine]:
    """Yield what differs between the files of two checkpoints: the artifacts of steps, then the
    project's files.

    These are compared where both hold some. *step* limits it to the artifacts of that step and
    those below.
    """
    for path, before, after in _differing(store, old, new, "artifacts"):
        if not step or is_within(path[0], step):
            yield _line(store, "artifacts", path, before, after)
    if not step and holds_files(old) and holds_files(new):
        for path, before, after in _differing(store, old, new, "workspace"):
            yield _line(store, "workspace", path, before, after)


def holds_files(snapshot: Snapshot) -> bool:
    """Whether the checkpoint holds the project's files."""
    return snapshot.find(("workspace",)) is not None


def _differing(
    store: Store, old: Snapshot, new: Snapshot, top: str
) -> Iterator[tuple[tuple[str, ...], Entry | None, Entry | None]]:
    before, after = (tree_of(it.find((top,))) for it in (old, new))
    for it in diff_trees(store, before, after):
        was, now = (
            entry if entry is None or entry.kind != "tree" else None for entry in (it.old, it.new)
        )
        yield it.path, was, now


def _line(
    store: Store, top: str, path: tuple[str, ...], before: Entry | None, after: Entry | None
) -> FileLine:
    name = "/".join((top, *path))
    return FileLine(name, change_of(name, before, after), store)


def _row(path: str, change: str, old: Any, new: Any) -> dict[str, Any]:
    return {"path": path, "change": change, "old": old, "new": new}


def _short(mode: str, count: int) -> str:
    match mode:
        case "":
            return ""
        case "040000":
            return "empty folder"
        case "120000":
            return "link"
        case _:
            return size(count)


def _lines(text: str | None) -> list[str]:
    lines = (text or "").split("\n")
    return lines if lines[-1] else lines[:-1]
