"""`python`: a function. Sync ones run in a thread, async ones on one event loop, sync ones with a timeout in a process.

A thread cannot be stopped: when the run is stopped, or ends, one that still runs is abandoned, and what it gives is
not recorded.
"""

from __future__ import annotations

import os
import select
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maverick.dsl import evaluate, fields
from maverick.dsl.commands import attach
from maverick.dsl.events import Event
from maverick.dsl.steps.work import Attempt, Tools, Work
from maverick.dsl.stop import Stop, Stopped
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    import asyncio

    from maverick.dsl.actions import Action
    from maverick.dsl.model import PythonStep
    from maverick.dsl.scope import Frame
    from maverick.dsl.values import Value


def prepare(step: PythonStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the action (its source, or its name and version if it is built in) and its arguments."""
    action = tools.catalog.action(step.action)
    parts = {
        "action": action.identity,
        "args": evaluate.key_view(step.args, frame),
        "kwargs": evaluate.key_view(step.kwargs, frame),
    }

    def run(attempt: Attempt) -> object:
        args = fields.sequence(step.args, attempt.frame, "args")
        kwargs = fields.mapping(step.kwargs, attempt.frame, "kwargs")
        kwargs = action.in_folder(args, kwargs, str(tools.root))
        action.check_arguments(args, kwargs)
        if attempt.seconds is not None and not action.is_async:
            return _in_a_process(action, args, kwargs, attempt, tools)
        environment = {**tools.environment, **attempt.environment}
        return call(action, args, kwargs, tools, environment, path=attempt.path, seconds=attempt.seconds)

    return Work(type="python", parts=parts, run=run)


def call(
    action: Action,
    args: list[Value],
    kwargs: dict[str, Value],
    tools: Tools,
    environment: Mapping[str, str],
    *,
    path: str,
    seconds: float | None = None,
) -> object:
    """Give what the action gives; *seconds* limits async ones only.

    Commands that a sync action starts by `commands.run_command` belong to the run and get *environment*. Raises
    StepFailed, Stopped.
    """
    if action.is_async:
        return _on_the_loop(action, args, kwargs, seconds, tools.stop)

    def tell(message: str) -> None:
        tools.observe(Event(event="notice", step=path, message=tools.scrub.text(message)))

    def work() -> object:
        with attach(tools.processes, env=environment, step=path, tell=tell):
            return action.function(*args, **kwargs)

    return _in_a_thread(work, action, tools.stop)


def failure(action: Action, error: BaseException) -> StepFailed:
    """Say what an action raised, and where in its file. What it raised on purpose, as StepFailed, stays as it is."""
    if isinstance(error, StepFailed):
        return error
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == action.file]
    where = f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    causes = tuple(cls.__name__ for cls in type(error).__mro__)
    text = str(error) or "no message"
    return StepFailed(f"{type(error).__name__}: {text}{where}", causes=causes)


def _in_a_thread(work: Callable[[], object], action: Action, stop: Stop) -> object:
    outcome: list[tuple[object, BaseException | None]] = []
    read, write = os.pipe()

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - whatever it raises is the step's failure, SystemExit too
            outcome.append((None, error))
        finally:
            os.close(write)

    threading.Thread(target=run, name=f"action {action.name}", daemon=True).start()
    try:
        poll = select.poll()
        poll.register(read, select.POLLIN | select.POLLHUP)
        poll.register(stop, select.POLLIN)
        poll.poll()
    finally:
        os.close(read)
    if not outcome:
        stop.check()
    value, error = outcome[0]
    if isinstance(error, Stopped):
        raise error
    if error is not None:
        known = failure(action, error)
        raise known from (None if known is error else error)
    return value


# --- async actions -------------------------------------------------------------------------------------------------


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop that all async actions of this process share, on a thread of its own."""
    import asyncio  # noqa: PLC0415 - costs 45 ms, and most runs need none

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="async actions", daemon=True).start()
    return loop


def _on_the_loop(action: Action, args: list[Any], kwargs: dict[str, Any], seconds: float | None, stop: Stop) -> object:
    import asyncio  # noqa: PLC0415

    loop = _loop()
    tasks: list[asyncio.Task[object]] = []

    async def limited() -> object:
        tasks.append(asyncio.ensure_future(_awaited(action.function(*args, **kwargs))))
        return await asyncio.wait_for(tasks[0], seconds)

    future = asyncio.run_coroutine_threadsafe(limited(), loop)
    try:
        return _in_a_thread(future.result, action, stop)
    except StepFailed as error:
        if isinstance(error.__cause__, TimeoutError) and tasks and tasks[0].cancelled():
            raise StepTimeout(f"action {action.name} took longer than its timeout of {seconds:g} s") from error
        raise
    finally:
        future.cancel()


async def _awaited(coroutine: Coroutine[Any, Any, object]) -> object:
    return await coroutine


# --- sync actions with a timeout -----------------------------------------------------------------------------------


def _in_a_process(action: Action, args: list[Any], kwargs: dict[str, Any], attempt: Attempt, tools: Tools) -> object:
    from maverick.dsl.steps import process  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="maverick-") as folder:
        answer = Path(folder) / "answer"
        try:
            done = tools.processes.run(
                [sys.executable, "-m", process.__name__, str(answer)],
                cwd=tools.root,
                env={**tools.environment, **attempt.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=process.pack([action.reference, args, kwargs]),
                timeout=attempt.seconds,
                on_output=attempt.say,
                step=attempt.path,
            )
        except StepTimeout as error:  # It names the command line, which is ours.
            how = str(error).rpartition("` ")[2]
            raise StepTimeout(f"action {action.name} {how}") from None
        if done.exit_code != 0 or not answer.exists():
            raise StepFailed(f"the process of action {action.name} ended with exit code {done.exit_code}")
        kind, value = process.unpack(answer.read_bytes())
    if kind == "failed":
        raise StepFailed(value["message"], causes=tuple(value["causes"]))
    return value
