"""Values as bytes: the JSON of `docs/format.md`, which gives back exactly the value that was put
in.

Mappings keep the order of their keys, integers have any size, floats round-trip exactly, bytes are
blobs of their own. What JSON cannot say is a mapping with one key that begins with `$`; a key that
begins with `$` by itself gets one more.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import BlobId, ObjectId
from maverick.errors import StoreDamaged, ValueUnstorable
from maverick.record import record
from maverick.values import MAX_DEPTH, Value

if TYPE_CHECKING:
    from collections.abc import Callable

_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_INFINITY = float("inf")
_SCALARS = frozenset({str, int, float, bytes})


@record
class Encoded:
    """An encoded value: the JSON, and the blobs that its `$bytes` name."""

    data: bytes
    attachments: dict[BlobId, bytes]


def encode(value: object, *, path: str = "value") -> Encoded:
    """Encode *value*.

    Raises:
        ValueUnstorable: it holds something that is no Value, or is nested more than 200 deep. The
            error names the place, beginning with *path*.
    """
    attachments: dict[BlobId, bytes] = {}
    try:
        text = _ENCODER.encode(_plain(value, 0, attachments))
    except _Unstorable as error:
        raise ValueUnstorable(_place(value, path), str(error)) from None
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


class _Unstorable(Exception):
    pass


def _plain(value: Any, depth: int, attachments: dict[BlobId, bytes]) -> Any:
    """Give *value* in what JSON can say; collects the bytes it meets in *attachments*."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind in _SCALARS:
        return _scalar(value, attachments)
    if kind is not list and kind is not dict:
        raise _Unstorable(f"cannot store a {kind.__name__}")
    if depth >= MAX_DEPTH:
        raise _Unstorable(f"is nested more than {MAX_DEPTH} deep")
    if kind is list:
        return [_plain(item, depth + 1, attachments) for item in value]
    return {_key(key): _plain(item, depth + 1, attachments) for key, item in value.items()}


def _scalar(value: Any, attachments: dict[BlobId, bytes]) -> Any:
    match value:
        case str():
            return _text(value)
        case int():
            return value if _MIN_INT <= value <= _MAX_INT else {"$int": format(value, "x")}
        case float():
            return value if -_INFINITY < value < _INFINITY else {"$float": repr(value)}
    blob = ids.blob_id(value)
    attachments[blob] = value
    return {"$bytes": blob}


def _key(key: object) -> str:
    if type(key) is not str:
        raise _Unstorable(f"has a key that is a {type(key).__name__}; keys are strings")
    text = _text(key)
    return f"${text}" if text.startswith("$") else text


def _text(text: str) -> str:
    """Give *text*, unless it spells a character as two surrogates: JSON would give back the
    character.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        if any("\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in pairwise(text)):
            raise _Unstorable(
                "has a text with a character in two halves (a surrogate pair)"
            ) from None
    return text


def _place(value: Any, path: str) -> str:
    """Give the path of the innermost part of *value* that cannot be stored."""
    for depth in range(MAX_DEPTH + 1):
        for step, part in _parts(value):
            try:
                _plain(part, depth + 1, {})
            except _Unstorable:
                value, path = part, path + step
                break
        else:
            break
    return path


def _parts(value: Any) -> list[tuple[str, Any]]:
    if type(value) is list:
        return [(f"[{number}]", item) for number, item in enumerate(value)]
    if type(value) is dict:
        return [(f".{key}", item) for key, item in value.items()]
    return []


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
