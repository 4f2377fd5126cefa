"""What is waited for when a limit is met, or the model's server fails, and what is said when time
runs out.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.agents import Agents
from kit.patience import GROWING_SECONDS
from maverick.dsl.agents.limits import seconds_to_wait
from maverick.dsl.processes.stop_request import Stop

NOW = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)


@pytest.fixture
def pauses(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; none of them takes any time."""
    made: list[float] = []
    wait = Stop.wait

    def note(stop: Stop, timeout: float | None = None) -> bool:
        made.append(-1.0 if timeout is None else timeout)
        return wait(stop, 0.0)

    monkeypatch.setattr("maverick.dsl.agents.conversation.TRANSPORT_PAUSE_SECONDS", 5.0)
    monkeypatch.setattr(Stop, "wait", note)
    return made


# --- pauses ---------------------------------------------------------------------------------------


def test_pauses_grow_while_a_limit_holds(agents: Agents, pauses: list[float]) -> None:
    execution = agents.ask("codex", *[{"status": 429}] * 4, {"text": "After all."})

    assert "After all." == execution.output
    assert [5.0, 15.0, 45.0, 135.0] == pauses
    assert execution.notices[-1].endswith(
        "last status: 429 Too Many Requests; one more attempt in 135 s"
    )


def test_an_overloaded_server_is_given_time_as_well(agents: Agents, pauses: list[float]) -> None:
    agents.failure("claude", {"status": 529})

    assert [5.0, 15.0, 45.0, 135.0, 405.0] == pauses


def test_a_server_that_fails_is_asked_once_more_only(agents: Agents, pauses: list[float]) -> None:
    agents.failure("claude", {"status": 500})

    assert [5.0] == pauses


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("codex", "You've hit your usage limit. Try again in 3 minutes 20 seconds."),
        ("gemini", '{"error": {"code": 429, "message": "Quota exceeded. Please retry in 200s."}}'),
        ("opencode", "rate limit reached, retry-after: 200"),
    ],
)
def test_what_the_program_says_of_the_limit_is_waited_for(
    agents: Agents, pauses: list[float], provider: str, message: str
) -> None:
    execution = agents.ask(provider, {"message": message}, {"text": "After all."})

    assert "After all." == execution.output
    assert [201.0] == pauses


def test_a_limit_that_holds_too_long_is_told_with_its_end(
    agents: Agents, pauses: list[float]
) -> None:
    error = agents.failure(
        "codex", {"message": "You've hit your usage limit. Try again in 3 hours."}
    )

    assert "; resume at " in error
    assert error.endswith(": a step waits for a limit for 60 min at most")
    assert [] == pauses


def test_a_pause_never_outlasts_the_steps_time(agents: Agents, pauses: list[float]) -> None:
    error = agents.failure("claude", {"status": 429}, more="timeout: 450s")

    assert [5.0, 15.0, 45.0, 135.0] == pauses
    assert error.endswith(
        "; the timeout of 450 s of the agent helper left no time for one more attempt"
    )


def test_an_attempt_that_has_no_time_to_succeed_is_not_begun(
    agents: Agents, pauses: list[float]
) -> None:
    """A tenth of the limit, at least 30 s, has to be left: a program alone takes some seconds to
    start.
    """
    agents.failure("claude", {"message": "rate limit: retry in 72s"}, more="timeout: 100s")

    assert [] == pauses


def test_a_request_to_stop_ends_a_pause(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(stop: Stop, timeout: float | None = None) -> bool:
        stop.request("SIGINT")
        return True

    monkeypatch.setattr(Stop, "wait", interrupt)

    execution = agents.ask("claude", {"status": 429})

    assert "paused" == execution.status
    assert 1 == len(agents.calls)


@pytest.mark.parametrize(("status", "expected"), [("rejected", [61.0]), ("allowed_warning", [5.0])])
def test_claude_tells_when_the_limit_of_the_account_ends(
    agents: Agents,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    expected: list[float],
) -> None:
    monkeypatch.setattr("maverick.dsl.agents.providers.claude.time.time", lambda: 1_796_000_000.0)
    limit = {"status": status, "resetsAt": 1_796_000_060}

    agents.ask("claude", {"status": 429, "rate_limit": limit}, {})

    assert expected == pauses


# --- what is said ---------------------------------------------------------------------------------


def test_a_key_that_is_refused_again_and_again_ends_the_program(agents: Agents) -> None:
    """Claude would go on for three minutes."""
    error = agents.failure("claude", {"retries": 3, "status": 401, "hang": True})

    assert (
        "agent helper: the model's server answered 401 (authentication_failed) 3 times; it was "
        "ended\n"
        "log in with `claude` and /login, or set ANTHROPIC_API_KEY" == error
    )


def test_a_key_that_is_refused_once_is_given_a_chance(agents: Agents) -> None:
    """A login is renewed by the program itself."""
    assert (
        "Done."
        == agents.ask(
            "claude", {"retries": 2, "status": 401, "text": "Done.", "healed": True}
        ).output
    )


def test_a_timeout_says_what_the_server_answered_last(agents: Agents) -> None:
    for seconds in GROWING_SECONDS:
        error = agents.failure(
            "claude", {"retries": 2, "status": 401, "hang": True}, more=f"timeout: {seconds}"
        )
        if "last answer" in error:
            break

    assert error.endswith(
        f" took longer than the timeout of {seconds:g} s of the agent helper and was stopped; "
        "the last answer of the model's server was 401 "
        "(authentication_failed)\nlog in with `claude` and /login, or set ANTHROPIC_API_KEY"
    )


def test_a_timeout_of_a_later_call_names_the_configured_time_and_why_it_began_late(
    agents: Agents,
) -> None:
    for seconds in GROWING_SECONDS:
        error = agents.failure(
            "claude", {"status": 503}, {"hang": True}, more=f"timeout: {seconds}"
        )
        if "this call began" in error:
            break

    timeout = f"the timeout of {seconds:g} s of the agent helper"
    assert f" took longer than {timeout} and was stopped; this call began after " in error
    assert error.endswith(
        ", since the one before failed: exit code 1: API Error: Request rejected (503) · try later"
    )


# --- when one may ask again -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please try again in 1.5s.", 1.5),
        ("Rate limit reached. Please try again in 500ms", 0.5),
        ("Please retry in 1h2m3s", 3723.0),
        ("try again in 3 hours 12 minutes", 11520.0),
        ("resets in 2 days and 1 hour", 176400.0),
        ('{"retry-after": "17"}', 17.0),
        ("Retry-After: 60", 60.0),
        ("limit reached, resets 3pm (UTC)", 1800.0),
        ("resets at 15:00 (UTC)", 1800.0),
        ("Try again at 2:29 PM UTC", 86340.0),
        ("You've hit your limit · resets 12am (UTC)", 34200.0),
        ("resets at 2026-11-30T14:31:00Z", 60.0),
        ("Claude AI usage limit reached|1796049060", 60.0),
        ("the limit was reached in 2025", None),
        ("resets 3", None),
        ("resets at 25:00", None),
        ("resets at 2026-13-30T14:31:00Z", None),
        ("try again later", None),
        ("", None),
    ],
)
def test_texts_that_programs_write_are_understood(text: str, expected: float | None) -> None:
    assert expected == seconds_to_wait(text, NOW)


def test_a_time_of_day_is_one_of_this_machine() -> None:
    now = NOW.astimezone().replace(hour=14, minute=30)

    assert 1800.0 == seconds_to_wait("resets 3pm", now)


@given(
    hours=st.integers(0, 23),
    minutes=st.integers(0, 59),
    now=st.integers(0, 2**31).map(lambda moment: datetime.fromtimestamp(moment, UTC)),
)
def test_a_time_of_day_is_the_next_one(hours: int, minutes: int, now: datetime) -> None:
    wait = seconds_to_wait(f"resets at {hours}:{minutes:02} (UTC)", now)

    assert wait is not None
    assert 0 < wait <= 86400
    moment = now + timedelta(seconds=wait)
    assert (hours, minutes) == (moment.hour, moment.minute)


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    wait = seconds_to_wait(
        f"try again {text}", datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=3)))
    )

    assert wait is None or wait >= 0
