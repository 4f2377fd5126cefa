"""Run workflows; each run is a history that can be resumed, looked into and compared.

Examples:
  maverick run hello.yaml -i name=World
  maverick runs
"""

# Each file here is a command, and each folder a group of them: its docstring is its help, and the
# first line of that its line in the list of commands.
ORDER = ("run", "fly", "refuel", "review", "runs", "workflow", "checkpoint")
