"""A character of a scalar is found in the file, whatever style the scalar is written in."""

from __future__ import annotations

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maverick.dsl.serialization.problems import TextMap
from maverick.dsl.serialization.yaml_nodes import MappingNode, ScalarNode, compose

MARK = "Ω"
_TEXTS = st.text(st.sampled_from("ab '\"\\\n:#-{}é\t"), max_size=60)


def position_of(text: str, character: str) -> tuple[int, int]:
    """Give line and column, from 1, of the only *character* in *text*."""
    before = text[: text.index(character)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@settings(max_examples=200)
@given(
    before=_TEXTS,
    after=_TEXTS,
    style=st.sampled_from([None, "'", '"', "|", ">"]),
    width=st.integers(10, 80),
)
@example(before=":\\:\\ \n", after="", style=None, width=10)
def test_a_mark_is_found_where_it_stands(
    before: str, after: str, style: str | None, width: int
) -> None:
    value = before + MARK + after
    source = yaml.safe_dump(
        {"key": {"a": value}}, default_style=style, width=width, allow_unicode=True
    )

    node, problems = compose(source, "f")

    assert [] == problems
    assert isinstance(node, MappingNode)
    inner = node.entries["key"][1]
    assert isinstance(inner, MappingNode)
    scalar = inner.entries["a"][1]
    assert isinstance(scalar, ScalarNode)
    assert value == scalar.text
    assert position_of(source, MARK) == TextMap(source, scalar).place(len(before))


def test_places_are_found_in_one_pass() -> None:
    """A text of a megabyte with a hundred thousand expressions must not take minutes."""
    source = "a: '" + "${{ x }} " * 100_000 + "'"
    node, _ = compose(source, "f")
    assert isinstance(node, MappingNode)
    scalar = node.entries["a"][1]
    assert isinstance(scalar, ScalarNode)
    where = TextMap(source, scalar)

    places = [where.place(9 * number) for number in range(100_000)]

    assert [(1, 5 + 9 * number) for number in range(100_000)] == places
