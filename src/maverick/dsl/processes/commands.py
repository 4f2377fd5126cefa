"""Commands that an action starts: under the run's `Processes` if one is attached, else plainly."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.durations import Limit
from maverick.dsl.processes.child import (
    encoded_environment,
    encoded_words,
    input_file,
    why_not_started,
)
from maverick.dsl.processes.last_words import timed_out
from maverick.dsl.processes.process_table import summary
from maverick.dsl.processes.processes import Completed, Processes
from maverick.dsl.processes.programs import check_startable
from maverick.dsl.processes.stop_request import LONGEST_WAIT_SECONDS
from maverick.encoding import inherited
from maverick.errors import StepFailed, StepTimeout
from maverick.repositories import environment_in, without_repository
from maverick.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_LAST_LOOK_SECONDS = 0.01


class _Attached(NamedTuple):
    processes: Processes
    env: Mapping[str, str]
    step: str
    root: str | Path | None
    tell: Callable[[str], None] | None


_attached: ContextVar[_Attached | None] = ContextVar("attached", default=None)


@contextmanager
def attach(
    processes: Processes,
    *,
    env: Mapping[str, str],
    step: str,
    root: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Let the commands that this thread starts run under *processes*: noted, and stopped with it.

    What the thread says by `notice` reaches *tell*. *root* is the project's (default: the current
    folder). To be used in the thread that calls the action: it does not reach into other threads.
    """
    token = _attached.set(_Attached(processes, env, step, root, tell))
    try:
        yield
    finally:
        _attached.reset(token)


def environment() -> Mapping[str, str]:
    """Give the environment of the step at hand; where nothing is attached, this process's."""
    attached = _attached.get()
    return attached.env if attached else inherited()


def find_program(name: str) -> str | None:
    """Give where the step at hand finds the program *name* on its PATH; None if it does not."""
    return shutil.which(name, path=environment().get("PATH"))


def notice(message: str, *, level: int = 30) -> None:
    """Tell whoever watches the run; where nothing is attached, log to `maverick.workflow`."""
    attached = _attached.get()
    if attached and attached.tell:
        attached.tell(message)
        return
    import logging  # noqa: PLC0415 - only for actions that are used alone

    logging.getLogger("maverick.workflow").log(level, "%s", visible(message))


def run_command(
    argv: Sequence[str],
    *,
    cwd: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    bound: bool = True,
) -> Completed:
    """Run a command for the step at hand, as `Processes.run`; *env* is added to its environment.

    Of the variables that bind git to a repository it inherits what any process of a step does in
    *cwd*; with *bound* false, none: it works in the repository that *cwd* is in.

    Where nothing is attached (an action used alone, or in a process of its own) the command stays
    in the group of the calling process, so that what stops the caller stops the command.
    """
    attached = _attached.get()
    root = attached.root if attached else None
    given = environment()
    base = environment_in(given, cwd, root or ".") if bound else without_repository(given)
    variables = {**base, "GIT_TERMINAL_PROMPT": "0", **(env or {})}
    if attached is None:
        return _run_plainly(argv, cwd, variables, stdin, timeout)
    try:
        return attached.processes.run(
            argv, cwd=cwd, env=variables, stdin=stdin, timeout=timeout, step=attached.step
        )
    except StepTimeout as error:
        raise timed_out(error) from None


def _run_plainly(
    argv: Sequence[str],
    cwd: str | Path,
    variables: Mapping[str, str],
    stdin: bytes,
    timeout: float | None,
) -> Completed:
    program = check_startable(argv, cwd, variables)
    with ExitStack() as cleanup:
        try:
            process = subprocess.Popen(
                encoded_words(argv),
                executable=os.path.abspath(program),  # noqa: PTH100 - else a closed folder of PATH is the error
                cwd=cwd,
                env=encoded_environment(variables),
                stdin=cleanup.enter_context(input_file(stdin)) if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except (OSError, ValueError) as error:
            raise StepFailed(
                f"cannot start `{summary(argv)}`: {why_not_started(error, argv, variables)}"
            ) from error
        cleanup.enter_context(process)
        try:
            stdout, stderr = _communicate(process, timeout)
        except BaseException as error:
            process.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            allowed = Limit.own(timeout or 0)
            raise StepTimeout(
                f"`{summary(argv)}` took longer than {allowed} and was stopped"
            ) from None
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Completed(exit_code=code, stdout=stdout, stderr=stderr)


def _communicate(process: subprocess.Popen[bytes], timeout: float | None) -> tuple[bytes, bytes]:
    """Give what it writes until it ends, waiting in pieces: no system waits for a month at once.

    After the timeout it is looked at once more: this process may have stood still while the command
    ended.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = LONGEST_WAIT_SECONDS if deadline is None else deadline - time.monotonic()
        try:
            return process.communicate(
                timeout=max(min(left, LONGEST_WAIT_SECONDS), _LAST_LOOK_SECONDS)
            )
        except subprocess.TimeoutExpired:
            if left <= 0:
                raise
