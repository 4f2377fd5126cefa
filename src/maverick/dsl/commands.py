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
from maverick.repositories import inherited, without_repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class _Attached(NamedTuple):
    processes: Processes
    env: Mapping[str, str]
    step: str
    root: str | Path | None


_attached: ContextVar[_Attached | None] = ContextVar("attached", default=None)


@contextmanager
def attach(
    processes: Processes, *, env: Mapping[str, str], step: str, root: str | Path | None = None
) -> Iterator[None]:
    """Let the commands that this thread starts run under *processes*, so that they are noted and stopped
    with it. *root* is the project's (default: the current folder).

    To be used in the thread that calls the action: it does not reach into other threads.
    """
    token = _attached.set(_Attached(processes, env, step, root))
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
    bound: bool = True,
) -> Completed:
    """Run a command for the step at hand; *env* is added to the step's environment. As `Processes.run`.

    Of the variables that bind git to a repository it inherits what any process of a step does in *cwd*; with
    *bound* false, none: it works in the repository that *cwd* is in.

    Where nothing is attached (an action used alone, or in a process of its own) the command stays in the
    group of the calling process, so that what stops the caller stops the command.
    """
    attached = _attached.get()
    root = attached.root if attached else None
    base = inherited(environment(), cwd, root or ".") if bound else without_repository(environment())
    if attached:
        return attached.processes.run(
            argv,
            cwd=cwd,
            env={**base, **(env or {})},
            stdin=stdin,
            timeout=timeout,
            step=attached.step,
        )
    variables = {**base, "GIT_TERMINAL_PROMPT": "0", **(env or {})}
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
