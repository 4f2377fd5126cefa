"""A child of this Python: a module of maverick whose work has to be stopped from outside, in a
process of its own.
"""

from __future__ import annotations

import sys

_BEGIN = """
import sys
module, path, *words = sys.argv[1:]
sys.path[:] = path.split("\\n")
del sys.argv[1:]
from importlib import import_module
import_module(module).main(*words)
"""


def python_command(module: str, *words: str) -> list[str]:
    """The command that calls `main(*words)` of *module*, which imports from where this process
    does.

    The path is handed over beside the environment: what the child starts itself has the user's
    PYTHONPATH. Nothing of the current folder is taken for a module (`-P`).
    """
    return [sys.executable, "-P", "-c", _BEGIN, module, "\n".join(filter(None, sys.path)), *words]
