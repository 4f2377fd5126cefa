"""What an exception of somebody's Python code says: its reason also where `str` hides it, and its traceback.

An exception may keep the reason beside its text: a group in the exceptions that it holds, a chained one in its cause,
`subprocess.CalledProcessError` in what the command wrote.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from maverick.dsl.last_words import ends_of, named

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_REASONS = 20
"""Of one exception: those of a group, their causes and so on."""


def said(error: BaseException) -> str:
    """Give the exception's type and text, as `ValueError: no such row`."""
    try:
        text = str(error)
    except Exception as other:  # noqa: BLE001 - the code of a stranger; what it could not say is no reason to fail
        text = f"its text cannot be had: {type(other).__name__}"
    return f"{type(error).__name__}: {text or 'no message'}"


def reasons(error: BaseException) -> list[str]:
    """Give lines for what the exception keeps beside its text: notes, output of a command, other exceptions."""
    lines = []
    for depth, introduction, each in _with_others(error):
        if depth:
            lines.append(f"{'  ' * (depth - 1)}{introduction}{said(each)}")
        details = [*_notes(each), *_command_output(each)]
        lines += [f"{'  ' * max(depth, 1)}{line}" for line in details]
    return lines


def traceback_of(error: BaseException, file: str) -> str:
    """Give the traceback with all that is chained to it, from the first frame in *file* on, if there is one."""
    described = traceback.TracebackException.from_exception(error)
    for place, frame in enumerate(described.stack):
        if frame.filename == file:
            del described.stack[:place]
            break
    return "".join(described.format())


def _with_others(error: BaseException) -> Iterator[tuple[int, str, BaseException]]:
    """Yield *error*, then those that it holds or was caused by, each with its depth and how it is introduced."""
    todo = [(0, "", error)]
    seen: set[int] = set()
    while todo and len(seen) <= _MOST_REASONS:
        depth, introduction, each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield depth, introduction, each
        others = []
        if each.__cause__ is not None:
            others.append(("caused by ", each.__cause__))
        elif each.__context__ is not None and not each.__suppress_context__:
            others.append(("while handling ", each.__context__))
        if isinstance(each, BaseExceptionGroup):
            others += [("", other) for other in each.exceptions]
        todo += [(depth + 1, *other) for other in reversed(others)]


def _notes(error: BaseException) -> list[str]:
    """Give the lines of the notes that were added to an exception (PEP 678)."""
    notes = getattr(error, "__notes__", ())
    texts = [note for note in notes if isinstance(note, str)] if isinstance(notes, list | tuple) else []
    return [line for text in texts for line in text.splitlines()]


def _command_output(error: BaseException) -> list[str]:
    """Give the ends of the streams that an exception of `subprocess` holds, under their names."""
    import subprocess  # noqa: PLC0415 - where it was never imported there is no exception of it

    if not isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        return []
    return named(ends_of(_bytes(error.stdout), _bytes(error.stderr)))


def _bytes(output: object) -> bytes:
    if isinstance(output, str):
        return output.encode("utf-8", "replace")
    return output if isinstance(output, bytes) else b""
