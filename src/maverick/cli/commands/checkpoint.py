"""Look at what runs recorded, compare it, and tidy it.

A revision names a checkpoint: RUN (its newest), RUN~2 (two before it), RUN@LABEL, @latest (of all
runs), fly@latest (of a workflow's runs), or four or more digits of an id. REV:PATH names what is in
it, such as steps.plan.output. The first @ ends the run's name; a label may hold others. ~2
comes after a label.

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
