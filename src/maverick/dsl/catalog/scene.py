"""What a context builder sees of a run: inputs, what finished steps gave, and where a loop stands;
nothing else.

Files, the clock and the environment are left out on purpose: a builder gives the same for the same
scene, so that what it gives can be part of a step's key, and a resumed run asks for nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from maverick.dsl.expressions.scope import Frame
    from maverick.values import Value


class Scene(NamedTuple):
    """`steps` is name -> output, in the order in which the steps finished, those of outer blocks
    first; outputs are loaded when they are asked for. `item` is null outside a loop.
    """

    inputs: Mapping[str, Value]
    steps: Mapping[str, Value]
    item: Value = None

    @classmethod
    def of(cls, frame: Frame) -> Scene:
        return cls(
            cast("Mapping[str, Value]", frame.inputs),
            _Outputs(cast("Mapping[str, Mapping[str, Value]]", frame.lookup("steps"))),
            cast("Value", frame.lookup("item")),
        )


class _Outputs(Mapping[str, "Value"]):
    __slots__ = ("_views",)

    def __init__(self, views: Mapping[str, Mapping[str, Value]]) -> None:
        self._views = views

    def __getitem__(self, name: str) -> Value:
        return self._views[name]["output"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)
