"""Calls of actions: sync ones run in a thread, async ones on one event loop, sync ones with a
timeout in a process.

A thread cannot be stopped: when the run is stopped, or ends, one that still runs is abandoned, and
what it gives is not recorded.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from functools import cache
from typing import TYPE_CHECKING, Any

from maverick.dsl.durations import GRACE_SECONDS
from maverick.dsl.events import Event
from maverick.dsl.processes.child import Tail
from maverick.dsl.processes.commands import attach
from maverick.dsl.processes.last_words import (
    END_BYTES,
    ends_of,
    how_it_ended,
    named,
    text_of,
    timed_out,
)
from maverick.dsl.processes.last_words import failure as failure_of
from maverick.dsl.processes.scratch import read_plain_file
from maverick.dsl.processes.stop_request import Stop, Stopped
from maverick.dsl.processes.threads import Future, start_thread
from maverick.dsl.steps.exceptions import ActionRaised, raised_by
from maverick.dsl.steps.prints import printing_to
from maverick.errors import StepFailed, StepTimeout
from maverick.repositories import trusted_repositories

if TYPE_CHECKING:
    import asyncio

    from maverick.dsl.catalog.actions import Action
    from maverick.dsl.durations import Limit
    from maverick.dsl.processes.child import StreamName
    from maverick.dsl.processes.processes import Completed
    from maverick.dsl.processes.secrets import Scrubber
    from maverick.dsl.work import Attempt, Tools
    from maverick.values import Value

_LAST_TURNS = 3
"""Of the event loop, after a timeout."""
_ANSWER_SECONDS = 1.0
"""How long after a timeout the event loop may take to notice it."""
_CRASH = "Fatal Python error: "
"""So faulthandler begins what it tells of a crash in C."""


def call_in_attempt(
    attempt: Attempt, action: Action, args: list[Value], kwargs: dict[str, Value], tools: Tools
) -> object:
    """Give what the action gives in an attempt at a step. Raises StepFailed, Stopped."""
    kwargs = action.in_folder(args, kwargs, str(tools.root))
    action.check_arguments(args, kwargs)
    # What stands in for an action has no module that another process could import.
    if attempt.limit is not None and not action.is_async and action.reference:
        return _in_a_process(action, args, kwargs, attempt, tools)
    return _in_this_process(action, args, kwargs, attempt, tools)


def _in_this_process(
    action: Action, args: list[Value], kwargs: dict[str, Value], attempt: Attempt, tools: Tools
) -> object:
    printed: defaultdict[StreamName, Tail] = defaultdict(lambda: Tail(END_BYTES))

    def say(stream: StreamName, data: bytes) -> None:
        attempt.say(stream, data)
        printed[stream].add(data)

    environment = {**tools.environment, **attempt.environment}
    try:
        with printing_to(say):
            return call_action(
                action, args, kwargs, tools, environment, path=attempt.path, limit=attempt.limit
            )
    except ActionRaised as raised:
        told = _told(raised, attempt, tools.scrub, printed["stdout"].data, printed["stderr"].data)
        raise told from raised.__cause__


def call_action(
    action: Action,
    args: list[Value],
    kwargs: dict[str, Value],
    tools: Tools,
    environment: Mapping[str, str],
    *,
    path: str,
    limit: Limit | None = None,
) -> object:
    """Give what the action gives; *limit* is that of async ones only.

    Commands that a sync action starts by `commands.run_command` belong to the run and get
    *environment*. Raises StepFailed, Stopped.
    """
    if action.is_async:
        return _on_the_loop(action, args, kwargs, limit, tools.stop)

    def tell(message: str) -> None:
        tools.observe(Event(event="notice", step=path, message=tools.scrub.text(message)))

    def work() -> object:
        with attach(
            tools.processes, env=environment, step=path, root=tools.catalog.root, tell=tell
        ):
            return action.function(*args, **kwargs)

    return _in_a_thread(work, action, tools.stop)


def _told(
    raised: ActionRaised, attempt: Attempt, scrub: Scrubber, stdout: bytes, stderr: bytes
) -> StepFailed:
    """Give the failure of the step, with the ends of what the action wrote; the log is kept."""
    for stream, data in raised.log:
        attempt.keep(stream, scrub.data(data))
    return StepFailed(
        "\n".join([str(raised), *named(ends_of(stdout, stderr))]), causes=raised.causes
    )


def _in_a_thread(work: Callable[[], object], action: Action, stop: Stop) -> object:
    call: Future[object] = Future()
    context = copy_context()
    thread = threading.Thread(
        target=context.run, args=(call.do, work), name=f"action {action.name}", daemon=True
    )
    try:
        try:
            start_thread(thread)
        except BaseException:
            call.discard()
            raise
        call.wait(stop)
    finally:
        call.close()
    return _result(call, action, stop)


def _result(call: Future[object], action: Action, stop: Stop) -> object:
    """Give what the action gave, or raise what it raised. Raises Stopped if it has not ended."""
    if not call.has_ended:
        stop.check()
    error = call.error
    if error is None or isinstance(error, Stopped | StepFailed):
        return call.result()
    raise raised_by(error, action.file, action.root) from error


# --- async actions --------------------------------------------------------------------------------


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop that all async actions of this process share, on a thread of its own."""
    import asyncio  # noqa: PLC0415 - costs 45 ms, and most runs need none

    loop = asyncio.new_event_loop()

    def serve() -> None:
        while True:
            try:
                loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                # Of a task that an action made; whoever awaits it has it.
                continue
            return

    try:
        start_thread(threading.Thread(target=serve, name="async actions", daemon=True))
    except StepFailed:
        loop.close()
        raise
    return loop


def _on_the_loop(
    action: Action, args: list[Any], kwargs: dict[str, Any], limit: Limit | None, stop: Stop
) -> object:
    """An action whose time is over is cancelled, and has a grace to tidy up; one that stops the
    loop has none.
    """
    loop = _loop()
    call: Future[object] = Future()
    late = StepTimeout(f"action {action.name} took longer than {limit}")
    tasks: list[asyncio.Task[Any]] = []
    cancelled = threading.Event()

    async def limited() -> None:
        import asyncio  # noqa: PLC0415

        task = loop.create_task(_outcome(action.function(*args, **kwargs)), context=context)
        tasks.append(task)
        try:
            await _ended_or_late(task, None if limit is None else limit.left)
            if task.done():
                value, error = task.result()
                if error is None:
                    call.succeed(value)
                else:
                    call.fail(error)
                return
            cancelled.set()
            task.cancel()
            await asyncio.wait([task], timeout=GRACE_SECONDS)
        finally:
            call.fail(late)  # Of one that is stopped nobody hears it.

    def cancel() -> None:
        for task in tasks:
            task.cancel()

    context = copy_context()
    loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(limited())))
    try:
        ended = call.wait(stop, None if limit is None else max(limit.left, 0))
        if not ended and not stop.requested:
            # This thread may have stood still, and the loop with it.
            ended = call.wait(stop, _ANSWER_SECONDS)
        if not ended and not stop.requested and cancelled.is_set():
            ended = call.wait(stop, GRACE_SECONDS + _ANSWER_SECONDS)
        if not ended and not stop.requested:
            _loop.cache_clear()  # It does not answer: others have to have another one.
            raise late
        return _result(call, action, stop)
    finally:
        call.close()
        loop.call_soon_threadsafe(cancel)


async def _ended_or_late(task: asyncio.Task[Any], seconds: float | None) -> None:
    """Wait for *task*, *seconds* at most. What was due before that gets its turn first: this
    process may have stood still meanwhile (Ctrl-Z, a container that is paused).
    """
    import asyncio  # noqa: PLC0415

    await asyncio.wait([task], timeout=seconds)
    for _ in range(_LAST_TURNS):
        if not task.done():
            await asyncio.sleep(0)


async def _outcome(coroutine: Coroutine[Any, Any, object]) -> tuple[object, BaseException | None]:
    """Give what the action gives or raises, as it is: futures change some exceptions, and others
    end the loop.
    """
    try:
        return await coroutine, None
    except BaseException as error:  # noqa: BLE001 - it is told elsewhere
        return None, error


# --- sync actions with a timeout ------------------------------------------------------------------


def _in_a_process(
    action: Action, args: list[Any], kwargs: dict[str, Any], attempt: Attempt, tools: Tools
) -> object:
    from maverick.dsl.steps import python_child  # noqa: PLC0415

    with tools.processes.scratch.folder() as folder:
        answer = folder / "answer"
        try:
            done = tools.processes.run(
                python_child.command(answer),
                cwd=tools.root,
                env={**tools.environment_in(tools.root), **attempt.environment},
                stdin=python_child.pack([action.reference, args, kwargs, trusted_repositories()]),
                timeout=attempt.limit,
                on_output=attempt.say,
                step=attempt.path,
            )
        except StepTimeout as error:  # It names the command line, which is ours.
            how = str(error).rpartition("` ")[2]
            raise timed_out(error, f"action {action.name} {how}") from None
        given = read_plain_file(answer)
        if done.exit_code != 0 or given is None:
            raise StepFailed(
                f"the process of action {action.name} ended before the action did: {_how(done)}"
            )
        kind, value = python_child.unpack(given)
    if kind == "raised":
        raised = ActionRaised(value["message"], causes=value["causes"], log=value["log"])
        raise _told(raised, attempt, tools.scrub, done.stdout, done.stderr)
    if kind == "failed":
        raise StepFailed(value["message"], causes=tuple(value["causes"]))
    return value


def _how(done: Completed) -> str:
    """Say how a process ended that gave no answer. Where it wrote nothing, what may have been the
    reason.
    """
    crash = next(
        (line for line in text_of(done.stderr).splitlines() if line.startswith(_CRASH)), None
    )
    if crash is not None:  # Where the code stood follows it.
        return "\n".join(
            [f"{how_it_ended(done)}: {crash}", *named(ends_of(done.stdout, done.stderr))]
        )
    if done.stderr.strip() or done.stdout.strip():
        return failure_of(done)
    if done.signal == "SIGKILL":
        return "killed by SIGKILL; the system does so where memory runs out"
    return (
        f"{failure_of(done)}, and it wrote nothing; did it call `os._exit`, or did code in C crash?"
    )
