"""The actions that ship: plain functions that work on the folder *cwd* (default: the current one).

Each can be used alone: `from maverick.library.actions import git_commit`. A step gives it the
folder that it runs in as *cwd*. What goes wrong is a `StepFailed` that says what, which, and what
to do. All of them are safe to repeat.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Any action by its name, imported when it is asked for."""
    from importlib import import_module  # noqa: PLC0415

    from maverick.library import ACTIONS  # noqa: PLC0415

    if name not in ACTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = ACTIONS[name].partition(":")
    return getattr(import_module(module), function)


def __dir__() -> list[str]:
    from maverick.library import ACTIONS  # noqa: PLC0415

    return sorted(ACTIONS)
