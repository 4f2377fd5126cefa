"""Values as text: how they are inserted into text, and JSON as the language writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from maverick.dsl.expressions.operators import ENTRY_SEEN, MAX_BITS, Budget, a
from maverick.errors import ExpressionFailed
from maverick.values import Value, canonical_json, kind_of

MAX_DEPTH = 400
"""Levels of a result: a stored value (200), and what an expression may wrap around it."""


def plain(
    value: object, memo: dict[int, tuple[object, Value]] | None = None, depth: int = 0
) -> Value:
    """A copy of *value* in which every mapping, lazily loaded ones included, is a dict of its own.

    A part that occurs several times is copied once. What is no value is an error.
    """
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)][1]
    if depth > MAX_DEPTH:
        raise ExpressionFailed(f"the value is nested more than {MAX_DEPTH} deep")
    result: Value
    if isinstance(value, Mapping):
        result = {}
        for key in value:
            result[str(key)] = plain(value[key], memo, depth + 1)
    elif isinstance(value, list):
        result = []
        for entry in value:
            result.append(plain(entry, memo, depth + 1))
    else:
        raise ExpressionFailed(f"{a(value)} is no value of the language")
    memo[id(value)] = (value, result)  # keeps the part alive: a lazily loaded one would free its id
    return result


def as_text(value: object, budget: Budget | None = None) -> str:  # noqa: PLR0911 - one case a type
    """*value* as it is inserted into text.

    Null is nothing, booleans are `true` and `false`, numbers as Python prints them, bytes must be
    UTF-8, lists and mappings are JSON (`to_json`).
    """
    budget = budget or Budget()
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return _integer_text(value)
        case float():
            return repr(value)
        case bytes():
            budget.build_text(len(value))
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                raise ExpressionFailed("the bytes are no UTF-8 text") from None
        case _:
            return to_json(value, budget)


def to_json(value: object, budget: Budget | None = None) -> str:
    """JSON of *value* with `, ` and `: `, keys in their order, characters beyond ASCII as they
    are.
    """
    budget = budget or Budget()
    copy = _weighed(value, budget)
    try:
        text = json.dumps(copy, ensure_ascii=False, default=_refuse_bytes)
    except ValueError:  # Python's limit on the digits of an integer
        raise ExpressionFailed("an integer in it is too large to be written as text") from None
    budget.build_text(len(text))
    return text


def digest(value: object, budget: Budget) -> str:
    """BLAKE3, in hex, of the canonical JSON of *value* (UTF-8, keys sorted, no spaces)."""
    from blake3 import blake3  # noqa: PLC0415 - only expressions that hash pay for it

    return blake3(canonical_json(_weighed(value, budget))).hexdigest()


def _weighed(value: object, budget: Budget) -> Value:
    """The plain form of *value*, paid for as often as each part occurs in it."""
    result = plain(value)
    pending = [result]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            budget.spend(ENTRY_SEEN * len(part))
            pending.extend(part)
        elif isinstance(part, dict):
            budget.spend(ENTRY_SEEN * len(part) + sum(map(len, part)))
            pending.extend(part.values())
        elif isinstance(part, (str, bytes)):
            budget.spend(len(part))
    return result


def _refuse_bytes(value: object) -> object:
    raise ExpressionFailed(f"{kind_of(value)} cannot be written as JSON: decode them in a step")


def _integer_text(value: int) -> str:
    """*value* in decimal, also beyond the number of digits at which Python stops."""
    if value.bit_length() > MAX_BITS:
        raise ExpressionFailed(
            f"the integer is too large to be written as text: the limit is {MAX_BITS:,} bits"
        )
    if value.bit_length() <= 14_000:
        return str(value)
    rest, chunks, base = abs(value), [], 10**4_000
    while rest >= base:
        rest, chunk = divmod(rest, base)
        chunks.append(f"{chunk:04000d}")
    chunks.append(str(rest))
    return "-" * (value < 0) + "".join(reversed(chunks))
