"""A stop that is asked for before a resumption runs anything."""

from __future__ import annotations

import pytest

from kit.runs import Runs
from maverick.dsl.processes.stop_request import Stop
from maverick.errors import Interrupted
from maverick.project import Project
from maverick.runs.request import Request, Session
from maverick.runs.resume import resume


def test_a_stop_while_a_resumption_checks_what_changed_interrupts_it(runs: Runs) -> None:
    """It is no fault of maverick's, and the run stands where it stood."""
    runs.flow("- {name: a, type: python, action: unless, args: [a, ready]}")
    runs.start()
    before = runs.store.ref(runs.run)
    stop = Stop()
    stop.request("SIGINT")

    with pytest.raises(Interrupted, match="before anything ran"):
        resume(
            Project(runs.root, {}),
            Request(workflow="flow.yaml"),
            Session(lambda _event: None, stop, None),
        )

    assert before == runs.store.ref(runs.run)
