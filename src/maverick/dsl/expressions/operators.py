"""What the operators of the expression language mean, on values and on mappings that load lazily.

Every failure is an `ExpressionFailed` that says why; `evaluate` adds the place. Operations that
grow or scan a value spend from a `Budget`, so that an expression takes bounded time and memory
whatever its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeGuard

from maverick.errors import ExpressionFailed
from maverick.values import kind_of

Comparator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
Operator: TypeAlias = Literal["+", "-", "*", "/", "%", "//"]
MAX_TEXT = 64 * 1024 * 1024
"""Characters that a text may have which an expression builds."""
MAX_BITS = 100_000
"""Bits that an integer may have which an expression computes."""
MAX_WORK = 256 * 1024 * 1024
"""Units of work in one evaluation: a character is 1, an entry that is looked at 16, one that is
built 32.
"""
_QUICK = frozenset({type(None), bool, int, float})
ENTRY_SEEN = 16
ENTRY_BUILT = 32


class Budget:
    """What is left of the work that one evaluation may do."""

    __slots__ = ("left",)

    def __init__(self, units: int = MAX_WORK) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Take *units* from what is left; fail when nothing is."""
        self.left -= units
        if self.left < 0:
            raise ExpressionFailed(
                "the expression does too much work: compute this in a step instead"
            )

    def build_text(self, length: int) -> None:
        """Pay for a text of *length* characters, before it is built where that can be known."""
        if length > MAX_TEXT:
            raise ExpressionFailed(
                f"the text would have {length:,} characters; the limit is {MAX_TEXT:,}"
            )
        self.spend(length)


def truth(value: object) -> bool:
    """Whether *value* counts as true: as in Python (null, 0, empty text, list and mapping do
    not).
    """
    return bool(value)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether *value* is an integer or a float. Booleans are not numbers."""
    return type(value) is int or type(value) is float


def access(base: object, key: object) -> object:
    """`base[key]`; null when there is no such thing.

    An integer on a mapping asks for that text as key, on a text for a character. Whatever has no
    entries has none under any key, and nothing stands under the key null. Keys of other types are
    errors.
    """
    if key is None:
        return None
    if not isinstance(key, str) and type(key) is not int:
        raise ExpressionFailed(f"an index is a string or an integer, not a {kind_of(key)}")
    if isinstance(base, Mapping):
        try:
            return base.get(key if isinstance(key, str) else str(key))
        except ValueError:  # Python's limit on the digits of an integer: no key is that long
            return None
    if isinstance(base, (list, str)) and type(key) is int and -len(base) <= key < len(base):
        return base[key]
    return None


def equal(left: object, right: object, budget: Budget) -> bool:
    """`left == right`: unlike types differ (`true` and 1, too), 1 equals 1.0, the order of keys is
    free.
    """
    pending = [(left, right)]
    while pending:
        one, other = pending.pop()
        if isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            budget.spend(ENTRY_SEEN * len(one))
            if not _entries_may_equal(one, other, pending):
                return False
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            budget.spend(ENTRY_SEEN * len(one))
            if set(one) != set(other):
                return False
            pending.extend((one[key], other[key]) for key in one)
        elif type(one) is not type(other) and not (is_number(one) and is_number(other)):
            return False
        else:
            if isinstance(one, (str, bytes)):
                budget.spend(len(one))
            if one != other:
                return False
    return True


def _entries_may_equal(
    one: list[object], other: list[object], pending: list[tuple[object, object]]
) -> bool:
    """Compare what is quickly compared of two lists of one length; the rest goes to *pending*."""
    for pair in zip(one, other, strict=True):
        kind = type(pair[0])
        if kind not in _QUICK or kind is not type(pair[1]):
            pending.append(pair)
        elif pair[0] != pair[1]:
            return False
    return True


def inside(item: object, container: object, budget: Budget) -> bool:
    """`item in container`: an entry of a list, a key of a mapping, a part of a text."""
    if isinstance(container, list):
        budget.spend(ENTRY_SEEN * len(container))
        if not isinstance(item, (list, Mapping)) and item not in container:
            # fast; equality here is stricter
            return False
        return any(equal(item, entry, budget) for entry in container)
    if isinstance(container, Mapping):
        return isinstance(item, str) and item in container
    if isinstance(container, (str, bytes)):
        budget.spend(len(container))
        if isinstance(container, str) and isinstance(item, str):
            return item in container
        if isinstance(container, bytes) and isinstance(item, bytes):
            return item in container
        raise ExpressionFailed(f"cannot look for {a(item)} in {a(container)}")
    hint = "; write `default(value, [])` where it may be missing" if container is None else ""
    raise ExpressionFailed(
        f"cannot look into {a(container)}: expected a list, a mapping or a string{hint}"
    )


def compare(sign: Comparator, left: object, right: object, budget: Budget) -> bool:
    """Apply one comparison operator."""
    match sign:
        case "==":
            return equal(left, right, budget)
        case "!=":
            return not equal(left, right, budget)
        case "in":
            return inside(left, right, budget)
        case "not in":
            return not inside(left, right, budget)
        case "<" | "<=" | ">" | ">=":
            return ordered(sign, left, right, budget)


def ordered(sign: str, left: object, right: object, budget: Budget) -> bool:
    """`<`, `<=`, `>` or `>=` between two numbers, two texts or two bytes; anything else has no
    order.
    """
    if isinstance(left, str) and isinstance(right, str):
        budget.spend(min(len(left), len(right)))
        return _holds(sign, before=left < right, after=left > right)
    if isinstance(left, bytes) and isinstance(right, bytes):
        budget.spend(min(len(left), len(right)))
        return _holds(sign, before=left < right, after=left > right)
    if is_number(left) and is_number(right):
        if left != left or right != right:  # NaN: neither before, after nor equal  # noqa: PLR0124
            return False
        return _holds(sign, before=left < right, after=left > right)
    if kind_of(left) == kind_of(right):
        raise ExpressionFailed(
            f"`{sign}` cannot order {a(left)} and {a(right)}: only numbers and strings have an "
            "order"
        )
    raise ExpressionFailed(f"`{sign}` cannot compare {a(left)} with {a(right)}")


def _holds(sign: str, *, before: bool, after: bool) -> bool:
    match sign:
        case "<":
            return before
        case "<=":
            return not after
        case ">":
            return after
        case _:
            return not before


def calculate(sign: Operator, left: object, right: object, budget: Budget) -> object:
    """Apply one arithmetic operator. `+` also joins two texts, bytes or lists; the others take
    numbers.
    """
    if is_number(left) and is_number(right):
        return _numbers(sign, left, right)
    if sign == "+":
        return _join(left, right, budget)
    wrong = right if is_number(left) else left
    raise ExpressionFailed(f"`{sign}` takes numbers only, not {a(wrong)}")


def negative(value: object) -> float:
    """`-value`."""
    if not is_number(value):
        raise ExpressionFailed(f"`-` takes numbers only, not {a(value)}")
    return -value


def _join(left: object, right: object, budget: Budget) -> object:
    if isinstance(left, str) and isinstance(right, str):
        budget.build_text(len(left) + len(right))
        return left + right
    if isinstance(left, bytes) and isinstance(right, bytes):
        budget.build_text(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        budget.spend(ENTRY_SEEN * (len(left) + len(right)))
        return left + right
    hint = (
        "; write `str(…)` to make text of a value"
        if isinstance(left, str) or isinstance(right, str)
        else ""
    )
    raise ExpressionFailed(f"`+` cannot add {a(left)} and {a(right)}{hint}")


def _numbers(sign: Operator, left: float, right: float) -> float:  # noqa: C901 - one case an operator
    if sign in ("/", "//", "%") and right == 0:
        raise ExpressionFailed("division by zero")
    for number in (left, right):
        if isinstance(number, int):
            _check_bits(number.bit_length())
    if sign == "*" and isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length() - 1)
    try:
        match sign:
            case "+":
                result = left + right
            case "-":
                result = left - right
            case "*":
                result = left * right
            case "/":
                result = left / right
            case "//":
                result = left // right
            case "%":
                result = left % right
    except OverflowError:
        raise ExpressionFailed("the number is too large for a float") from None
    if isinstance(result, int):
        _check_bits(result.bit_length())
    return result


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise ExpressionFailed(f"the integer is too large: the limit is {MAX_BITS:,} bits")


def a(value: object) -> str:
    """The kind of *value* with its article."""
    kind = kind_of(value)
    if kind in ("null", "bytes"):
        return kind
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
