"""Commands that an action starts: under the run's `Processes` where the engine attached one, else plainly."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.child import check_startable
from maverick.dsl.durations import Limit
from maverick.dsl.groups import summary
from maverick.dsl.processes import Completed, Processes
from maverick.errors import StepTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_DAY_SECONDS = 86400.0


class _Attached(NamedTuple):
    processes: Processes
    env: Mapping[str, str]
    step: str


_attached: ContextVar[_Attached | None] = ContextVar("attached", default=None)


@contextmanager
def attach(processes: Processes, *, env: Mapping[str, str], step: str) -> Iterator[None]:
    """Let the commands that this thread starts run under *processes*, so that they are noted and stopped
    with it.

    To be used in the thread that calls the action: it does not reach into other threads.
    """
    token = _attached.set(_Attached(processes, env, step))
    try:
        yield
    finally:
        _attached.reset(token)


def environment() -> Mapping[str, str]:
    """The environment of the step at hand; where nothing is attached, this process's."""
    attached = _attached.get()
    return attached.env if attached else os.environ


def run_command(
    argv: Sequence[str],
    *,
    cwd: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Completed:
    """Run a command for the step at hand; *env* is added to the step's environment. As `Processes.run`.

    Where nothing is attached (an action used alone, or in a process of its own) the command stays in the
    group of the calling process, so that what stops the caller stops the command.
    """
    attached = _attached.get()
    if attached:
        return attached.processes.run(
            argv,
            cwd=cwd,
            env={**attached.env, **(env or {})},
            stdin=stdin,
            timeout=timeout,
            step=attached.step,
        )
    variables = {**os.environ, "GIT_TERMINAL_PROMPT": "0", **(env or {})}
    check_startable(argv, cwd, variables)
    with subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            stdout, stderr = _communicate(process, stdin, timeout)
        except BaseException as error:
            process.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            message = f"`{summary(argv)}` took longer than {Limit.own(error.timeout)} and was stopped"
            raise StepTimeout(message) from None
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Completed(exit_code=code, stdout=stdout, stderr=stderr)


def _communicate(process: subprocess.Popen[bytes], stdin: bytes, timeout: float | None) -> tuple[bytes, bytes]:
    """What the process writes up to its end, waiting in pieces: the system's waits end after 24 days."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        try:
            return process.communicate(stdin, None if left is None else min(left, _DAY_SECONDS))
        except subprocess.TimeoutExpired:
            if left is not None and timeout is not None and left <= _DAY_SECONDS:
                raise subprocess.TimeoutExpired(process.args, timeout) from None
