"""Look at what runs recorded, compare it, and tidy it.

A run is named by its id, by what begins or ends that id and no other (three characters or more,
such as k3x9), or by its place: @latest is the newest run, @{1} the one before it, fly@latest and
fly@{1} are the same of the runs of a workflow.

A revision names a checkpoint: a run (its newest), k3x9~2 (two before it), k3x9@LABEL, fly@LABEL (of
the workflow's newest run), or four or more digits of an id. REV:PATH names what is in it, such as
steps.plan.output. The first @ ends the run's name; a label may hold others. ~2 comes after a label.

Examples:
  maverick checkpoint log @latest
  maverick checkpoint show @latest:steps.plan.output
"""

ORDER = (
    "list",
    "log",
    "show",
    "cat",
    "diff",
    "create",
    "restore",
    "tag",
    "drop",
    "fork",
    "edit",
    "undo",
    "export",
    "import",
    "gc",
    "fsck",
)
