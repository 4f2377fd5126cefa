"""What a run may hold that comes from elsewhere: no file of it leads out of its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.checkpoints.workspace.target import is_restorable
from maverick.dsl.journal.tree import ARTIFACTS, DEFINITION, FILES
from maverick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints import Entry, Snapshot, TreeId

    Path = tuple[str, ...]
    Allows = Callable[[str, Entry], bool]


def import_check() -> Callable[[Snapshot], None]:
    """Give a check of the checkpoints of one import, which looks at equal folders once.

    It raises UsageError for a file that no project, or no definition of a workflow, can hold.
    """
    seen: dict[Allows, set[TreeId]] = {is_restorable: set(), _stays_inside: set()}

    def check(snapshot: Snapshot) -> None:
        for folder, allows in _folders(snapshot):
            for path, entry in snapshot.walk_once(folder, seen[allows]):
                if not allows(path[-1], entry):
                    raise UsageError(f"no file of a project can be called {'/'.join(path)!r}")

    return check


def _folders(snapshot: Snapshot) -> Iterator[tuple[Path, Allows]]:
    """Yield the folders that hold files, with what may stand in them."""
    for folder, allows in ((FILES, is_restorable), (DEFINITION, _stays_inside)):
        if _is_folder(snapshot.find(folder)):
            yield folder, allows
    if _is_folder(snapshot.find(ARTIFACTS)):
        # Those of each step stand below its path, which is no name of a file.
        for step, entry in snapshot.entries(ARTIFACTS).items():
            if _is_folder(entry):
                yield (*ARTIFACTS, step), is_restorable


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == "tree"


def _stays_inside(name: str, _: Entry) -> bool:
    """Say whether the file *name* of a definition, which may hold `/`, leads to no folder above."""
    return ".." not in name.split("/") and "\0" not in name
