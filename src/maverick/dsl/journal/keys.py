"""Keys: hashes of what a step does and is given, by which a record is recognised (see
docs/design.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import blake3

from maverick.checkpoints.trees.codec import encode

if TYPE_CHECKING:
    from maverick.dsl.workflow.outcome import Key
    from maverick.values import Value

HEX_DIGITS = 20
"""Of each part's hash: 80 bits, since a key only has to tell apart the versions of one step."""


def key_of(parts: Mapping[str, Value]) -> Key:
    """The key of a step whose parts are *parts*; a part that is null counts as absent."""
    return {name: _digest(part) for name, part in sorted(parts.items()) if part is not None}


def _digest(part: Value) -> str:
    return blake3.blake3(encode(part).data).hexdigest()[:HEX_DIGITS]
