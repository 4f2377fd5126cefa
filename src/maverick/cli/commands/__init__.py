"""The commands of the program: each file is one, and its docstring is its help.

The first line of that is its line in the list of commands. `checkpoint_diff.py` is the command
`diff` of the group `checkpoint.py`.
"""

ORDER = ("run", "fly", "refuel", "review", "runs", "workflow", "checkpoint")
