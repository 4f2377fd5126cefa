"""What a step writes, read while it is written: its log's file, as it grows, is replaced and goes.

Each byte is given once. A log that became long is replaced by one with the ends of its streams, and
says how many bytes it let go; so everything in it has its place in its stream.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.dsl.journal.logs import HEADER, STREAMS, Logged, LogStream, frames

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES: Final = 1 << 22
"""Read at once; the rest with the next look."""


class Piece(NamedTuple):
    """What an attempt wrote to one of its streams.

    `lost` is how many bytes before it were let go before anybody could read them.
    """

    attempt: int
    stream: LogStream
    data: bytes
    lost: int = 0


class LogTail:
    """Follows the log of one step, from the attempt *after* which one is known. It changes nothing,
    and holds nothing open.
    """

    def __init__(self, file: Path, *, after: int = 0) -> None:
        self._file = file
        self._after = after
        self._inode = -1
        self._offset = 0
        self._unread = b""
        self._attempt = 0
        self._places: dict[LogStream, int] = {}
        """Where in the streams of the attempt the next bytes belong."""
        self._given: dict[tuple[int, LogStream], int] = {}
        """Up to where in its streams each attempt was given."""

    def poll(self) -> Iterator[Piece]:
        """Yield what has been written since the last look; nothing where there is no file."""
        try:
            with self._file.open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_ino != self._inode or state.st_size < self._offset:
                    self._inode, self._offset, self._unread = state.st_ino, 0, b""
                file.seek(self._offset)
                data = file.read(_MOST_BYTES)
        except OSError:  # It was taken into the store, or nobody has written yet.
            return
        self._offset += len(data)
        yield from self._pieces(data)

    def catch_up(self, log: Iterable[Logged]) -> Iterator[Piece]:
        """Yield what the *log* that was stored has of the attempts, and was not given."""
        for logged in log:
            self._begin(logged.number, logged.left_out)
            for stream, data in logged.pieces:
                yield from self._give(stream, data)

    def _pieces(self, data: bytes) -> Iterator[Piece]:
        data = self._unread + data
        offset = 0
        for number, payload in frames(data, begun=self._offset > len(data)):
            offset += HEADER.size + len(payload)
            if number in STREAMS:
                yield from self._give(STREAMS[number], payload)
            elif "attempt" in (about := json.loads(payload)):
                self._begin(about["attempt"], about.get("left_out", {}))
        self._unread = data[offset:]

    def _begin(self, attempt: int, left_out: dict[str, int]) -> None:
        self._attempt = attempt
        self._places = {stream: left_out.get(stream, 0) for stream in STREAMS.values()}

    def _give(self, stream: LogStream, data: bytes) -> Iterator[Piece]:
        begin = self._places.get(stream, 0)
        self._places[stream] = end = begin + len(data)
        given = self._given.get((self._attempt, stream), 0)
        if end > given and self._attempt > self._after:
            self._given[self._attempt, stream] = end
            lost = max(begin - given, 0)
            yield Piece(self._attempt, stream, data[max(given - begin, 0) :], lost)
