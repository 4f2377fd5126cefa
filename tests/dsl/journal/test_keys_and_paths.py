"""Keys tell the versions of a step apart; paths name a step and say what it stands in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.dsl.journal.records import HEX_DIGITS, key_of
from maverick.dsl.paths import ROOT, StepPath, is_decision, is_within, step_of
from maverick.dsl.workflow.outcome import changed_parts

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
POSITIONS = st.integers(0, 99) | st.text(max_size=6)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of the same types at every depth, keys in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return repr(one) == repr(other)


@given(VALUES, VALUES)
def test_two_parts_have_one_hash_if_and_only_if_they_are_the_same_value(
    one: Any, other: Any
) -> None:
    """`1`, `1.0` and `true` are three values, and so are two orders of a mapping's keys."""
    assert (key_of({"args": one}) == key_of({"args": other})) == _same(one, other)


def test_a_part_that_is_null_counts_as_absent() -> None:
    """A field that a later version knows changes nothing where it is not used."""
    assert key_of({"run": "x"}) == key_of({"run": "x", "new": None})
    assert {} == key_of({"run": None})


def test_a_key_says_which_part_changed() -> None:
    """A refusal to run a finished step again names it."""
    before = key_of({"run": "echo 1", "env": {"A": "1"}, "cwd": "sub"})
    after = key_of({"run": "echo 2", "env": {"A": "1"}, "shell": "sh"})

    assert ["cwd", "run", "shell"] == changed_parts(before, after)
    assert [] == changed_parts(before, dict(before))


def test_a_key_is_short_and_the_same_on_every_machine() -> None:
    """It stands in the store beside every step."""
    key = key_of({"run": "echo hello", "env": {"A": [1, 2.5, None, True]}})

    assert ["env", "run"] == list(key)
    assert [HEX_DIGITS] * 2 == [len(part) for part in key.values()]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (ROOT.child("plan"), "plan"),
        (StepPath("phases[2]").child("implement"), "phases[2].implement"),
        (StepPath("phases").item(2), "phases[2]"),
        (StepPath("issues").item("7"), 'issues["7"]'),
        (StepPath("issues").item('a"].b'), r'issues["a\"].b"]'),
        (StepPath("issues").item("é\n"), 'issues["\\u00e9\\n"]'),
    ],
)
def test_a_path_is_what_people_read(path: str, expected: str) -> None:
    """Names, positions, and keys as JSON texts."""
    assert expected == path


@given(st.lists(st.tuples(NAMES, st.none() | POSITIONS), min_size=1, max_size=4), st.data())
def test_a_path_is_within_all_that_it_was_built_on_and_within_nothing_else(
    steps: list[tuple[str, int | str | None]], data: st.DataObject
) -> None:
    """What is undone with a loop is what stands in it, not what has a longer name."""
    path, built = ROOT, []
    for name, position in steps:
        path = path.child(name)
        built.append(path)
        if position is not None:
            path = path.item(position)
            built.append(path)

    assert all(path.is_within(around) for around in built)
    assert not any(is_within(around, path) for around in built if around != path)
    assert built[:-1] == list(path.ancestors())
    around = data.draw(st.sampled_from(built))
    assert is_within(f"{around}?when", around)
    assert not is_within(f"{around}x", around)
    assert not is_within(around, f"{around}x")
    assert (True, around) == (is_decision(f"{around}?when"), step_of(f"{around}?when"))
    assert is_decision(f"{around}?options[0]")
    assert not is_decision(around)


@pytest.mark.parametrize(
    ("path", "pattern", "depth"),
    [
        ("", "", 0),
        ("plan", "plan", 0),
        ("phases[2]", "phases[]", 1),
        ("phases.implement", "phases.implement", 1),
        ("phases[2].implement", "phases[].implement", 1),
        ("a.b[1].c.d", "a.b[].c.d", 3),
        ('issues["7.5"].fix', "issues[].fix", 1),
        (r'issues["a\"].b"].fix', "issues[].fix", 1),
        (r'issues["a?b.c[\"].x"].fix.again[0]', "issues[].fix.again[]", 3),
        ("no path", "no path", 0),
        ("a..b[]", "a..b[]", 2),
    ],
)
def test_a_path_has_a_pattern_and_a_depth(path: str, pattern: str, depth: int) -> None:
    """Whatever a key holds: dots, brackets and question marks in it are none of the path's."""
    assert (pattern, depth) == (StepPath(path).pattern, StepPath(path).depth)
    assert not is_decision(path)


@pytest.mark.parametrize(
    ("path", "position"),
    [("", None), ("a", None), ("a[2]", 2), ("a[2].b", None), ('a["7"]', None), ('a["[7"]', None)],
)
def test_an_iteration_has_a_position_unless_it_has_a_key(path: str, position: int | None) -> None:
    """A key may look like a position."""
    assert position == StepPath(path).position
