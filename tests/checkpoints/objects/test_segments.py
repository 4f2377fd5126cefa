"""Streams: what is compressed block by block comes back, and segments end where they are to."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.checkpoints.objects import segments
from maverick.checkpoints.objects.pack_records import RecordDamaged
from maverick.checkpoints.objects.segments import (
    BEGINS,
    PREFIXED,
    BlockTooLarge,
    Decoder,
    Encoder,
    compress,
    decompress,
)

BLOCKS = st.lists(
    st.tuples(
        st.one_of(st.binary(max_size=40), st.integers(0, 900).map(lambda n: b"ab" * n)),
        st.sampled_from(["", "", "anew", "takeover"]),
    ),
    max_size=30,
)


@given(BLOCKS, st.sampled_from([64, 700, 1 << 20]), st.sampled_from([8, 100, 1 << 18]))
def test_whatever_is_put_in_comes_back(
    blocks: list[tuple[bytes, str]], segment_bytes: int, prefix_bytes: int
) -> None:
    """Whoever goes on with a stream, and wherever it begins anew; each segment by itself."""
    begun_anew: list[list[tuple[bytes, bytes, int]]] = []
    with (
        patch.object(segments, "SEGMENT_BYTES", segment_bytes),
        patch.object(segments, "PREFIX_BYTES", prefix_bytes),
    ):
        encoder = Encoder()
        for data, how in blocks:
            if how == "takeover":
                begun = b"".join(raw for raw, _, _ in begun_anew[-1]) if begun_anew else b""
                encoder = Encoder(begun)
            block, flags = encoder.put(data, anew=how == "anew")
            if not data:
                assert (b"", 0) == (block, flags)
                continue
            if flags & (BEGINS | PREFIXED) == BEGINS:
                begun_anew.append([])
            assert not (how == "anew" and len(begun_anew[-1]))
            begun_anew[-1].append((data, block, flags))

        for segment in begun_anew:
            assert len(segment) == 1 or sum(len(raw) for raw, _, _ in segment) <= segment_bytes
            decoder = Decoder()
            assert [raw for raw, _, _ in segment] == [
                decoder.take(block, flags, len(raw)) for raw, block, flags in segment
            ]


def test_what_another_process_goes_on_with_leans_on_what_is_there() -> None:
    """Its first block is small, though its compressor is new."""
    data = bytes(range(256)) * 8
    first = Encoder()
    block, _ = first.put(data)

    more, flags = Encoder(data).put(data)

    assert BEGINS | PREFIXED == flags
    assert len(more) < 40 < len(block)


@pytest.mark.parametrize("flags", [0, PREFIXED, BEGINS | PREFIXED])
def test_a_segment_without_its_beginning_is_damaged(flags: int) -> None:
    """Also where what it goes on with stands in front of it."""
    with pytest.raises(RecordDamaged):
        Decoder().take(compress(b"x" * 100), flags, 100)


def test_nothing_is_decoded_behind_a_damaged_block() -> None:
    """Not even by a frame of its own that leans on what was there before."""
    encoder = Encoder()
    (one, begins), (two, _) = encoder.put(b"one" * 50), encoder.put(b"two" * 50)
    three, prefixed = Encoder(b"one" * 50 + b"two" * 50).put(b"three")
    decoder = Decoder()
    decoder.take(one, begins, 150)

    with pytest.raises(RecordDamaged):
        decoder.take(b"\xff" * len(two), 0, 150)
    for block, flags in ((two, 0), (three, prefixed)):
        with pytest.raises(RecordDamaged):
            decoder.take(block, flags, 150)
    assert b"one" * 50 == decoder.take(one, begins, 150)


def test_no_more_is_decompressed_than_is_allowed() -> None:
    """A few bytes can describe more than any memory holds."""
    bomb = compress(bytes(64 << 20))
    assert len(bomb) < 10_000

    with pytest.raises(BlockTooLarge):
        decompress(bomb, 1000)
    with pytest.raises(RecordDamaged):
        decompress(bomb, (64 << 20) + 1)
    assert bytes(64 << 20) == decompress(bomb, 64 << 20)
