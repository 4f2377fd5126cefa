r"""Canonical JSON, the one spelling of trees and checkpoints, and the small files that seal
themselves.

Canonical JSON holds mappings, lists, integers and strings only; keys are sorted by code point,
there are no spaces, text is UTF-8 with lone surrogates as `\udcxx` escapes. Equal things have equal
bytes.
"""

from __future__ import annotations

import json
from typing import Any

from blake3 import blake3

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
)
_SEAL_KEY = b',"~blake3":"'
_SEAL_END = b'"}\n'
_SEAL_BYTES = len(_SEAL_KEY) + 64 + len(_SEAL_END)


def encode(value: Any) -> bytes:
    """Give the canonical JSON of *value* (mappings with string keys, lists, integers, strings)."""
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def seal(fields: dict[str, Any]) -> bytes:
    """Give *fields* (not empty) as a JSON object that ends with the BLAKE3 of all the bytes before
    it.
    """
    body = encode(fields)[:-1]
    return body + _SEAL_KEY + blake3(body).hexdigest().encode() + _SEAL_END


def unseal(data: bytes) -> dict[str, Any] | None:
    """Give the fields of a sealed file, or None if it is torn, altered or not sealed at all."""
    body, tail = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    if tail != _SEAL_KEY + blake3(body).hexdigest().encode() + _SEAL_END:
        return None
    try:
        fields = json.loads(body + b"}")
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None
