"""Messages of a workflow to whoever watches it, through the logger `maverick.workflow`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal

from maverick.errors import StepFailed
from maverick.visible import visible

Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
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
    """Log a message and give it as output."""
    if level not in _LEVELS:
        raise StepFailed(f"there is no level {level!r}; there are {', '.join(_LEVELS)}")
    _LOGGER.log(_LEVELS[level], "%s", visible(message))
    return Message(message=message, level=level)


def log_dry_run(operation: str, details: list[str] | None = None) -> DryRun:
    """Say what a run would do, and change nothing."""
    lines = [str(detail) for detail in details or []]
    text = f"dry run, would {operation}" + "".join(f"\n- {line}" for line in lines)
    _LOGGER.info("%s", visible(text))
    return DryRun(operation=operation, details=lines)
