"""The project's files in a checkpoint: taken, compared, and restored.

::

    workspace = open_workspace(root)
    taken = capture(store, workspace)
    checkpoint = store.save(run, taken.changes, parent=checkpoint)   # reads what changed
    plan = plan_restore(store, store.load("fly-1@planned"), workspace)
    store.save(run, capture(store, workspace).changes, parent=checkpoint)   # what undoes it
    plan.execute()
"""

from maverick.checkpoints.workspace.capture import ABOUT, FILES, Capture, CaptureReport, capture
from maverick.checkpoints.workspace.changes import (
    FileChange,
    FileChangeKind,
    diff_files,
    diff_files_below,
    files_of,
    is_binary,
)
from maverick.checkpoints.workspace.reading import Disk
from maverick.checkpoints.workspace.repository import Head
from maverick.checkpoints.workspace.restore import (
    RestorePlan,
    plan_copy,
    plan_missing,
    plan_restore,
)
from maverick.checkpoints.workspace.scan import Workspace, open_workspace
from maverick.checkpoints.workspace.stat_cache import Skipped
from maverick.checkpoints.workspace.tree_writer import Places

__all__ = [
    "ABOUT",
    "FILES",
    "Capture",
    "CaptureReport",
    "Disk",
    "FileChange",
    "FileChangeKind",
    "Head",
    "Places",
    "RestorePlan",
    "Skipped",
    "Workspace",
    "capture",
    "diff_files",
    "diff_files_below",
    "files_of",
    "is_binary",
    "open_workspace",
    "plan_copy",
    "plan_missing",
    "plan_restore",
]
