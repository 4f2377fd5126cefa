"""Python objects to values: every documented rule, and a named path for everything else."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import socket
import sys
import uuid
from collections import OrderedDict, UserDict, deque, namedtuple
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.errors import ValueUnstorable
from maverick.values import MAX_DEPTH, canonical_json, key_path, kind_of, normalise


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


class Whole(int):
    pass


class Real(float):
    pass


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.Enum):
    RED = "red"
    RGB = (1, 2, 3)


class Flag(enum.StrEnum):
    ON = "on"


class Point(NamedTuple):
    x: int
    y: Any


Pair = namedtuple("Pair", "first second")  # noqa: PYI024 - the old form counts, too


@dataclasses.dataclass(frozen=True, slots=True)
class Issue:
    number: int
    labels: tuple[str, ...]
    path: Path
    _private: str = "p"


class Model:
    """Looks like a pydantic model."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def model_dump(self, *, mode: str = "json") -> dict[str, Any]:
        assert "python" == mode
        return self.fields


class BrokenModel:
    def model_dump(self, *, mode: str) -> dict[str, Any]:
        raise TypeError("no serialiser")


@pytest.mark.parametrize(
    ("expected", "obj"),
    [
        (None, None),
        (True, True),
        (1 << 200, 1 << 200),
        (1.5, 1.5),
        ("text", "text"),
        (b"bytes", b"bytes"),
        ("text", Text("text")),
        (7, Whole(7)),
        (7.5, Real(7.5)),
        (b"x", bytearray(b"x")),
        (b"yz", memoryview(b"xyz")[1:]),
        (3, Level.HIGH),
        ("red", Colour.RED),
        ([1, 2, 3], Colour.RGB),
        ("on", Flag.ON),
        ([1, [2], []], (1, (2,), [])),
        ({"x": 1, "y": [2]}, Point(1, (2,))),
        ({"first": 1, "second": None}, Pair(1, None)),
        ({"b": 1, "a": 2}, OrderedDict(b=1, a=2)),
        ({"a": [1]}, MappingProxyType({"a": (1,)})),
        ({"a": 1}, UserDict(a=1)),
        ({"text": 1, "on": 2}, {Text("text"): 1, Flag.ON: 2}),
        ([], set()),
        (["a", 10, 2], {"a", 10, 2}),
        ([["a", 1], ["b", 0]], frozenset({("b", 0), ("a", 1)})),
        (["a"], {"a": 1}.keys()),
        ("a/b", Path("a/b")),
        ("/a", PurePosixPath("/a")),
        ("a\\b", PureWindowsPath("a/b")),
        ("2026-11-23T10:15:02+00:00", dt.datetime(2026, 11, 23, 10, 15, 2, tzinfo=dt.UTC)),
        ("2026-11-23", dt.date(2026, 11, 23)),
        ("10:15:00", dt.time(10, 15)),
        (90.5, dt.timedelta(minutes=1, seconds=30.5)),
        ("1.10", Decimal("1.10")),
        ("12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
        ({"number": 1, "labels": ["a"], "path": "x", "_private": "p"}, Issue(1, ("a",), Path("x"))),
        ({"inner": {"when": "2026-11-23"}}, Model(inner=Model(when=dt.date(2026, 11, 23)))),
        ([{"a": {"b": [None, "x"]}}], [{"a": {"b": (None, Path("x"))}}]),
    ],
)
def test_every_rule(expected: object, obj: object) -> None:
    actual = normalise(obj)

    assert expected == actual
    assert types(expected) == types(actual)


def types(value: object) -> object:
    """The exact types at every depth: a subclass that compares equal is no plain value."""
    if isinstance(value, dict):
        return {type(key): None for key in value} | {
            key: types(entry) for key, entry in value.items()
        }
    if isinstance(value, list):
        return [list, *map(types, value)]
    return type(value)


@pytest.mark.parametrize(
    ("path", "why", "obj"),
    [
        ("output", "cannot store an object: return text, numbers", object()),
        (
            "output.rows[3].conn",
            "cannot store a socket: return",
            {"rows": [0, 1, 2, {"conn": socket.socket}]},
        ),
        ("output[1]", "cannot store a function: return what it gives", [1, lambda: 1]),
        ("output.x", "cannot store a generator: return a list", {"x": (n for n in ())}),
        ("output", "cannot store a deque", deque()),
        ("output", "cannot store a complex", 1j),
        ("output", "cannot store the class Issue", Issue),
        ("output", "cannot store a module", sys),
        ("output", "cannot store a ValueError", ValueError("x")),
        (
            'output["a b"].c',
            "the key 1 is an integer, and keys must be text: write `str",
            {"a b": {"c": {1: 2}}},
        ),
        ("output", "the key None is null, and keys must be text", {None: 2}),
        ("output", "the key (1, 2) is a tuple", {(1, 2): 2}),
        ("output.inner", "model_dump() failed: TypeError: no serialiser", {"inner": BrokenModel()}),
        ("output.labels[0]", "cannot store an object", Issue(1, (object(),), Path())),  # type: ignore[arg-type]
        ("output.y", "cannot store an object", Point(1, object())),
        ("output[0]", "cannot store an object", {object()}),
        ("output.a", "cannot store an object", Model(a=object())),
    ],
)
def test_anything_else_is_named_by_its_path(path: str, why: str, obj: object) -> None:
    if isinstance(obj, dict) and "rows" in obj:
        with socket.socket() as obj["rows"][3]["conn"], pytest.raises(ValueUnstorable) as caught:
            normalise(obj)
    else:
        with pytest.raises(ValueUnstorable) as caught:
            normalise(obj)

    assert path == caught.value.path
    assert why in caught.value.why
    assert str(caught.value) == f"{path}: {caught.value.why}"


def test_the_path_begins_with_what_the_caller_says() -> None:
    with pytest.raises(ValueUnstorable) as caught:
        normalise([object()], "steps.fetch.output")
    assert "steps.fetch.output[0]" == caught.value.path


def test_what_contains_itself_is_named() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})

    with pytest.raises(ValueUnstorable, match="a list contains itself") as caught:
        normalise(loop)
    assert "output[1].again" == caught.value.path


def test_what_occurs_twice_is_no_cycle_and_becomes_two() -> None:
    shared = [1]
    result = normalise([shared, shared])

    assert [[1], [1]] == result
    assert isinstance(result, list)
    assert result[0] is not result[1]


def test_depth_is_limited() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    assert nested(MAX_DEPTH) == normalise(nested(MAX_DEPTH))
    with pytest.raises(ValueUnstorable, match="nested more than 200 deep") as caught:
        normalise(nested(MAX_DEPTH + 1))
    assert "output" + "[0]" * 200 == caught.value.path
    with pytest.raises(ValueUnstorable, match="nested more than 200 deep"):
        normalise(nested(50_000))


def test_a_model_that_dumps_itself_for_ever_is_stopped() -> None:
    class Endless:
        def model_dump(self, *, mode: str) -> object:
            return [Endless()]

    with pytest.raises(ValueUnstorable, match="nested more than 200 deep"):
        normalise(Endless())


def test_a_dataclass_field_that_was_never_set_is_left_out() -> None:
    @dataclasses.dataclass
    class Partial:
        a: int
        b: int = dataclasses.field(init=False)

    assert {"a": 1} == normalise(Partial(1))


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES)
def test_a_value_is_itself_and_normalising_twice_changes_nothing(value: Any) -> None:
    result = normalise(value)

    assert value == result
    assert types(value) == types(result)
    assert list(value) == list(result) if isinstance(value, dict) else True


@given(st.sets(st.integers() | st.text() | st.tuples(st.integers(), st.text())))
def test_a_set_has_one_order(entries: set[Any]) -> None:
    """The order does not depend on how the set was filled, nor on the hash seed."""
    assert normalise(entries) == normalise(frozenset(list(entries)[::-1]))


@given(VALUES)
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    def turned(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: turned(part[key]) for key in reversed(part)}
        return [turned(entry) for entry in part] if isinstance(part, list) else part

    assert canonical_json(value) == canonical_json(turned(value))


def test_canonical_json_can_write_every_value() -> None:
    assert b'{"a":{"$bytes":"ff"},"b":["\xc3\xa9",1.0,NaN]}' == canonical_json(
        {"b": ["é", 1.0, math.nan], "a": b"\xff"}
    )
    assert b'[{"$int":"' + hex(1 << 50_000).encode() + b'"},1]' == canonical_json([1 << 50_000, 1])
    assert b'"\\udc80"' == canonical_json("\udc80")


def test_kinds_have_the_languages_names() -> None:
    values: list[object] = [None, True, 1, 1.0, "", b"", [], {}, MappingProxyType({}), object()]
    assert [
        "null",
        "boolean",
        "integer",
        "float",
        "string",
        "bytes",
        "list",
        "mapping",
        "mapping",
        "object",
    ] == [kind_of(value) for value in values]


def test_a_path_is_written_as_it_is_asked_for() -> None:
    assert '.name.my-step[0][-1]["a b"]["é\\""]["1"]' == "".join(
        map(key_path, ["name", "my-step", 0, -1, "a b", 'é"', "1"])
    )
