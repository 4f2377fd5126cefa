"""Messages of a workflow to whoever watches it; used alone, to the logger `maverick.workflow`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal

from maverick.dsl.processes.commands import notice
from maverick.errors import StepFailed
from maverick.visible import visible

Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_LOGGER = logging.getLogger("maverick.workflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What was said."""

    message: str
    level: Level = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What would have been done."""

    operation: str
    details: list[str] = field(default_factory=list)
    dry_run: bool = True


def log_message(message: str, level: Level = "info") -> Message:
    """Tell *message* to whoever watches the run, and give it; `debug` goes only to the logger."""
    if level not in _LEVELS:
        raise StepFailed(f"there is no level {level!r}; there are {', '.join(_LEVELS)}")
    _tell(message, level)
    return Message(message=message, level=level)


def log_dry_run(operation: str, details: list[str] | None = None) -> DryRun:
    """Say what a run would do, as a note, and change nothing."""
    lines = [str(detail) for detail in details or []]
    _tell("; ".join([f"dry run, would {operation}", *lines]), "info")
    return DryRun(operation=operation, details=lines)


def _tell(message: str, level: Level) -> None:
    if level == "debug":
        _LOGGER.debug("%s", visible(message))
    else:
        notice(message, level=_LEVELS[level])
