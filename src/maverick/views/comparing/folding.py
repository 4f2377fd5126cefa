"""Folds differences for people: long lists to how much of them differs, what is alike in many
iterations to the first of it, and what a script printed to one of the two places that have it.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from maverick.dsl.paths import StepPath
from maverick.views.comparing.run_comparison import (
    CodeDifference,
    Difference,
    ValueDifference,
    step_into,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONG_LIST: Final = 5
_LONG_MAPPING: Final = 20
"""Members that differ, from which on a list or mapping is folded."""
_ALIKE: Final = 10
"""Differences of one kind in as many iterations are folded to the first _SHOWN."""
_SHOWN: Final = 3
_Place: TypeAlias = "tuple[str | int, ...]"


class Fold(NamedTuple):
    """A list or mapping of which much differs: how many of its members did how, and how many the
    older one has.
    """

    path: str
    counts: Counter[str]
    length: int
    change: str = "changed"

    def words(self) -> str:
        """Give it as people read it: `11 of 12 changed, 3 added`."""
        changed, others = self.counts["changed"], ("added", "removed")
        words = [f"{changed} of {self.length} changed"] if changed else []
        return ", ".join(
            [*words, *(f"{self.counts[kind]} {kind}" for kind in others if self.counts[kind])]
        )


class More(NamedTuple):
    """How many more differences are like those shown before; in `path` every iteration is `[*]`.

    `part` is that of changed code.
    """

    path: str
    number: int
    change: str
    part: str = ""


Shown: TypeAlias = "Difference | Fold | More"


def fold(differences: Iterable[Difference]) -> Iterator[Shown]:
    """Yield *differences* with what is long, and what is alike, folded; each list where its first
    difference stood, what is left out at the end.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    folded = list(_fold_values(differences))
    every = Counter(_kind(difference) for difference in folded)
    for difference in folded:
        kind = _kind(difference)
        counts[kind] += 1
        if every[kind] <= _ALIKE or counts[kind] <= _SHOWN:
            yield difference
    for (change, path, part), count in every.items():
        if count > _ALIKE:
            yield More(path.replace("[]", "[*]"), count - _SHOWN, change, part)


def _kind(difference: Difference | Fold) -> tuple[str, str, str]:
    """Give what differences in several iterations have in common; files have nothing."""
    if not isinstance(difference, ValueDifference | CodeDifference | Fold):
        return difference.change, difference.path, ""
    part = difference.part if isinstance(difference, CodeDifference) else ""
    return difference.change, StepPath(difference.path).pattern, part


def _fold_values(differences: Iterable[Difference]) -> Iterator[Difference | Fold]:
    for _, group in groupby(differences, _entry):
        leaves = _said_once(list(group))
        first = leaves[0]
        if len(leaves) > _LONG_LIST and isinstance(first, ValueDifference):
            yield from _fold_entry([leaf for leaf in leaves if isinstance(leaf, ValueDifference)])
        else:
            yield from leaves


def _said_once(leaves: list[Difference]) -> list[Difference]:
    """Leave out what a script's output has twice: of one line its `stdout`, else its `value`."""
    texts = {
        leaf.inside: leaf
        for leaf in leaves
        if isinstance(leaf, ValueDifference) and isinstance(leaf.old, str)
    }
    stdout, value = texts.get(("stdout",)), texts.get(("value",))
    if stdout is None or value is None:
        return leaves
    sides = ((stdout.old, value.old), (stdout.new, value.new))
    if not all(isinstance(text, str) and text.removesuffix("\n") == it for text, it in sides):
        return leaves
    again = value if any("\n" in it for _, it in sides) else stdout
    return [leaf for leaf in leaves if leaf is not again]


def _entry(difference: Difference) -> str:
    """Give the path of the value that a difference is in."""
    if not isinstance(difference, ValueDifference):
        return f"{difference.path}\0"
    inside = "".join(map(step_into, difference.inside))
    return difference.path[: len(difference.path) - len(inside)]


def _fold_entry(leaves: list[ValueDifference]) -> Iterator[ValueDifference | Fold]:
    """Fold the outermost long list or mapping around each leaf of one value."""
    members: dict[_Place, dict[str | int, str]] = {}
    for leaf in leaves:
        for depth, member in enumerate(leaf.inside):
            is_itself = depth == len(leaf.inside) - 1
            change = leaf.change if is_itself else "changed"
            members.setdefault(leaf.inside[:depth], {})[member] = change
    long = {place for place, differing in members.items() if _is_long(differing)}
    given: set[_Place] = set()
    for leaf in leaves:
        depths = range(len(leaf.inside))
        place = next((leaf.inside[:d] for d in depths if leaf.inside[:d] in long), None)
        if place is None:
            yield leaf
        elif place not in given:
            given.add(place)
            path = _entry(leaf) + "".join(map(step_into, place))
            yield Fold(path, Counter(members[place].values()), len(_at(leaf.wholes[0], place)))


def _is_long(differing: dict[str | int, str]) -> bool:
    is_list = isinstance(next(iter(differing)), int)
    return len(differing) > (_LONG_LIST if is_list else _LONG_MAPPING)


def _at(value: Any, place: _Place) -> Any:
    for part in place:
        value = value[part]
    return value
