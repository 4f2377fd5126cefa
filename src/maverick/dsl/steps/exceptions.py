"""What an exception of somebody's Python code says: its reason also where `str` hides it, and its
traceback.

An exception may keep the reason beside its text: a group in the exceptions that it holds, a chained
one in its cause, `subprocess.CalledProcessError` in what the command wrote. What it is asked for
runs its own code, which may raise anything; then that part is left out.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from maverick.dsl.processes.last_words import LINE_CHARACTERS, cut, ends_of, named
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maverick.dsl.processes.child import StreamName

_MOST_REASONS = 20
"""Of one exception: those of a group, their causes and so on."""
_MOST_FRAMES = 3
"""Of the project's files, behind the action's own."""
_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders whose files are no project's."""
_MOST_CHARACTERS = 20_000
"""Of an exception's text; its traceback has more of it."""
_MOST_BYTES = 1 << 20
"""Of each stream of a command, the last ones."""


class ActionRaised(StepFailed):
    """An action raised an exception: which, where in its file, and what it says beside its text.

    *log* is what belongs in the step's log: all that the exception has captured, and its traceback.
    """

    def __init__(
        self, message: str, *, causes: Sequence[str], log: Sequence[tuple[StreamName, bytes]]
    ) -> None:
        self.log = log
        super().__init__(message, causes=tuple(causes))


def raised_by(error: BaseException, file: str, root: str = "") -> ActionRaised:
    """Say what an action raised, where in its *file*, and where in files that this one called.

    Those are below *root*, the folder that the action's module was imported from.
    """
    traceback = traceback_of(error, file).encode("utf-8", "backslashreplace")
    return ActionRaised(
        "\n".join([said(error, file), *_deeper(error, file, root), *reasons(error, file)]),
        causes=[cls.__name__ for cls in type(error).__mro__],
        log=[*written(error), ("stderr", traceback)],
    )


def said(error: BaseException, file: str = "", most: int = _MOST_CHARACTERS) -> str:
    """Give the exception's type and text, as `ValueError: no such row`, and where in *file* it was
    raised.

    Of a text of more than *most* characters the middle is left out.
    """
    try:
        text = cut(str(error), most)
    except BaseException as other:  # noqa: BLE001 - see above
        text = f"its text cannot be had: {type(other).__name__}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file
    ]
    where = f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {text or 'no message'}{where}"


def _deeper(error: BaseException, file: str, root: str) -> list[str]:
    """Give lines for the last places below *root*, behind the last one in *file*: what raised the
    error stands in the last of them, or was called there. Packages that are installed are left out.
    """
    if not root:
        return []
    frames = traceback.extract_tb(error.__traceback__)
    own = [place for place, frame in enumerate(frames) if frame.filename == file]
    behind = frames[own[-1] + 1 :] if own else frames
    begin = f"{root.rstrip('/')}/"
    called = [
        frame
        for frame in behind
        if frame.filename.startswith(begin)
        and not _INSTALLED.intersection(frame.filename.removeprefix(begin).split("/"))
    ]
    return [
        f"  at {frame.filename}:{frame.lineno} in {frame.name}" for frame in called[-_MOST_FRAMES:]
    ]


def reasons(error: BaseException, file: str = "") -> list[str]:
    """Give lines for what the exception keeps beside its text: notes, output of a command, other
    exceptions.
    """
    lines = []
    for depth, introduction, each in _with_others(error):
        if depth:
            lines.append(f"{'  ' * depth}{introduction}{said(each, file, LINE_CHARACTERS)}")
        output = dict(_output(each))
        ends = ends_of(output.get("stdout", b""), output.get("stderr", b""))
        lines += [f"{'  ' * (depth + 1)}{line}" for line in [*_notes(each), *named(ends)]]
    return lines


def written(error: BaseException) -> list[tuple[StreamName, bytes]]:
    """Give all that commands wrote whose output the exception holds, or one that it holds or was
    caused by.
    """
    return [output for _, _, each in _with_others(error) for output in _output(each)]


def traceback_of(error: BaseException, file: str) -> str:
    """Give the traceback with all that is chained to it, from the first frame in *file* on, if
    there is one.
    """
    try:
        described = traceback.TracebackException.from_exception(error)
        for place, frame in enumerate(described.stack):
            if frame.filename == file:
                del described.stack[:place]
                break
        return "".join(described.format())
    except BaseException:  # noqa: BLE001 - see above
        return "".join([*traceback.format_tb(error.__traceback__), said(error), "\n"])


def _with_others(error: BaseException) -> Iterator[tuple[int, str, BaseException]]:
    """Yield *error*, then those that it holds or was caused by, each with its depth and how it is
    introduced.
    """
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
            others += [("", other) for other in _own(each, "exceptions") or ()]
        todo += [(depth + 1, *other) for other in reversed(others)]


def _own(error: BaseException, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except BaseException:  # noqa: BLE001 - see above
        return None


def _notes(error: BaseException) -> list[str]:
    """Give the lines of the notes that were added to an exception (PEP 678)."""
    notes = _own(error, "__notes__")
    texts = (
        [note for note in notes if isinstance(note, str)] if isinstance(notes, list | tuple) else []
    )
    return [cut(line, LINE_CHARACTERS) for text in texts for line in text.splitlines()]


def _output(error: BaseException) -> list[tuple[StreamName, bytes]]:
    """Give what an exception of `subprocess` captured of its command, by stream."""
    import subprocess  # noqa: PLC0415 - where it was never imported there is no exception of it

    if not isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        return []
    both: list[tuple[StreamName, object]] = [
        ("stdout", _own(error, "stdout")),
        ("stderr", _own(error, "stderr")),
    ]
    return [(name, data[-_MOST_BYTES:]) for name, output in both if (data := _bytes(output))]


def _bytes(output: object) -> bytes:
    if isinstance(output, str):
        return output.encode("utf-8", "replace")
    return output if isinstance(output, bytes) else b""
