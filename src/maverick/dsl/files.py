"""Which checkpoints of a run keep the project's files.

A workflow says so for all of them (`checkpoints: {workspace: label}`), a checkpoint step for itself. A checkpoint that
keeps files keeps them as they were when it was made; one that does not keep any has none, so that the files and the
records of a checkpoint always belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.dsl.model import CheckpointStep
from maverick.errors import StepFailed, UsageError

if TYPE_CHECKING:
    from maverick.checkpoints import Store
    from maverick.checkpoints.workspace import Capture
    from maverick.dsl.model import Step, Workflow, Workspace

SHOWN = 5
"""Names of files that are left out, in a notice."""


class Keeper:
    """Takes the files for the checkpoints of one run. *tell* hears which ones are left out, and why."""

    def __init__(self, store: Store, root: Path, mode: str, tell: Callable[[str], None]) -> None:
        self._store = store
        self._root = root
        self._mode = mode
        self._tell = tell
        self._told: tuple[object, ...] = ()

    def take(self, *, asked: Workspace | None, labelled: bool) -> Capture | None:
        """The files for the checkpoint that is about to be saved; None if it keeps none.

        *asked* is what a checkpoint step says. Nothing is read before the save.

        Raises:
            StepFailed: The project's folder is `/` or the home folder, or git does not say which files there are.
        """
        wanted = asked if asked is not None else self._mode == "step" or (self._mode == "label" and labelled)
        if wanted is False or wanted == ():
            return None
        from maverick.checkpoints.workspace import capture, open_workspace  # noqa: PLC0415 - only where files are kept

        try:
            workspace = open_workspace(self._root, globs=() if wanted is True else wanted)
            return capture(self._store, workspace)
        except UsageError as error:
            raise StepFailed(f"the checkpoint cannot keep the files: {error}") from error

    def took(self, taken: Capture) -> None:
        """Tell what was left out, when it is not what was left out before."""
        skipped = taken.report.skipped
        if skipped and skipped != self._told:
            names = ", ".join(f"{it.path} ({it.reason})" for it in skipped[:SHOWN])
            more = f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
            self._tell(f"not in the checkpoint: {names}{more}")
        self._told = skipped


def keeps_files(workflow: Workflow, steps: Iterable[Step]) -> bool:
    """Whether any checkpoint of a run of *workflow*, which comes to *steps*, keeps files."""
    asked = (step.workspace for step in steps if isinstance(step, CheckpointStep))
    return workflow.workspace != "false" or any(it not in {None, False, ()} for it in asked)
