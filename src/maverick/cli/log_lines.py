"""`maverick logs -f`: what steps wrote, and what they write while somebody looks."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import typer

from maverick.cli.terminal.streams import (
    is_read_by_github,
    is_terminal,
    print_err,
    print_out,
    write_out,
)
from maverick.cli.typed.named import no_step
from maverick.dsl.journal.logs import find_log
from maverick.dsl.paths import StepPath
from maverick.views.following import Follower, Written
from maverick.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maverick.checkpoints import Store
    from maverick.views.run_page import RunPage

_LOOK_EVERY_SECONDS: Final = 0.25
_ENDS: Final = frozenset({"step_done", "step_failed", "step_skipped"})


def follow_logs(store: Store, page: RunPage, step: str | None, streams: Sequence[str]) -> None:
    """Print what *step* of the run of *page*, or every step, wrote and writes, until it ends.

    Raises:
        NotFound: There is no such step, and none can come.
        typer.Exit: Somebody pressed Ctrl-C.
    """
    is_one = step is not None and _is_one(page, StepPath(step))
    follower = Follower(store, store.ref(page.run), page.project)
    printer = _Printer(streams, alone=is_one)
    follower.begin()
    try:
        for row in follower.page.top.rows():
            if _is_wanted(row.path, step) and row.status in ("done", "failed"):
                for stream, data in [
                    piece
                    for logged in find_log(follower.page.tree, row.path)[-1:]
                    for piece in logged.pieces
                ]:
                    printer.write(row.path, stream, data)
                printer.end(row.path)
        _go_on(follower, printer, step, is_one=is_one)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _go_on(follower: Follower, printer: _Printer, step: str | None, *, is_one: bool) -> None:
    """Print what comes."""
    while True:
        for happening in follower.poll():
            if not _is_wanted(happening.step, step):
                continue
            if isinstance(happening, Written):
                piece = happening.piece
                printer.write(happening.step, piece.stream, piece.data, lost=piece.lost)
            elif happening.event in _ENDS:
                printer.end(happening.step)
        if follower.is_over or (is_one and _has_ended(follower, StepPath(step or ""))):
            printer.end_all()
            return
        time.sleep(_LOOK_EVERY_SECONDS)


def _has_ended(follower: Follower, step: StepPath) -> bool:
    """Whether *step* has ended; one that failed in an earlier execution is to run again."""
    node = follower.page.find(step)
    row = node.row if node is not None else None
    if row is None or follower.runs(step):
        return False
    is_of_now = row.execution == follower.page.last_execution
    return row.status in ("done", "skipped") or (row.status == "failed" and is_of_now)


def _is_wanted(path: str, step: str | None) -> bool:
    return step is None or StepPath(path).is_within(step)


def _is_one(page: RunPage, step: StepPath) -> bool:
    """Whether *step* is not made of steps; it may be still to come."""
    node, outlined = page.find(step), page.definition.find(step)
    if node is not None and node.row is not None:
        return not node.row.is_composite
    if outlined is None and node is None:
        raise no_step(page, step)
    return outlined is not None and not outlined.step.is_composite


class _Printer:
    """Prints what steps write: of one as it comes, of several line by line."""

    def __init__(self, streams: Sequence[str], *, alone: bool) -> None:
        self._streams = streams
        self._alone = alone
        is_obeyed = is_terminal(sys.stdout) or is_read_by_github(sys.stdout)
        self._gives_bytes = alone and not is_obeyed
        self._rests: dict[tuple[str, str], bytes] = {}

    def write(self, path: str, stream: str, data: bytes, *, lost: int = 0) -> None:
        if stream not in self._streams:
            return
        if lost:
            print_err(f"{one_line(path)}: {lost:,} bytes of {stream} are gone")
        if self._gives_bytes:
            write_out(data)
            return
        *whole, rest = (self._rests.pop((path, stream), b"") + data).split(b"\n")
        if rest:
            self._rests[path, stream] = rest
        self._print(path, whole)

    def end(self, path: str) -> None:
        """Print what has come without an end."""
        for place in [place for place in self._rests if place[0] == path]:
            self._print(path, [self._rests.pop(place)])

    def end_all(self) -> None:
        """Print all that has come without an end."""
        for path in {path for path, _ in self._rests}:
            self.end(path)

    def _print(self, path: str, lines: list[bytes]) -> None:
        head = "" if self._alone else f"{one_line(path)} | "
        texts = (line.decode("utf-8", "backslashreplace") for line in lines)
        print_out("".join(f"{head}{visible(text)}\n" for text in texts))
