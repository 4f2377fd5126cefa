"""How a command ends: the one place where errors become messages and exit codes."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from maverick.cli.answer import CommandAnswer
from maverick.cli.terminal.render import plural
from maverick.cli.terminal.streams import StdoutClosed, complain, read_by_github
from maverick.errors import Fault, Interrupted, MaverickError, UsageError, WorkflowInvalid


def _not_of_usage(_error: Exception) -> str | None:
    """Say that an error is none of wrong usage."""


def run_guarded(
    command: Callable[[], Any],
    answer: CommandAnswer,
    usage_message: Callable[[Exception], str | None] = _not_of_usage,
) -> int:
    """Run *command*, and give the exit code. Whatever it raises becomes a message.

    *usage_message* says what an exception means that is one of wrong usage, and None of another.
    """
    with read_by_github() as log:
        if log is not None:
            from maverick.cli.jobs.job import Job  # noqa: PLC0415 - only there

            answer.job = Job(log)
        return _run(command, answer, usage_message)


def _run(
    command: Callable[[], Any],
    answer: CommandAnswer,
    usage_message: Callable[[Exception], str | None],
) -> int:
    try:
        _refuse_system()
        code = command()
    except WorkflowInvalid as error:
        return _fail_invalid(error, answer)
    except StdoutClosed:  # `| head` has seen enough.
        return 0
    except KeyboardInterrupt:
        code = Interrupted.exit_code
    except Exception as error:  # noqa: BLE001 - one that nobody foresaw is told as such
        message, code = _message_and_code(error, usage_message)
        return _fail(message, answer, code)
    if code == Interrupted.exit_code and not answer.given:
        # Ctrl-C; a run that it paused has answered.
        return _fail("interrupted", answer, code)
    return code if isinstance(code, int) else 0


def _message_and_code(
    error: Exception, usage_message: Callable[[Exception], str | None]
) -> tuple[str, int]:
    """What to print of *error*, and the exit code."""
    if isinstance(error, MaverickError) and not isinstance(error, Fault):
        return str(error), error.exit_code
    usage = usage_message(error)
    if usage is not None:
        return usage, UsageError.exit_code
    from maverick.cli.here import explained  # noqa: PLC0415 - nearly never needed

    return explained(error), Fault.exit_code


def _fail(message: str, answer: CommandAnswer, code: int) -> int:
    complain(message)
    if answer.job is not None and answer.is_runner:
        answer.job.tell_error(message)
    return _told(message, answer, code)


def _told(message: str, answer: CommandAnswer, code: int) -> int:
    with suppress(StdoutClosed, MaverickError):  # There is nobody left to tell.
        answer.fail(message)
    return code


def _fail_invalid(error: WorkflowInvalid, answer: CommandAnswer) -> int:
    """Print what is wrong with a workflow; a problem that has a place stands on a line that begins
    with it. For people the line of the file follows.
    """
    problems, text = error.problems, str(error)
    has_places = any(each.line for each in problems)
    head = f"{plural(len(problems), 'problem')}:\n" if has_places else ""
    if not answer.is_json:
        from maverick.cli.terminal.excerpts import with_lines  # noqa: PLC0415 - seldom needed

        complain(head + with_lines(problems, lead=0 if head else len("error: ")))
    else:
        complain(head + text)
    if answer.job is not None:
        from maverick.cli.here import root_if_known  # noqa: PLC0415 - only where something fails

        answer.job.tell_problems(problems, answer.project or root_if_known())
    return _told(text, answer, error.exit_code)


def _refuse_system() -> None:
    if sys.platform not in ("linux", "darwin"):
        from maverick.project import refuse_system  # noqa: PLC0415

        refuse_system(sys.platform)
