"""The commands of the program: each file is one, and its docstring is its help.

The first line of that is its line in the list of commands. `checkpoint_diff.py` is the command
`diff` of the group `checkpoint.py`; where ALSO names it, it stands at the top as well.
"""

ORDER = (
    "run",
    "resume",
    "fly",
    "refuel",
    "review",
    "runs",
    "show",
    "logs",
    "log",
    "why",
    "diff",
    "watch",
    "report",
    "graph",
    "undo",
    "gc",
    "workflow",
    "new",
    "schema",
    "doctor",
    "checkpoint",
)
ALSO = {
    "log": "checkpoint_log",
    "diff": "checkpoint_diff",
    "undo": "checkpoint_undo",
    "gc": "checkpoint_gc",
}
"""Commands of a group that stand at the top, too, by their files."""
