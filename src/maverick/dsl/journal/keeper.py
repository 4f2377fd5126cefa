"""Which checkpoints of a run keep the project's files.

A workflow says so for all of them (`checkpoints: {workspace: label}`), a checkpoint step for
itself. A checkpoint that keeps files keeps them as they were when it was made; one that does not
keep any has none, so that the files and the records of a checkpoint always belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.dsl.journal.tree import FILES
from maverick.errors import FilesDiffer, StepFailed, UsageError, WorkspaceUnwritable

if TYPE_CHECKING:
    from maverick.checkpoints import Content, Entry, Store
    from maverick.checkpoints.workspace import Capture
    from maverick.dsl.workflow.model import KeepFiles, Step, Workflow

SHOWN = 5
"""Names of files that are left out, in a notice."""


class Keeper:
    """Takes the files for the checkpoints of one run. *tell* hears which ones are left out, and
    why.

    Files are kept as they are. Of those that are read, it also hears which hold what *holds_secret*
    is true of.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        mode: str,
        tell: Callable[[str], None],
        *,
        holds_secret: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._store = store
        self._root = root
        self._mode = mode
        self._tell = tell
        self._holds_secret = holds_secret
        self._told: set[object] = set()

    def take(self, *, asked: KeepFiles | None, labelled: bool) -> Capture | None:
        """The files for the checkpoint that is about to be saved; None if it keeps none.

        *asked* is what a checkpoint step says. Nothing is read before the save.

        Raises:
            StepFailed: The project's folder is `/` or the home folder, or git does not say which
                files there are.
        """
        wanted = (
            asked
            if asked is not None
            else self._mode == "step" or (self._mode == "label" and labelled)
        )
        if wanted is False or wanted == ():
            return None
        from maverick.checkpoints.workspace import capture, open_workspace  # noqa: PLC0415 - only where files are kept

        try:
            workspace = open_workspace(self._root, globs=() if wanted is True else wanted)
            return capture(self._store, workspace, watch_for=self._holds_secret)
        except UsageError as error:
            raise StepFailed(f"the checkpoint cannot keep the files: {error}") from error

    def took(self, taken: Capture) -> None:
        """Tell what was left out, unless that was told before, and what should not be kept."""
        skipped = [it for it in taken.report.skipped if it not in self._told]
        if skipped:
            self._tell(
                f"not in the checkpoint: {_some([f'{it.path} ({it.reason})' for it in skipped])}"
            )
        self._told.update(skipped)
        if taken.watched:
            self._tell(
                "warning: the checkpoint keeps files that hold a secret: "
                f"{_some(sorted(taken.watched))}"
            )


def take_artifacts(store: Store, root: Path, globs: tuple[str, ...]) -> Content:
    """The files under *root* that match *globs*, ignored ones included, for a save. Nothing is read
    before it.

    Raises:
        StepFailed: *root* is `/` or the home folder.
    """
    from maverick.checkpoints.workspace import capture, open_workspace  # noqa: PLC0415

    try:
        taken = capture(store, open_workspace(root, globs=globs, ignored=True)).changes[FILES]
    except UsageError as error:
        raise StepFailed(f"the step's artifacts cannot be kept: {error}") from error
    if taken is None:
        raise AssertionError("a capture always has files")
    return taken


def bring_back(store: Store, kept: Entry, root: Path) -> list[str]:
    """Write those of the files *kept* that are not under *root* any more; give their paths.

    Raises:
        StepFailed: One cannot be written.
    """
    from maverick.checkpoints.workspace import plan_missing  # noqa: PLC0415

    plan = plan_missing(store, kept, root)
    try:
        plan.execute()
    except (FilesDiffer, WorkspaceUnwritable) as error:
        raise StepFailed(
            f"an artifact of the recalled step cannot be brought back: {error}"
        ) from error
    return [change.path for change in plan.changes]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def keeps_files(workflow: Workflow, steps: Iterable[Step]) -> bool:
    """Whether any checkpoint of a run of *workflow*, which comes to *steps*, keeps files."""
    asked = (step.kept_files() for step in steps)
    return workflow.workspace != "false" or any(it not in {None, False, ()} for it in asked)
