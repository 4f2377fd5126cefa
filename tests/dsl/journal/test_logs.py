"""The frames of a step's log, apart from any run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maverick.dsl.journal.logs import STREAM_BYTES, Logged, LogStream, read_log, write_log

_STREAMS: st.SearchStrategy[LogStream] = st.sampled_from(["stdout", "stderr", "prompt"])
_PIECES = st.lists(st.tuples(_STREAMS, st.binary(min_size=1, max_size=20)))
_ENDS = st.sampled_from([{}, {"status": "failed", "error": "why", "seconds": 0.1}])
_ATTEMPTS = st.lists(st.tuples(_PIECES, _ENDS), max_size=4).map(
    lambda made: [Logged(n, "a.b", pieces, end) for n, (pieces, end) in enumerate(made, 1)]
)


@given(_ATTEMPTS)
def test_a_log_gives_back_what_was_written(attempts: list[Logged]) -> None:
    """Each attempt with its end; the streams' bytes, and the order in which they came."""
    read = read_log(write_log(attempts))

    assert [(it.number, it.step, it.end) for it in attempts] == [
        (it.number, it.step, it.end) for it in read
    ]
    for written, back in zip(attempts, read, strict=True):
        assert b"".join(d for _, d in written.pieces) == b"".join(d for _, d in back.pieces)
        assert [s for s, d in written.pieces for _ in d] == [s for s, d in back.pieces for _ in d]


@given(_ATTEMPTS, st.data())
def test_a_torn_log_loses_its_end_only(attempts: list[Logged], data: st.DataObject) -> None:
    """A kill may come in the middle of a write."""
    whole = write_log(attempts)
    torn = whole[: data.draw(st.integers(0, len(whole)))]

    read = read_log(torn)

    assert [it.number for it in read] == [it.number for it in attempts][: len(read)]
    for written, back in zip(attempts, read, strict=False):
        assert b"".join(d for _, d in written.pieces).startswith(
            b"".join(d for _, d in back.pieces)
        )


@given(_PIECES, st.data())
def test_the_bytes_do_not_depend_on_the_pieces(
    pieces: list[tuple[LogStream, bytes]], data: st.DataObject
) -> None:
    """A pipe gives what it has at that moment; equal logs are stored once all the same."""
    cut: list[tuple[LogStream, bytes]] = []
    for stream, piece in pieces:
        place = data.draw(st.integers(0, len(piece)))
        cut += [(stream, part) for part in (piece[:place], piece[place:]) if part]

    assert write_log([Logged(1, "a", pieces)]) == write_log([Logged(1, "a", cut)])


def test_of_each_stream_the_end_is_kept() -> None:
    """A flood on one stream takes nothing from the other; how much was let go is told, however
    often.
    """
    flood: list[tuple[LogStream, bytes]] = [
        ("stdout", b"x" * STREAM_BYTES),
        ("stderr", b"why"),
        ("stdout", b"end"),
    ]

    once = read_log(write_log([Logged(1, "a", flood)]))[0]
    twice = read_log(
        write_log([Logged(1, "a", [*once.pieces, ("stdout", b"!")], left_out=once.left_out)])
    )[0]

    assert (b"x" * (STREAM_BYTES - 3) + b"end", b"why") == (
        once.stream("stdout"),
        once.stream("stderr"),
    )
    assert ({"stdout": 3}, {"stdout": 4}) == (once.left_out, twice.left_out)
    assert twice.stream("stdout").endswith(b"xend!")
