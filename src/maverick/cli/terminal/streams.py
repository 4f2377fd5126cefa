"""Standard input, output and error: results go to the one, all else to the other.

Everything that is printed for people passes here, where control characters become visible:
`print_err` and its kin for all of standard error, `print_out` for what people read on standard
output. Values are printed as they are, but to a terminal they are made visible, too; only
`write_out` gives bytes away untouched.
"""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from maverick.cli.terminal.render import json_text
from maverick.errors import MaverickError, UsageError
from maverick.visible import Shown, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.cli.github.job_log import GithubLog


class StdoutClosed(Exception):
    """Nobody reads standard output any more (`| head`)."""


def prepare_streams() -> None:
    """Let every text be printed, whatever the terminal's encoding; what it lacks is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def read_by_github() -> Iterator[GithubLog | None]:
    """In a job of GitHub Actions let it obey nothing of what is printed to standard error, but
    commands of our own. Gives what takes these; None where it is no job.
    """
    before = sys.stderr
    if not _is_github() or before is None:
        yield None
        return
    from maverick.cli.github.job_log import GithubLog  # noqa: PLC0415 - only there

    sys.stderr = log = GithubLog(before)
    try:
        yield log
    finally:
        log.end()
        sys.stderr = before


def _is_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def print_out(text: str, stream: IO[str] | None = None) -> None:
    """Print *text*, made visible, to standard output, or to the *stream* that stands for it.

    Raises:
        StdoutClosed: nobody reads it.
        MaverickError: it cannot be written (the disk is full).
    """
    _print(shown(text), stream)


def as_lines(lines: Iterable[str]) -> Shown:
    """Give the lines as one text; what is made visible already stays as it is."""
    return shown(*(part for line in lines for part in (line, "\n")))


def print_json(value: object, stream: IO[str] | None = None, *, indent: int | None = 2) -> None:
    """Print *value* as JSON and end the line; else as `print_out`."""
    print_out(json_text(value, indent=indent) + "\n", stream)


def print_value(text: str, stream: IO[str] | None = None) -> None:
    """Print *text* as it is, but to a terminal made visible; else as `print_out`.

    What GitHub would obey is an escape there, too, and that is told.
    """
    stream = stream or sys.stdout
    if is_terminal(stream):
        text = shown(text)
    elif (safe := _disarmed(text, stream)) != text:
        text = safe
        warn(
            "the output has what GitHub's log would obey; it is printed with escapes: `--json` and "
            "GITHUB_OUTPUT have it as it is"
        )
    _print(text, stream)


def print_bytes(parts: Iterable[bytes]) -> None:
    """Print the text whose bytes come in *parts*, as `print_value` does; to a pipe or a file the
    bytes themselves.
    """
    if is_terminal(sys.stdout):
        for text in _texts(parts):
            print_out(text)
    elif is_read_by_github(sys.stdout):
        from maverick.cli.github.job_log import GithubLog  # noqa: PLC0415 - only there

        with _writing(sys.stdout) as out:
            log = GithubLog(out)
            log.writelines(_texts(parts))
            log.end()
    else:
        for part in parts:
            write_out(part)


def _texts(parts: Iterable[bytes]) -> Iterator[str]:
    """Yield what *parts* say, wherever a character is torn."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    yield from map(decoder.decode, parts)
    yield decoder.decode(b"", final=True)


def is_read_by_github(stream: Any) -> bool:
    """Whether GitHub's runner may obey what is printed on *stream*."""
    if not _is_github():
        return False
    from maverick.cli.github.job_log import is_shown  # noqa: PLC0415 - only there

    return is_shown(stream)


def _disarmed(text: str, stream: Any) -> str:
    """Give *text* with what GitHub would obey, if it reads *stream*, as escapes."""
    if not is_read_by_github(stream):
        return text
    from maverick.cli.github.job_log import disarmed  # noqa: PLC0415 - only there

    return disarmed(text)


def is_terminal(stream: Any) -> bool:
    """Whether *stream* is a terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def has_colour(stream: Any, *, plain: bool = False) -> bool:
    """Whether what people read on *stream* is coloured: on a terminal, or where `FORCE_COLOR` says
    so; `NO_COLOR` refuses it, whatever else is said.
    """
    if plain or os.environ.get("NO_COLOR"):
        return False
    return os.environ.get("FORCE_COLOR", "") not in {"", "0", "false"} or can_draw(stream)


def can_draw(stream: Any) -> bool:
    """Whether *stream* is a terminal on which a line can be drawn anew (`TERM=dumb` says no)."""
    return os.environ.get("TERM") != "dumb" and is_terminal(stream)


def _print(text: str, stream: IO[str] | None) -> None:
    with _writing(stream or sys.stdout) as out:
        if out is not None:
            out.write(_disarmed(text, out))
            out.flush()


def write_out(data: bytes) -> None:
    """Write *data* to standard output; raises as `print_out`."""
    with _writing(sys.stdout) as out:
        if out is not None:
            out.flush()
            out.buffer.write(data)
            out.buffer.flush()


def bytes_in() -> IO[bytes]:
    """Give standard input.

    Raises:
        UsageError: it is closed (`<&-`).
    """
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    return sys.stdin.buffer


def print_err(text: str) -> None:
    """Print the line *text* to standard error, if anybody listens."""
    write_err(shown(text, "\n"))


def write_err(text: str) -> None:
    """Write *text*, made visible, to standard error, if anybody listens."""
    write_to(sys.stderr, text)


def write_to(stream: Any, text: str) -> None:
    """Write *text*, made visible, to *stream*, if anybody listens."""
    with suppress(OSError, ValueError):
        if stream is not None:
            stream.write(shown(text))
            stream.flush()


def complain(message: str) -> None:
    """Print *message* as an error."""
    print_err(f"error: {message}")


def warn(message: str) -> None:
    """Print *message* as a warning."""
    print_err(f"warning: {message}")


@contextmanager
def _writing(stream: Any) -> Iterator[Any]:
    try:
        yield stream
    except BrokenPipeError:
        _discard(stream)
        raise StdoutClosed from None
    except OSError as error:
        _discard(stream)
        raise MaverickError(f"cannot write to standard output: {error.strerror}") from error


def _discard(stream: Any) -> None:
    """Let what is left in *stream* go nowhere, so that leaving the program does not fail on it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def stdout_kept_clean() -> Iterator[IO[str]]:
    """Give the real standard output, while all else that is printed goes to standard error.

    That holds for `print` in the users' Python and for programs that it starts: file descriptor 1
    itself is turned to standard error. When the block ends, everything is as it was.
    """
    real = sys.stdout
    sys.stdout = sys.stderr
    try:
        if real is None:  # Closed by the caller (`>&-`).
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
                yield nowhere
        elif real is sys.__stdout__:
            with _descriptor_kept(real) as clean:
                yield clean
        else:  # Replaced by a program that runs this one in its own process.
            yield real
    finally:
        sys.stdout = real


@contextmanager
def _descriptor_kept(real: Any) -> Iterator[IO[str]]:
    real.flush()
    kept = os.dup(1)
    if sys.stderr is not None:
        os.dup2(2, 1)
    else:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    clean = os.fdopen(kept, "w", encoding=real.encoding, errors=real.errors, closefd=False)
    try:
        yield clean
    finally:
        with suppress(OSError):
            # Every print is flushed: what is left in it was told by the print that failed.
            clean.close()
        os.dup2(kept, 1)
        os.close(kept)
