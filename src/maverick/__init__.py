"""maverick runs workflows written in YAML and keeps every run as a git-like history.

`run` and `resume` execute workflows, `open` gives a project with its runs. Each name is loaded when
it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from maverick.api.look import Outcome, Project, Run, open  # noqa: A004 - as `Store.open`
    from maverick.api.run_steps import Step
    from maverick.api.runner import resume, run
    from maverick.errors import MaverickError

__all__ = ["MaverickError", "Outcome", "Project", "Run", "Step", "open", "resume", "run"]

_HOMES = {
    "MaverickError": "errors",
    "Outcome": "api.look",
    "Project": "api.look",
    "Run": "api.look",
    "Step": "api.run_steps",
    "open": "api.look",
    "resume": "api.runner",
    "run": "api.runner",
}


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> object:
    """Load a public name from the module that it is defined in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
