"""Run workflows; each run is a history that can be resumed, looked into and compared.

Examples:
  maverick run hello.yaml -i name=World
  maverick runs
"""

# Each file here is a command: its docstring is its help, and the first line of that its line in the
# list of commands. `checkpoint_diff.py` is the command `diff` of the group `checkpoint.py`.
ORDER = ("run", "fly", "refuel", "review", "runs", "workflow", "checkpoint")
