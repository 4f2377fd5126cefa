"""What a command said before it failed: the ends of its streams, as text for a message."""

from __future__ import annotations

from signal import SIGPIPE
from typing import TYPE_CHECKING

from maverick.errors import StepTimeout
from maverick.visible import last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maverick.dsl.processes.processes import Completed

LAST_LINES = 20
"""Of each stream, in the message of a failure."""
LINE_CHARACTERS = 1000
"""Of each of these lines; the middle of a longer one is left out."""
END_BYTES = 64 * 1024
"""Of each stream, among which these lines are sought."""


def failure(done: Completed) -> str:
    """Say how a command failed: its exit code or signal, its last line, the ends of both streams.

    The last line (of standard error, if that has any) stands in the first one, which a list of runs
    shows.
    """
    how = how_it_ended(done)
    ends = ends_of(done.stdout, done.stderr)
    if not ends:
        return how
    reason = f"{how}: {next(iter(ends.values()))[-1].strip()}"
    return reason if sum(map(len, ends.values())) == 1 else "\n".join([reason, *named(ends)])


def timed_out(error: StepTimeout, message: str = "") -> StepTimeout:
    """Give *error* with the ends of what its command wrote, and *message* in place of its own."""
    ends = ends_of(error.stdout, error.stderr)
    return StepTimeout("\n".join([message or str(error), *named(ends)]), step=error.step)


def ends_of(stdout: bytes, stderr: bytes) -> dict[str, list[str]]:
    """Give the last lines of each stream that has any, standard error first."""
    ends = {name: last_lines_of(data) for name, data in (("stderr", stderr), ("stdout", stdout))}
    return {name: lines for name, lines in ends.items() if lines}


def named(ends: Mapping[str, Sequence[str]]) -> list[str]:
    """Give lines under the names of their streams."""
    return [
        text
        for name, lines in ends.items()
        for text in (f"{name}:", *(f"  {line}".rstrip() for line in lines))
    ]


def how_it_ended(done: Completed) -> str:
    """Say by which exit code or signal a command ended, and what a misleading code means."""
    if done.signal:
        return f"killed by {done.signal}"
    if done.exit_code == 128 + SIGPIPE:
        return (
            f"exit code {done.exit_code} (SIGPIPE: the command after a `|` stopped reading, as "
            "`head` does; with `pipefail` that counts as a failure)"
        )
    return f"exit code {done.exit_code}"


def last_lines_of(output: bytes) -> list[str]:
    """Give the last lines of what a program wrote to a stream, each of them cut if it is long."""
    return [cut(line) for line in last_lines(text_of(output[-END_BYTES:]), LAST_LINES)]


def cut(text: str, most: int = LINE_CHARACTERS) -> str:
    """Give *text*, without its middle if it has more than *most* characters."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"


def text_of(output: bytes) -> str:
    r"""Give a program's output as text; bytes that are no UTF-8 are shown as `\xNN`."""
    return output.decode("utf-8", "backslashreplace")
