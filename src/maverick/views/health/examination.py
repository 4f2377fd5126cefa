"""Whether all is in place that runs need: what `maverick doctor` looks at, and what to do.

Each probe has a limit of time, and they are made side by side: one that hangs delays nobody. What a
program prints is not repeated, but for its version: there may be a credential in it.
"""

from __future__ import annotations

import platform
import threading
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Final

from maverick.dsl.processes.processes import Processes, Stopped
from maverick.errors import MaverickError, WorkflowInvalid
from maverick.views.health import programs_health, project_health
from maverick.views.health.checks import CALL_SECONDS, PROBE_SECONDS, Check, Patient
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maverick.dsl.processes.stop_request import Stop
    from maverick.project import Project
    from maverick.views.health.checks import Probe

_MARGIN_SECONDS: Final = 15.0


def examine(
    project: Project | None,
    refused: MaverickError | None,
    environment: Mapping[str, str],
    folder: str,
    stop: Stop,
    *,
    deep: bool = False,
) -> list[Check]:
    """Look at everything; give what was found, by area.

    *refused* says why there is no *project*. With *deep* each agent is asked for a word, which
    costs what a short call costs.

    Raises:
        Stopped: A stop was requested.
    """
    processes = Processes(stop, lambda _groups: None, grace=1.0)
    patient = Patient(
        project=project,
        environment=environment,
        folder=folder,
        processes=processes,
        stop=stop,
        deep=deep,
    )
    checks = [Check("maverick", "ok", f"{version('maverick')}, Python {platform.python_version()}")]
    if refused is not None:
        checks += _problems("project", refused)
    try:
        probes = [*project_health.probes(patient), *programs_health.probes(patient)]
        limit = (CALL_SECONDS if deep else PROBE_SECONDS) + _MARGIN_SECONDS
        for found in _side_by_side(patient, probes, limit):
            checks += found
    finally:
        processes.close()
    return checks


def _side_by_side(patient: Patient, probes: Sequence[Probe], limit: float) -> list[Sequence[Check]]:
    """Make all *probes* at once; one that does not end in time is a warning."""
    results: list[Sequence[Check] | Exception | None] = [None] * len(probes)

    def look(number: int) -> None:
        area, probe = probes[number]
        try:
            results[number] = list(probe(patient))
        except MaverickError as error:
            results[number] = _problems(area, error)
        except OSError as error:
            results[number] = [
                Check(area, "wrong", f"cannot be looked at: {error.strerror or error}")
            ]
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            results[number] = error

    threads = [
        threading.Thread(target=look, args=(number,), daemon=True) for number in range(len(probes))
    ]
    for thread in threads:
        thread.start()
    found: list[Sequence[Check]] = []
    end = monotonic() + limit
    for (area, _), number, thread in zip(probes, range(len(probes)), threads, strict=True):
        while thread.is_alive() and monotonic() < end and not patient.stop.requested:
            thread.join(0.2)
        result = results[number]
        if patient.stop.requested:
            raise Stopped(patient.stop.reason)
        if isinstance(result, Exception):
            raise result
        found.append(
            result
            if result is not None
            else [
                Check(area, "warning", f"did not answer within {limit:.0f} s", "look at the disk")
            ]
        )
    return found


def _problems(area: str, error: MaverickError) -> list[Check]:
    if isinstance(error, WorkflowInvalid):
        return [Check(area, "wrong", one_line(str(problem))) for problem in error.problems]
    message, _, advice = str(error).partition("; ")
    return [Check(area, "wrong", one_line(message), one_line(advice))]
