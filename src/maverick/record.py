"""Data classes that nothing compares or prints, which are quick to define.

A command defines some forty records before it does anything. What Python makes for comparing,
printing and freezing takes more than half of that. The type checker sees them frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform, overload

_T = TypeVar("_T")


@overload
def record(cls: type[_T], /) -> type[_T]: ...
@overload
def record(*, kw_only: bool = False) -> Callable[[type[_T]], type[_T]]: ...
@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(field,))
def record(
    cls: type[_T] | None = None, /, *, kw_only: bool = False
) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """Make a class a record with slots, equal to itself only. Give it where it is given."""
    make = dataclass(slots=True, eq=False, repr=False, kw_only=kw_only)
    return make if cls is None else make(cls)
