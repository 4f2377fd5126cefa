"""What `maverick doctor` finds: one record for each thing that it looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from maverick.dsl.processes.processes import Processes
    from maverick.dsl.processes.stop_request import Stop
    from maverick.project import Project

Health = Literal["ok", "warning", "wrong"]
PROBE_SECONDS: Final = 20.0
"""How long a program may take to say its version, or whether somebody is logged in."""
CALL_SECONDS: Final = 180.0
"""How long an agent may take to answer."""


class Check(NamedTuple):
    """One thing that was looked at. `advice` says what to do about what is not `ok`."""

    area: str
    status: Health
    message: str
    advice: str = ""


@record(kw_only=True)
class Patient:
    """What is looked at: the *project*, None where there is none to be had, and with what."""

    project: Project | None
    environment: Mapping[str, str]
    folder: str
    """Where programs are started."""
    processes: Processes
    stop: Stop
    deep: bool


Probe = tuple[str, "Callable[[Patient], Iterable[Check]]"]
"""The area that it is about, and what looks."""
