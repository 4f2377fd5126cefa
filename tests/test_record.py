"""Records: data classes that nothing compares or prints."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import ClassVar

import pytest

from maverick.record import record


@record
class Point:
    kind: ClassVar[str] = "point"
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


@record(kw_only=True)
class Named:
    name: str


@record(kw_only=True)
class Deep(Named):
    depth: int = 1


def test_a_record_is_given_what_a_data_class_is() -> None:
    """By place or by name, with defaults of its own."""
    point, other = Point(1, y=2), Point(1, 2)

    assert (1, 2, []) == (point.x, point.y, point.tags)
    assert point.tags is not other.tags
    assert ("a", 3) == (Deep(name="a", depth=3).name, Deep(name="a", depth=3).depth)
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Named("a")  # type: ignore[misc]


def test_a_record_is_equal_to_itself_only() -> None:
    point, other = Point(1), Point(1)

    assert (True, False) == (point == point, point == other)  # noqa: PLR0124
    assert 2 == len({point, other})


def test_a_record_has_no_other_attributes_than_its_own() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]
    assert not hasattr(Deep(name="a"), "__dict__")


def test_a_record_can_be_replaced_and_looked_into() -> None:
    """As a data class, which it is."""
    changed = replace(Point(1, 2), x=5)

    assert (5, 2) == (changed.x, changed.y)
    assert is_dataclass(Point)
    assert ["x", "y", "tags"] == [each.name for each in fields(Point)]


def test_a_record_makes_neither_comparison_nor_text_nor_what_freezes() -> None:
    """That is where the time goes."""

    @dataclass(frozen=True, slots=True)
    class Usual:
        x: int

    made = {"__eq__", "__repr__", "__setattr__", "__delattr__"}
    assert made <= vars(Usual).keys()
    assert set() == made & vars(Point).keys()
