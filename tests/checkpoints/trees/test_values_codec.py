"""Values as bytes and back."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from maverick.checkpoints import Value
from maverick.checkpoints.trees.codec import MAX_DEPTH, decode, encode
from maverick.errors import StoreDamaged, ValueUnstorable


def _no_pair(text: str) -> bool:
    return not any(
        "\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in pairwise(text)
    )


TEXT = st.text(st.characters(exclude_categories=())).filter(_no_pair) | st.sampled_from(
    ["$", "$$bytes", "$int"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1])
    | st.floats()
    | TEXT
    | st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


def _round_trip(value: Value) -> Value:
    encoded = encode(value)
    return decode(encoded.data, encoded.attachments.__getitem__)


@given(VALUES)
def test_any_value_comes_back_as_it_was(value: Value) -> None:
    """Types, the order of keys, NaN, minus zero and lone surrogates included: `repr` shows them
    all.
    """
    assert repr(value) == repr(_round_trip(value))


def test_integers_have_any_size() -> None:
    """Python refuses to read or write more than 4,300 decimal digits; hexadecimal ones it takes."""
    assert [10**5000, -(10**5000)] == _round_trip([10**5000, -(10**5000)])


@given(VALUES)
def test_equal_values_have_equal_bytes(value: Value) -> None:
    """Else a repeated step would add an object."""
    assert encode(value).data == encode(_round_trip(value)).data


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, -2]}, '{"b":1,"a":[true,null,-2]}'),
        (1.0, "1.0"),
        (1e22, "1e+22"),
        (-0.0, "-0.0"),
        (float("inf"), '{"$float":"inf"}'),
        (float("-inf"), '{"$float":"-inf"}'),
        (float("nan"), '{"$float":"nan"}'),
        (2**63 - 1, "9223372036854775807"),
        (2**63, '{"$int":"8000000000000000"}'),
        (-(2**64), '{"$int":"-10000000000000000"}'),
        ({"$int": "ff"}, '{"$$int":"ff"}'),
        ({"$$x": 1}, '{"$$$x":1}'),
        ("é\udc80", '"é\\udc80"'),
        ("\x00\n\x7f", '"\\u0000\\n\x7f"'),
    ],
)
def test_the_bytes_are_those_of_the_document(value: Value, text: str) -> None:
    """An independent reader is written from docs/format.md."""
    assert text.encode() == encode(value).data


def test_bytes_are_blobs_of_their_own() -> None:
    """So that the same bytes in two outputs are stored once."""
    encoded = encode({"a": b"xx", "b": [b"xx", b""]})

    first, second = blake3(b"xx").hexdigest(), blake3(b"").hexdigest()
    assert (
        f'{{"a":{{"$bytes":"{first}"}},"b":[{{"$bytes":"{first}"}},{{"$bytes":"{second}"}}]}}'
        == (encoded.data.decode())
    )
    assert {first: b"xx", second: b""} == encoded.attachments


@pytest.mark.parametrize(
    ("make", "path", "why"),
    [
        (lambda bad: {"rows": [1, {"conn": bad}]}, "output.rows[1].conn", "cannot store a socket"),
        (lambda bad: bad, "output", "cannot store a socket"),
        (lambda bad: [[bad]], "output[0][0]", "cannot store a socket"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(
    make: Callable[[Any], Any], path: str, why: str
) -> None:
    """`cannot pickle` without a place is what people complain about."""
    with socket.socket() as bad, pytest.raises(ValueUnstorable) as caught:
        encode(make(bad), path="output")

    assert (path, why) == (caught.value.path, caught.value.why)


@pytest.mark.parametrize("value", [(1, 2), {1}, bytearray(b"x"), object(), 1j])
def test_only_values_can_be_stored(value: object) -> None:
    """What is alike a value (a tuple, a set) would come back as something else."""
    with pytest.raises(ValueUnstorable):
        encode(value)  # type: ignore[arg-type]


def test_a_key_that_is_no_string_cannot_be_stored() -> None:
    """JSON would make it a string, and `{1: …}` would not come back."""
    with pytest.raises(ValueUnstorable, match=r"output\.a: has a key that is a int"):
        encode({"a": {1: 2}}, path="output")  # type: ignore[dict-item]


def test_a_character_in_two_halves_cannot_be_stored() -> None:
    """JSON would give back the whole character, which is another text."""
    with pytest.raises(ValueUnstorable, match="surrogate pair"):
        encode(["\ud83d\ude00"])


def _nested(depth: int) -> Value:
    value: Value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_values_may_be_nested_200_deep_and_no_deeper() -> None:
    """A limit that is the same everywhere, instead of the interpreter's at some call."""
    assert _nested(MAX_DEPTH) == _round_trip(_nested(MAX_DEPTH))

    with pytest.raises(ValueUnstorable, match="more than 200 deep"):
        encode(_nested(MAX_DEPTH + 1))


def test_a_value_that_holds_itself_is_refused() -> None:
    """It would be encoded for ever."""
    value: list[Value] = []
    value.append(value)

    with pytest.raises(ValueUnstorable, match="more than 200 deep"):
        encode(value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"$int":"x"}', b'{"$new":1}', b'{"$int":1}', b"\xff"]
)
def test_bytes_that_no_encoder_wrote_are_damage(data: bytes) -> None:
    """A bug of another version must not look like a value."""
    with pytest.raises(StoreDamaged):
        decode(data, lambda _: b"")
