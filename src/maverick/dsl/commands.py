"""Commands that an action starts: under the run's `Processes` where the engine attached one, else plainly."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.child import check_startable
from maverick.dsl.groups import summary
from maverick.dsl.processes import Completed, Processes
from maverick.errors import StepTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


class _Attached(NamedTuple):
    processes: Processes
    env: Mapping[str, str]
    step: str
    tell: Callable[[str], None] | None


_attached: ContextVar[_Attached | None] = ContextVar("attached", default=None)


@contextmanager
def attach(
    processes: Processes, *, env: Mapping[str, str], step: str, tell: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Let the commands that this thread starts run under *processes*, so that they are noted and stopped
    with it, and what it says by `notice` reach *tell*.

    To be used in the thread that calls the action: it does not reach into other threads.
    """
    token = _attached.set(_Attached(processes, env, step, tell))
    try:
        yield
    finally:
        _attached.reset(token)


def environment() -> Mapping[str, str]:
    """The environment of the step at hand; where nothing is attached, this process's."""
    attached = _attached.get()
    return attached.env if attached else os.environ


def notice(message: str) -> None:
    """Tell whoever watches the run; where nothing is attached, the logger `maverick.workflow`."""
    attached = _attached.get()
    if attached and attached.tell:
        attached.tell(message)
        return
    import logging  # noqa: PLC0415 - only for actions that are used alone

    logging.getLogger("maverick.workflow").warning("%s", message)


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
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=variables,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"`{summary(argv)}` took longer than its timeout of {timeout:g} s and was stopped"
        raise StepTimeout(message) from None
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Completed(exit_code=code, stdout=done.stdout, stderr=done.stderr)
