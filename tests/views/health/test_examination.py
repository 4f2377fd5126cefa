"""What `maverick doctor` does about what does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from maverick.dsl.processes.stop_request import Stop
from maverick.views.health import examination, programs_health, project_health
from maverick.views.health.checks import Check, Patient


def test_however_many_do_not_answer_the_limit_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They were asked at once: a disk that hangs holds up most of them."""
    answer, clock = threading.Event(), count()

    def hang(_: Patient) -> Iterator[Check]:
        answer.wait()
        yield Check("disk", "ok", "after all")

    def quick(_: Patient) -> Iterator[Check]:
        yield Check("git", "ok", "2.39")

    monkeypatch.setattr(project_health, "probes", lambda _: [("disk", hang)] * 50)
    monkeypatch.setattr(programs_health, "probes", lambda _: [("git", quick)])
    # Each look at the clock finds that ten seconds have passed.
    monkeypatch.setattr(examination, "monotonic", lambda: 10.0 * next(clock))

    checks = examination.examine(None, None, {}, str(tmp_path), Stop())

    answer.set()
    unanswered = Check("disk", "warning", "did not answer within 35 s", "look at the disk")
    assert [*[unanswered] * 50, Check("git", "ok", "2.39")] == checks[1:]
    assert next(clock) <= 60
