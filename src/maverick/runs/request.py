"""What is asked for: which run of what, and who watches it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Literal, TypeAlias

from maverick.dsl.events import Event, Observer, guarded, ignore
from maverick.dsl.processes.stop_request import Stop
from maverick.record import record

if TYPE_CHECKING:
    from maverick.values import Value

Policy: TypeAlias = Literal["refuse", "rerun", "recorded"]
"""What becomes of finished steps that would run again: refuse, run them, keep their records."""


@record(kw_only=True)
class Request:
    """What is asked for. `inputs` holds texts (from a command line) and values (from a file)."""

    workflow: str = ""
    inputs: Mapping[str, Value] = field(default_factory=dict)
    run: str = ""
    """What a new run is called; empty: by an id of its own."""
    revision: str = ""
    """To resume from; empty: the newest run of the workflow that fits."""
    policy: Policy = "refuse"
    change_inputs: bool = False
    workspace: Literal["", "restore", "force-restore", "keep"] = ""
    """What becomes of the project's files if they differ from those last kept; empty: ask, or keep.

    Only `force-restore` restores them although HEAD has moved.
    """
    from_step: str = ""
    """The path of a step that runs again with what follows it in its chain."""
    skip: Mapping[str, Value] = field(default_factory=dict)
    """Paths of steps that count as skipped, with their outputs."""

    @property
    def amends(self) -> bool:
        """Whether something is to be other than recorded, by hand."""
        return bool(self.from_step or self.skip)


@record
class Session:
    """Who watches an execution, and who may stop it."""

    observe: Observer = ignore
    stop: Stop = field(default_factory=Stop)
    ask: Callable[[str], bool] | None = None
    """Asks a person a question; None where there is nobody to be asked."""
    shows_prints: bool = False
    """Whether `observe` shows what actions print; else it goes to where they print it, too."""
    is_guest: bool = False
    """Whether the process has other work than the run: then what steps print goes to standard
    error, and only processes that the run started are waited for.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "observe", guarded(self.observe))

    def tell(self, text: str) -> None:
        """Give whoever watches a notice."""
        self.observe(Event(event="notice", message=text))


def new_run_id(workflow: str) -> str:
    """Make an id such as `fly-20261123-101502-k3x9`: sortable by time, easy to say."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    suffix = "".join(random.SystemRandom().choice(alphabet) for _ in range(4))
    return f"{workflow}-{time.strftime('%Y%m%d-%H%M%S')}-{suffix}"
