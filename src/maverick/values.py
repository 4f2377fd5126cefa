"""What a step can give (`Value`), and the rules by which Python objects become it (`normalise`)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePath
from typing import TypeAlias

from maverick.errors import ValueUnstorable

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"
"""Null, boolean, integer (of any size), float, text, bytes, list, mapping with text keys."""

MAX_DEPTH = 200
"""How deep lists and mappings may stand in each other in a stored value."""

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_ADVICE = {
    "function": "return what it gives",
    "method": "return what it gives",
    "coroutine": "await it",
    "generator": "return a list of what it gives",
    "TextIOWrapper": "return the file's path or its content",
    "BufferedReader": "return the file's path or its content",
    "module": "return what is needed of it",
}


def kind_of(value: object) -> str:  # noqa: PLR0911 - one case a type
    """Name the type of *value* in the language's words, or, if it is no value, in Python's."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "float"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case list():
            return "list"
        case Mapping():
            return "mapping"
        case _:
            return type(value).__name__


def normalise(obj: object, path: str = "output") -> Value:
    """Give *obj* as a plain value that shares no list or mapping with it; the rules, in this order:

    ========================================= ======================================================
    null, booleans, integers, floats, text    themselves; a subclass becomes the plain type
    bytes, bytearray, memoryview              bytes
    `Enum` member                             its value, by these rules
    mapping                                   mapping in the same order; the keys must be text
    named tuple, dataclass instance           mapping of its fields (those that are set)
    list, tuple                               list
    set, frozenset                            list, sorted by the canonical JSON of the entries
    object with `model_dump` (pydantic)       what `model_dump(mode="python")` gives, by these rules
    `pathlib` path                            text
    `datetime`, `date`, `time`                ISO 8601 text
    `timedelta`                               seconds, a float
    `Decimal`, `UUID`                         text
    ========================================= ======================================================

    Anything else, a key that is no text, an object that contains itself and more than 200 levels
    raise `ValueUnstorable`, whose path begins with *path* and leads to the part:
    `output.rows[3].conn`.
    """
    try:
        return _plain(obj, 0, set())
    except _UnstorableError as bad:
        raise ValueUnstorable(path + "".join(reversed(bad.steps)), bad.why) from bad.__cause__


def same(one: object, other: object) -> bool:
    """Whether two values are the same: also in type, NaN like NaN, whatever the order of keys."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(entry, other[key]) for key, entry in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def canonical_json(value: Value) -> bytes:
    """Give the JSON of *value*: keys sorted, no spaces, UTF-8.

    Bytes are `{"$bytes": hex}`; where an integer is beyond what Python writes, the large ones are
    `{"$int": hex}`.
    """
    try:
        text = _dump(value)
    except ValueError:  # an integer with more digits than Python writes
        text = _dump(_without_huge_integers(value))
    return text.encode("utf-8", "backslashreplace")


def _dump(value: Value) -> str:
    return json.dumps(
        value,
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
        default=lambda data: {"$bytes": data.hex()},
    )


def _without_huge_integers(value: Value) -> Value:
    match value:
        case list():
            return [_without_huge_integers(entry) for entry in value]
        case dict():
            return {key: _without_huge_integers(entry) for key, entry in value.items()}
        case int() if value.bit_length() > 64:
            return {"$int": hex(value)}
        case _:
            return value


class _UnstorableError(Exception):
    """Carries the path upwards: its steps are added from the innermost outwards."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.steps: list[str] = []
        super().__init__(why)


def _plain(obj: object, depth: int, inside: set[int]) -> Value:
    """Convert one level; *inside* holds the ids of the objects converted above it."""
    if type(obj) in _PLAIN:
        return obj  # type: ignore[return-value]
    scalar = _scalar(obj)
    if scalar is not None:
        return scalar
    if depth >= MAX_DEPTH:
        raise _UnstorableError(
            f"lists and mappings are nested more than {MAX_DEPTH} deep: make it flatter"
        )
    if id(obj) in inside:
        raise _UnstorableError(f"{_article(obj)} contains itself: return a value without cycles")
    inside.add(id(obj))
    try:
        return _container(obj, depth, inside)
    except (_UnstorableError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        # its own code answers: a lazy result, a mapping of somebody's
        raise _UnstorableError(
            f"{_article(obj)} cannot be read: {type(error).__name__}: {error}"
        ) from error
    finally:
        inside.discard(id(obj))


def _scalar(obj: object) -> Value:  # noqa: PLR0911 - one case a type
    """Give the value of *obj* if it is one without entries, else null."""
    match obj:
        case enum.Enum():
            return None
        case str():
            return str.__str__(obj)
        case int():
            return int.__int__(obj)
        case float():
            return float.__float__(obj)
        case bytes() | bytearray() | memoryview():
            return bytes(obj)
        case PurePath():
            return str(obj)
        case dt.datetime() | dt.date() | dt.time():
            return obj.isoformat()
        case dt.timedelta():
            return obj.total_seconds()
        case _ if any((kind.__module__, kind.__name__) in _AS_TEXT for kind in type(obj).__mro__):
            return str(obj)
        case _:
            return None


_AS_TEXT = {("decimal", "Decimal"), ("uuid", "UUID")}
"""Types whose modules are not imported for their sake."""


def _container(obj: object, depth: int, inside: set[int]) -> Value:  # noqa: PLR0911 - one case a type
    match obj:
        case enum.Enum():
            return _plain(obj.value, depth + 1, inside)
        case Mapping():
            return _mapping(obj.items(), depth, inside)
        case tuple() if isinstance(fields := getattr(obj, "_fields", None), tuple):
            return _mapping(zip(fields, obj, strict=True), depth, inside)
        case list() | tuple():
            return _list(obj, depth, inside)
        case AbstractSet():
            return sorted(_list(obj, depth, inside), key=canonical_json)
    if isinstance(obj, type):
        raise _UnstorableError(
            f"cannot store the class {obj.__name__}: return an instance's fields"
        )
    dump: Callable[..., object] | None = getattr(obj, "model_dump", None)
    if callable(dump):
        return _plain(_dumped(dump), depth + 1, inside)
    if dataclasses.is_dataclass(obj):
        names = [field.name for field in dataclasses.fields(obj) if hasattr(obj, field.name)]
        return _mapping(((name, getattr(obj, name)) for name in names), depth, inside)
    advice = _ADVICE.get(type(obj).__name__, "return text, numbers, lists or mappings instead")
    raise _UnstorableError(f"cannot store {_article(obj)}: {advice}")


def _dumped(dump: Callable[..., object]) -> object:
    try:
        return dump(mode="python")
    except (Exception, SystemExit) as error:  # a model's own serialiser is the user's code
        raise _UnstorableError(
            f"its model_dump() failed: {type(error).__name__}: {error}"
        ) from error


def _list(entries: Iterable[object], depth: int, inside: set[int]) -> list[Value]:
    result: list[Value] = []
    try:
        for entry in entries:
            result.append(_plain(entry, depth + 1, inside))  # noqa: PERF401 - its length is the path of a failure
    except _UnstorableError as bad:
        bad.steps.append(f"[{len(result)}]")
        raise
    return result


def _mapping(
    entries: Iterable[tuple[object, object]], depth: int, inside: set[int]
) -> dict[str, Value]:
    result: dict[str, Value] = {}
    key: object = None
    try:
        for key, entry in entries:
            result[key if type(key) is str else _key(key)] = _plain(entry, depth + 1, inside)
    except _UnstorableError as bad:
        if isinstance(key, str):
            bad.steps.append(key_path(str(key)))
        raise
    return result


def _key(key: object) -> str:
    if isinstance(key, enum.Enum) and isinstance(key.value, str):
        key = key.value
    if isinstance(key, str):
        return str.__str__(key)
    raise _UnstorableError(
        f"the key {key!r:.100} is {_article(key)}, and keys must be text: write `str(key)`"
    )


def key_path(key: str | int) -> str:
    """Give how a path goes on to *key*: `.name`, `["any text"]`, `[0]`."""
    if isinstance(key, str) and key.replace("-", "_").isidentifier():
        return f".{key}"
    return f"[{json.dumps(key, ensure_ascii=False)}]"


def _article(obj: object) -> str:
    kind = kind_of(obj)
    if kind == "null":
        return kind
    return f"an {kind}" if kind[0] in "aeiouAEIOU" else f"a {kind}"
