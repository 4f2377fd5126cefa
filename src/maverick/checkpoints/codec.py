"""Values as bytes: the JSON of `docs/format.md`, which gives back exactly the value that was put in.

Mappings keep the order of their keys, integers have any size, floats round-trip exactly, bytes are blobs of
their own. What JSON cannot say is a mapping with one key that begins with `$`; a key that begins with `$` by
itself gets one more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from maverick.checkpoints import ids
from maverick.checkpoints.ids import BlobId, ObjectId
from maverick.errors import StoreDamaged, ValueUnstorable

if TYPE_CHECKING:
    from collections.abc import Callable

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"

MAX_DEPTH = 200
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_INFINITY = float("inf")
_SCALARS = frozenset({str, int, float, bytes})


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded value: the JSON, and the blobs that its `$bytes` name."""

    data: bytes
    attachments: dict[BlobId, bytes]


def encode(value: Value, *, path: str = "value") -> Encoded:
    """Encode *value*.

    Raises:
        ValueUnstorable: it holds something that is no Value, or is nested more than 200 deep. The error
            names the place, beginning with *path*.
    """
    attachments: dict[BlobId, bytes] = {}
    text = _ENCODER.encode(_plain(value, path, 0, attachments))
    return Encoded(text.encode("utf-8", "backslashreplace"), attachments)


def decode(data: bytes, fetch: Callable[[BlobId], bytes]) -> Value:
    """Decode what `encode` made; *fetch* gives the bytes of an attachment.

    Raises:
        StoreDamaged: *data* was not written by these rules.
    """
    try:
        return _value(json.loads(data), fetch)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreDamaged(
            f"a stored value cannot be decoded ({error}); run `maverick checkpoint fsck`"
        ) from error


def _plain(value: Any, path: str, depth: int, attachments: dict[BlobId, bytes]) -> Any:
    """Give *value* in what JSON can say; collects the bytes it meets in *attachments*."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind in _SCALARS:
        return _scalar(value, path, attachments)
    if kind is not list and kind is not dict:
        raise ValueUnstorable(path, f"cannot store a {kind.__name__}")
    if depth >= MAX_DEPTH:
        raise ValueUnstorable(path, f"is nested more than {MAX_DEPTH} deep")
    if kind is list:
        return [_plain(item, f"{path}[{n}]", depth + 1, attachments) for n, item in enumerate(value)]
    return {
        _key(key, path): _plain(item, f"{path}.{key}", depth + 1, attachments) for key, item in value.items()
    }


def _scalar(value: Any, path: str, attachments: dict[BlobId, bytes]) -> Any:
    match value:
        case str():
            return _text(value, path)
        case int():
            return value if _MIN_INT <= value <= _MAX_INT else {"$int": format(value, "x")}
        case float():
            return value if -_INFINITY < value < _INFINITY else {"$float": repr(value)}
    blob = ids.blob_id(value)
    attachments[blob] = value
    return {"$bytes": blob}


def _key(key: object, path: str) -> str:
    if type(key) is not str:
        raise ValueUnstorable(path, f"has a key that is a {type(key).__name__}; keys are strings")
    text = _text(key, f"{path}.{key}")
    return f"${text}" if text.startswith("$") else text


def _text(text: str, path: str) -> str:
    """Give *text*, unless it spells a character as two surrogates: JSON would give back the character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        both = any("\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in pairwise(text))
        if both:
            raise ValueUnstorable(
                path, "has a text with a character in two halves (a surrogate pair)"
            ) from None
    return text


def _value(plain: Any, fetch: Callable[[BlobId], bytes]) -> Value:
    if isinstance(plain, list):
        return [_value(item, fetch) for item in plain]
    if not isinstance(plain, dict):
        return plain  # type: ignore[no-any-return]
    if len(plain) == 1:
        ((key, item),) = plain.items()
        match key:
            case "$int":
                return int(item, 16)
            case "$float":
                return float(item)
            case "$bytes":
                return fetch(BlobId(ObjectId(item)))
    return {_unescaped(key): _value(item, fetch) for key, item in plain.items()}


def _unescaped(key: str) -> str:
    if not key.startswith("$"):
        return key
    if not key.startswith("$$"):
        raise ValueError(f"unknown tag {key}")
    return key[1:]
