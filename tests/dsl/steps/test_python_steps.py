"""Python steps: sync, async, with a timeout."""

from __future__ import annotations

import threading

import pytest

from kit.patience import GROWING_SECONDS
from kit.runs import Runs
from maverick.dsl.processes import threads
from maverick.dsl.steps import calls
from maverick.errors import WorkflowInvalid

ACTIONS = """
import asyncio, os, sys, time

def add(one, other=10, *, third=100):
    return one + other + third

async def later(value):
    await asyncio.sleep(0)
    return value

async def forever():
    await asyncio.sleep(6000)

def hang(name="hang"):
    _log(name)
    time.sleep(6000)

def leave():
    raise SystemExit(3)

async def leave_async():
    sys.exit("config file missing")

async def press():
    raise KeyboardInterrupt("pressed")

async def leave_in_a_task():
    await asyncio.gather(asyncio.create_task(leave_async()))

async def impatient():
    async with asyncio.timeout(0.01):
        await asyncio.sleep(6000)

async def cancelled():
    raise asyncio.CancelledError("by hand")

async def blocks():
    time.sleep(30)

async def swallows():
    while True:
        try:
            await asyncio.sleep(6000)
        except asyncio.CancelledError:
            return "swallowed"

async def tidies():
    try:
        await asyncio.sleep(6000)
    finally:
        await asyncio.sleep(0.05)
        _log("tidied")

def noisy():
    print("printed")
    return b"\\x00bytes"
"""


@pytest.fixture
def acting(runs: Runs) -> Runs:
    runs.set_actions(ACTIONS)
    return runs


def test_args_and_kwargs_are_handed_over(acting: Runs) -> None:
    """With their types."""
    acting.flow('- {name: a, type: python, action: add, args: ["${{ 1 }}"], kwargs: {third: 2.5}}')

    assert 13.5 == acting.start().output


def test_an_action_may_be_named_by_module_and_function(acting: Runs) -> None:
    """Without being listed in maverick.yaml."""
    acting.file("elsewhere_7.py", "def work():\n    return 'elsewhere'\n")
    acting.flow("- {name: a, type: python, action: 'elsewhere_7:work'}")

    assert "elsewhere" == acting.start().output


@pytest.mark.parametrize("arguments", ["args: [1, 2, 3]", "kwargs: {fourth: 1}", "args: []"])
def test_arguments_that_do_not_fit_are_told_with_the_signature(
    acting: Runs, arguments: str
) -> None:
    """Before anything runs."""
    acting.flow(f"- {{name: a, type: python, action: add, {arguments}}}")

    with pytest.raises(
        WorkflowInvalid, match=r"add\(one, other=10, \*, third=100\) cannot be called so"
    ):
        acting.start()


@pytest.mark.parametrize(
    "arguments", ['args: "${{ [1, 2, 3] }}"', "kwargs: \"${{ {'fourth': 1} }}\""]
)
def test_arguments_that_an_expression_gives_are_judged_before_the_call(
    acting: Runs, arguments: str
) -> None:
    acting.flow(f"- {{name: a, type: python, action: add, {arguments}}}")

    assert "add(one, other=10, *, third=100) cannot be called so" in acting.start().error


def test_an_async_action_is_awaited(acting: Runs) -> None:
    """Its output is what it returns, not a coroutine."""
    acting.flow("- {name: a, type: python, action: later, args: [7]}")

    assert 7 == acting.start().output


def test_async_actions_run_at_once_in_a_parallel_loop(acting: Runs) -> None:
    """They share one event loop."""
    acting.flow("""
    - name: each
      type: loop
      parallel: true
      for_each: range(5)
      steps:
        - {name: a, type: python, action: later, args: ["${{ item }}"]}
    """)

    assert [0, 1, 2, 3, 4] == acting.start().output


@pytest.mark.parametrize("action", ["forever", "hang"])
def test_a_timeout_ends_sync_and_async_actions(acting: Runs, action: str) -> None:
    """A sync one runs in a process of its own, since a thread cannot be stopped."""
    acting.flow(f"- {{name: a, type: python, action: {action}, timeout: 0.5}}")

    failed = acting.start()

    assert "failed" == failed.status
    assert f"step a: action {action} took longer than its timeout of 0.5 s" in failed.error


def test_an_action_with_a_timeout_gives_the_same_as_without(acting: Runs) -> None:
    """Bytes and what it prints do not get in the way."""
    acting.flow(
        """
    - {name: a, type: python, action: noisy, timeout: 300}
    - {name: b, type: python, action: noisy}
    outputs: "${{ steps.a.output == steps.b.output }}"
    """.replace("    outputs", "    # outputs")
    )

    acting.start()

    assert acting.value("steps/a") == acting.value("steps/b") == b"\x00bytes"


@pytest.mark.parametrize("timeout", ["", ", timeout: 300"])
def test_an_exception_fails_the_step_with_its_type_and_place(acting: Runs, timeout: str) -> None:
    """In the action's file, in whichever process it ran."""
    acting.flow(f"- {{name: a, type: python, action: fail, args: [a, boom]{timeout}}}")

    failed = acting.start()

    assert "step a: ValueError: boom (" in failed.error
    assert f"{acting.module}.py:" in failed.error
    assert "in fail)" in failed.error


@pytest.mark.parametrize("timeout", ["", ", timeout: 300"])
def test_an_action_that_exits_fails_its_step_alone(acting: Runs, timeout: str) -> None:
    """`SystemExit` does not end the run unrecorded."""
    acting.flow(f"- {{name: a, type: python, action: leave, continue_on_error: true{timeout}}}")

    done = acting.start()

    assert "done" == done.status
    assert "SystemExit: 3" in str(done.output)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("leave_async", "SystemExit: config file missing ("),
        ("press", "KeyboardInterrupt: pressed ("),
        ("leave_in_a_task", "SystemExit: config file missing ("),
        ("impatient", "TimeoutError: no message ("),
        ("cancelled", "CancelledError: by hand ("),
    ],
)
def test_whatever_ends_an_async_action_ends_its_step(acting: Runs, action: str, said: str) -> None:
    """With the place of it, and the next one has a loop."""
    acting.flow(f"""
    - {{name: a, type: python, action: {action}, continue_on_error: true}}
    - {{name: b, type: python, action: later, args: [more], timeout: 300}}
    """)

    done = acting.start()

    assert ("done", "more") == (done.status, done.output)
    assert said in str(acting.value("steps/a"))


def test_a_timeout_of_more_than_one_wait_is_waited_for(
    acting: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system waits for 25 days at once at most; so long are timeouts cut into pieces."""
    monkeypatch.setattr(threads, "LONGEST_WAIT_SECONDS", 0.001)
    acting.set_actions(
        "import asyncio\nasync def nap():\n    await asyncio.sleep(0.05)\n    return 'woken'\n"
    )
    acting.flow("- {name: a, type: python, action: nap, timeout: 365d}")

    assert ("done", "woken") == ((done := acting.start()).status, done.output)


def test_an_async_action_that_is_cancelled_may_tidy_up(acting: Runs) -> None:
    """The step fails when it has done so."""
    acting.flow("- {name: a, type: python, action: tidies, timeout: 0.1}")

    failed = acting.start()

    assert ("failed", ["tidied"]) == (failed.status, acting.log)


@pytest.mark.parametrize("action", ["blocks", "swallows"])
def test_a_timeout_holds_whatever_an_async_action_does(acting: Runs, action: str) -> None:
    """It blocks the loop, or goes on after it was cancelled; later ones are not held up."""
    acting.flow(f"""
    - {{name: a, type: python, action: {action}, timeout: 0.1, continue_on_error: true}}
    - {{name: b, type: python, action: later, args: [more]}}
    """)

    done = acting.start()

    assert ("done", "more") == (done.status, done.output)
    assert f"action {action} took longer than its timeout of 0.1 s" in str(acting.value("steps/a"))


def test_a_stop_does_not_wait_for_a_sync_action(acting: Runs) -> None:
    """It is abandoned, and what it gives is not recorded."""
    acting.flow("- {name: a, type: python, action: hang}")

    assert "paused" == acting.stop_at("a").status


def test_a_timeout_that_is_no_duration_is_refused(acting: Runs) -> None:
    """From an expression, too."""
    acting.flow("""
    - {name: a, type: python, action: later, args: [1], timeout: "${{ 'soon' }}"}
    """)

    assert "timeout" in acting.start().error


def test_what_was_due_before_a_timeout_is_in_time_however_late_the_loop_wakes(acting: Runs) -> None:
    """The whole process may stand still (Ctrl-Z, a container that is paused), and the event loop
    with it.
    """
    acting.set_actions("""
    import asyncio, time

    async def stand_still(timeout):
        asyncio.get_running_loop().call_soon(time.sleep, timeout + 0.2)
        await asyncio.sleep(timeout / 8)
        await asyncio.sleep(0)
        return "in time"
    """)

    for seconds in GROWING_SECONDS:
        # A busy machine may begin the action when the time is nearly over.
        acting.flow(
            f"- {{name: a, type: python, action: stand_still, args: [{seconds}], timeout: "
            f"{seconds}}}"
        )
        done = acting.start()
        if done.status == "done":
            break

    assert ("done", "in time") == (done.status, done.output)


@pytest.mark.parametrize("action", ["do", "later"])
def test_a_system_that_starts_no_thread_fails_the_step_in_one_line(
    acting: Runs, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """`ulimit -v`, `ulimit -u`, the limits of a container."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    calls._loop.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    acting.flow(f"- {{name: a, type: python, action: {action}, args: [a]}}")

    error = acting.start().error

    assert error.startswith(
        "step a: the system does not start another thread (can't start new thread): lower"
    )
    assert "\n" not in error
