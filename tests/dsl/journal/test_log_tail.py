"""A log that is read while it is written, whatever becomes of its file meanwhile."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maverick.dsl.journal.log_tail import LogTail, Piece
from maverick.dsl.journal.logs import (
    ABOUT,
    HEADER,
    STREAMS,
    Logged,
    LogStream,
    read_log,
    write_log,
)

_NUMBERS = {name: number for number, name in STREAMS.items()}
_STREAMS: st.SearchStrategy[LogStream] = st.sampled_from(["stdout", "stderr"])
_KEPT_BYTES = 30
"""Of each stream, in these tests."""
_names = itertools.count()


class Log:
    """The file of a running step, and all that was ever written to it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"log{next(_names)}"
        self.attempt = 0
        self.written: dict[tuple[int, str], bytes] = {}

    def begin(self) -> None:
        self.attempt += 1
        self._append(write_log([Logged(self.attempt, "a")]))

    def write(self, stream: LogStream, data: bytes) -> None:
        place = (self.attempt, stream)
        self.written[place] = self.written.get(place, b"") + data
        self._append(HEADER.pack(_NUMBERS[stream], len(data)) + data)

    def end(self) -> None:
        payload = b'{"status":"failed"}'
        self._append(HEADER.pack(ABOUT, len(payload)) + payload)

    def compact(self) -> None:
        """Replace the file by one with the ends of its streams, as a log that became long."""
        other = self.file.with_name("other")
        other.write_bytes(write_log(read_log(self.file.read_bytes())))
        other.rename(self.file)

    def _append(self, data: bytes) -> None:
        with self.file.open("ab") as file:
            file.write(data)


def _add(told: dict[tuple[int, str], bytes], pieces: list[Piece], log: Log) -> None:
    """Add *pieces* to what was *told*; what was let go unread is taken from what was written."""
    for attempt, stream, data, lost in pieces:
        so_far = told.get((attempt, stream), b"")
        gone = log.written[attempt, stream][len(so_far) : len(so_far) + lost]
        assert lost == len(gone)
        told[attempt, stream] = so_far + gone + data


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), _STREAMS, st.integers(1, 20)),
        st.tuples(st.sampled_from(["poll", "compact", "retry"]), st.just("stdout"), st.just(0)),
    ),
    max_size=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_STEPS, st.booleans())
def test_each_byte_is_told_once_and_in_its_place(
    tmp_path: Path, steps: list[tuple[str, LogStream, int]], is_stored: bool
) -> None:
    """Also where the file is replaced between two looks, or taken into the store after the last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maverick.dsl.journal.logs.STREAM_BYTES", _KEPT_BYTES)
        log, told = Log(tmp_path), dict[tuple[int, str], bytes]()
        tail = LogTail(log.file)
        log.begin()
        for number, (what, stream, size) in enumerate(steps):
            match what:
                case "write":
                    log.write(stream, number.to_bytes(1, "big") * size)
                case "poll":
                    _add(told, list(tail.poll()), log)
                case "compact":
                    log.compact()
                case _:
                    log.end()
                    log.begin()
        if is_stored:
            stored = read_log(write_log(read_log(log.file.read_bytes())))
            log.file.unlink()
            assert [] == list(tail.poll())
            _add(told, list(tail.catch_up(stored)), log)
        else:
            _add(told, list(tail.poll()), log)

    assert told == log.written


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_half_a_frame_is_told_once_it_is_whole(tmp_path: Path, data: st.DataObject) -> None:
    """A look may come in the middle of a write."""
    log = Log(tmp_path)
    log.begin()
    log.write("stdout", b"one")
    log.write("stderr", b"two")
    whole = log.file.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    log.file.write_bytes(whole[:cut])
    tail, told = LogTail(log.file), dict[tuple[int, str], bytes]()

    _add(told, list(tail.poll()), log)
    with log.file.open("ab") as file:
        file.write(whole[cut:])
    _add(told, list(tail.poll()), log)

    assert told == log.written


def test_attempts_that_are_known_are_not_told_again(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.begin()
    log.write("stdout", b"earlier")
    log.begin()
    log.write("stdout", b"now")

    assert [(2, b"now")] == [
        (piece.attempt, piece.data) for piece in LogTail(log.file, after=1).poll()
    ]


def test_what_is_no_frame_ends_what_is_told(tmp_path: Path) -> None:
    """A power cut may leave zeros at the end of a file, as `read_log` knows, too."""
    log = Log(tmp_path)
    log.begin()
    log.write("stdout", b"told")
    with log.file.open("ab") as file:
        file.write(bytes(100))
    tail = LogTail(log.file)

    assert [b"told"] == [piece.data for piece in tail.poll()]
    assert [] == list(tail.poll())
