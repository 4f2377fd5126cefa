"""Shards: an enumeration that takes long is dealt, by the numbers of its items, to several tests.

So the workers share it. `--thorough` runs all shards; every day runs one of each enumeration,
another one from enumeration to enumeration, and the same one on every day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from zlib import crc32

import pytest

SHARDS = 3
_Item = TypeVar("_Item")


def shards(everyday: int = 0) -> list[Any]:
    """The values of a test's parameter `shard`; all but the one for *everyday* are thorough."""
    return [pytest.param(shard, marks=_marks(shard, everyday)) for shard in range(SHARDS)]


def sharded(*cases: Any, everyday: int = 0) -> list[Any]:
    """The values of a test's parameters `(case, shard)`; *everyday* is the shard of the first case
    that is not thorough, and each case has the next one.
    """
    return [
        pytest.param(case, shard, marks=_marks(shard, everyday + position))
        for position, case in enumerate(cases)
        for shard in range(SHARDS)
    ]


def share(shard: int, items: Sequence[_Item]) -> Sequence[_Item]:
    """Those of *items* that *shard* has."""
    return items[shard::SHARDS]


def shard_of(name: str) -> int:
    """The shard of what has a name, but no number, since its order is not always the same."""
    return crc32(name.encode()) % SHARDS


def _marks(shard: int, everyday: int) -> list[pytest.MarkDecorator]:
    return [] if shard == everyday % SHARDS else [pytest.mark.thorough]
