"""Folding: what is long is told by how much of it differs, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maverick.checkpoints.trees.diff import MISSING, diff_values
from maverick.views.comparing.folding import Fold, More, fold
from maverick.views.comparing.run_comparison import CodeDifference, ValueDifference, step_into

PATH = "steps.train.output"
leaves = st.integers(0, 3)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from(["a", "b c", "d"]), inner)
    ),
    max_leaves=40,
)


def differences(old: Any, new: Any, path: str = PATH) -> list[ValueDifference]:
    """The leaves in which two values differ, as a comparison gives them."""
    found = []
    for inside, was, now in diff_values(old, new):
        change = "added" if was is MISSING else "removed" if now is MISSING else "changed"
        sides = (None if side is MISSING else side for side in (was, now))
        name = path + "".join(map(step_into, inside))
        found.append(ValueDifference(name, change, *sides, inside, (old, new)))  # type: ignore[arg-type]
    return found


def test_a_long_list_is_one_line() -> None:
    old = {"weights": list(range(12)), "loss": 1}
    new = {"weights": [0, *range(10, 21)], "loss": 2}

    list_, loss = fold(differences(old, new))

    assert isinstance(list_, Fold)
    assert (f"{PATH}.weights", "11 of 12 changed") == (list_.path, list_.words())
    assert f"{PATH}.loss" == loss.path


def test_what_was_added_and_removed_is_counted() -> None:
    (longer,) = fold(differences([1], [2, *range(9)]))
    (shorter,) = fold(differences(list(range(9)), [8]))

    assert isinstance(longer, Fold)
    assert isinstance(shorter, Fold)
    assert "1 of 1 changed, 9 added" == longer.words()
    assert "8 removed" == shorter.words()


def test_a_list_of_mappings_is_folded_as_a_whole() -> None:
    old = [{"a": n, "b": n} for n in range(8)]
    new = [{"a": n + 1, "b": n + 1} for n in range(8)]

    (folded,) = fold(differences(old, new))

    assert isinstance(folded, Fold)
    assert (PATH, "8 of 8 changed") == (folded.path, folded.words())


def test_a_short_list_stays_as_it_is() -> None:
    given_ = differences([1, 2, 3, 4, 5], [2, 3, 4, 5, 6])

    assert given_ == list(fold(given_))


def test_what_is_alike_in_many_iterations_is_told_of_the_first() -> None:
    steps = [f"steps.work[{n}].train" for n in range(50)]
    code = [CodeDifference(step, "action", "a", "b") for step in steps]
    outputs = [ValueDifference(f"{step}.output", "changed", 1, 2) for step in steps]

    shown = list(fold([each for pair in zip(code, outputs, strict=True) for each in pair]))

    assert [code[0], outputs[0], code[1], outputs[1], code[2], outputs[2]] == shown[:6]
    assert [
        More("steps.work[*].train", 47, "code", "action"),
        More("steps.work[*].train.output", 47, "changed"),
    ] == shown[6:]


@given(values, values)
def test_folding_loses_nothing(old: Any, new: Any) -> None:
    """Each leaf stands there, or below a list that is folded; and each of its members that differs
    is counted.
    """
    every = differences(old, new)

    shown = list(fold(every))

    folds = [each for each in shown if isinstance(each, Fold)]
    below = {
        leaf.path: [f.path for f in folds if leaf.path.startswith((f"{f.path}[", f"{f.path}."))]
        for leaf in every
    }
    hidden = {each.path: each.number for each in shown if isinstance(each, More)}
    kept = [each for each in shown if isinstance(each, ValueDifference)]
    assert len(every) == len(kept) + sum(bool(paths) for paths in below.values()) + sum(
        hidden.values()
    )
    for folded in folds:
        members = {
            leaf.path[len(folded.path) :].partition("]")[0]
            for leaf in every
            if folded.path in below[leaf.path]
        }
        if not any("." in member for member in members):
            assert len(members) == Counter(folded.counts).total()
