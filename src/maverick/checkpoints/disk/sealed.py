r"""Canonical JSON, the one spelling of trees and checkpoints, and the small files that seal
themselves.

Canonical JSON holds mappings, lists, integers and strings only; keys are sorted by code point,
there are no spaces, text is UTF-8 with lone surrogates as `\udcxx` escapes. Equal things have equal
bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from maverick.checkpoints.disk.files import UNREADABLE

if TYPE_CHECKING:
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
)
quote = json.encoder.encode_basestring
"""Spells one text as canonical JSON, for what formats its JSON itself: that is quicker."""

_SEAL_KEY = b',"~blake3":"'
_SEAL_END = b'"}\n'
_SEAL_BYTES = len(_SEAL_KEY) + 64 + len(_SEAL_END)


class Broken(Exception):
    """A small file is not what was written. The text says how: `is torn or altered`."""


def encode(value: Any) -> bytes:
    """Give the canonical JSON of *value* (mappings with string keys, lists, integers, strings)."""
    return to_bytes(spell(value))


def spell(value: Any) -> str:
    """Give the canonical JSON of *value* as a text, of which `to_bytes` makes the bytes."""
    return _ENCODER.encode(value)


def to_bytes(spelt: str) -> bytes:
    """Give the bytes of canonical JSON."""
    return spelt.encode("utf-8", "backslashreplace")


def seal(fields: dict[str, Any]) -> bytes:
    """Give *fields* (not empty) as a JSON object that ends with the BLAKE3 of all the bytes before
    it.
    """
    return seal_object(encode(fields))


def seal_object(data: bytes) -> bytes:
    """Give the canonical JSON object *data* (not empty), sealed as `seal` does."""
    body = data[:-1]
    return body + _SEAL_KEY + blake3(body).hexdigest().encode() + _SEAL_END


def unseal(data: bytes) -> dict[str, Any] | None:
    """Give the fields of a sealed file, or None if it is torn, altered or not sealed at all."""
    body, tail = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    if tail != _SEAL_KEY + blake3(body).hexdigest().encode() + _SEAL_END:
        return None
    try:
        fields = json.loads(body + b"}")
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def load(files: Files, path: Path) -> bytes:
    """Give the bytes of the small file *path*. Raises FileNotFoundError, and Broken if it is this
    file that the system cannot read.
    """
    try:
        return files.read(path)
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        raise Broken(f"cannot be read: {error.strerror}") from error


def read(files: Files, path: Path) -> dict[str, Any]:
    """Give the fields of the sealed file *path*. Raises FileNotFoundError, and Broken."""
    fields = unseal(load(files, path))
    if fields is None:
        raise Broken("is torn or altered")
    return fields
