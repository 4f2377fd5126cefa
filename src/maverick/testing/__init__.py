"""Tests of workflows: runs in a scratch project, with answers in the place of agents and actions.

Each name is loaded when it is first used, so that the pytest plugin costs nothing where no test
asks for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.dsl.standins import Asked
    from maverick.testing.doubles import Call, Reply
    from maverick.testing.harness import Rehearsed, run_workflow
    from maverick.testing.plugin import Maverick

__all__ = ["Asked", "Call", "Maverick", "Rehearsed", "Reply", "run_workflow"]

_HOMES = {
    "Asked": "maverick.dsl.standins",
    "Call": "maverick.testing.doubles",
    "Maverick": "maverick.testing.plugin",
    "Rehearsed": "maverick.testing.harness",
    "Reply": "maverick.testing.doubles",
    "run_workflow": "maverick.testing.harness",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    """Load a public name from the module that it is defined in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
