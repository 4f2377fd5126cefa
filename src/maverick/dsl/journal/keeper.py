"""Which checkpoints of a run keep the project's files.

A workflow says so for all of them (`checkpoints: {workspace: label}`), a checkpoint step for
itself. A checkpoint that keeps files keeps them as they were when it was made; one that does not
keep any has none, so that the files and the records of a checkpoint always belong together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.dsl.journal.tree import FILES
from maverick.errors import FilesDiffer, StepFailed, UsageError, WorkspaceUnwritable
from maverick.visible import list_names

if TYPE_CHECKING:
    from maverick.checkpoints import Content, Entry, Store
    from maverick.checkpoints.workspace import Capture
    from maverick.dsl.workflow.model import KeepFiles

_NAMED_FILES = 5
"""Of those that are left out, in a notice."""


class Keeper:
    """Takes the files for the checkpoints of one run, as they are.

    *tell* hears which are left out and why, and of which that were read *holds_secret* is true.
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

    def take_files(self, *, asked: KeepFiles | None, labelled: bool) -> Capture | None:
        """Give the files for the checkpoint that is about to be saved; None if it keeps none.

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

    def tell_of(self, capture: Capture) -> None:
        """Tell what was left out, unless that was told before, and what should not be kept."""
        skipped = [file for file in capture.report.skipped if file not in self._told]
        if skipped:
            names = [f"{file.path} ({file.reason})" for file in skipped]
            self._tell(f"not in the checkpoint: {list_names(names, _NAMED_FILES)}")
        self._told.update(skipped)
        if capture.watched:
            names = sorted(capture.watched)
            self._tell(
                "warning: the checkpoint keeps files that hold a secret: "
                f"{list_names(names, _NAMED_FILES)}"
            )


def take_artifacts(store: Store, root: Path, globs: tuple[str, ...]) -> Content:
    """Give the files under *root* that match *globs*, ignored ones included, for a save.

    Nothing is read before it.

    Raises:
        StepFailed: *root* is `/` or the home folder.
    """
    from maverick.checkpoints.workspace import capture, open_workspace  # noqa: PLC0415

    try:
        files = capture(store, open_workspace(root, globs=globs, ignored=True)).changes[FILES]
    except UsageError as error:
        raise StepFailed(f"the step's artifacts cannot be kept: {error}") from error
    if files is None:
        raise AssertionError("a capture always has files")
    return files


def bring_back(store: Store, kept: Entry, root: Path) -> list[str]:
    """Write those files of *kept* that are no longer under *root*; give their paths.

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
