"""The data that all subjects save: made from seeds, so that every run and every subject has the
same.
"""

from __future__ import annotations

import random
from array import array
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1 << 20


@cache
def _words() -> list[bytes]:
    """65,536 words to draw from: a vocabulary of 8,000 in the frequencies of a language, with
    numbers and hashes.

    What is drawn compresses about as well as program output and prose do (zstd 3: to 40 %).
    """
    rng = random.Random(7)
    syllables = [
        a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "ar", "en", "is")
    ]
    vocabulary = [
        "".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3, 4)))) for _ in range(8000)
    ]
    drawn = rng.choices(vocabulary, weights=[1 / (rank + 3) for rank in range(8000)], k=60_000)
    numbers = [str(rng.randrange(10**5)) for _ in range(3000)]
    hashes = [f"{rng.getrandbits(48):012x}" for _ in range(2536)]
    words = [*drawn, *numbers, *hashes]
    rng.shuffle(words)
    ends = rng.choices((" ", ", ", ".\n"), (8, 1, 1), k=len(words))
    return [(word + end).encode() for word, end in zip(words, ends, strict=True)]


def text(seed: str, size: int) -> bytes:
    """Give *size* bytes of text; equal seeds give equal text, and a shorter one is a prefix of a
    longer.
    """
    rng = random.Random(seed)
    words = _words()
    parts: list[bytes] = []
    length = 0
    while length < size:
        block = b"".join(
            map(
                words.__getitem__,
                array("H", rng.randbytes(min(_BLOCK, 1024 + size // 2) // 1024 * 1024)),
            )
        )
        parts.append(block)
        length += len(block)
    return b"".join(parts)[:size]


def write_large(path: Path, size: int) -> None:
    """Write a payload of *size* bytes to *path*: text and incompressible bytes, 192 kB of each in
    turn.
    """
    rng = random.Random("large")
    with path.open("wb") as file:
        left, number = size, 0
        while left > 0:
            piece = (text(f"large {number}", 192_000) + rng.randbytes(192_000))[:left]
            file.write(piece)
            left -= len(piece)
            number += 1


def write_with_insertion(source: Path, path: Path, insertion: bytes) -> None:
    """Write *source* to *path* with *insertion* in the middle."""
    half = source.stat().st_size // 2
    with source.open("rb") as file, path.open("wb") as target:
        left = half
        while left:
            block = file.read(min(left, 16 * _BLOCK))
            target.write(block)
            left -= len(block)
        target.write(insertion)
        while block := file.read(16 * _BLOCK):
            target.write(block)
