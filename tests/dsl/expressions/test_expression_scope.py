"""What a scope shows: blocks inside blocks, loops inside loops, and values that load when they are
asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest

from kit.asking import ask, frame
from maverick.dsl.expressions.scope import Frame
from maverick.errors import ExpressionFailed, ObjectMissing


class Lazy(Mapping[str, object]):
    """A step's view that counts how often its output is loaded."""

    def __init__(self, output: object) -> None:
        self.loads = 0
        self.output = output

    def __getitem__(self, key: str) -> object:
        if key == "output":
            self.loads += 1
            if isinstance(self.output, Exception):
                raise self.output
            return self.output
        return {"status": "done"}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("output", "status"))

    def __len__(self) -> int:
        return 2


def test_every_name_of_the_language_can_be_read() -> None:
    scope = Frame(
        {"x": 1},
        {"HOME": "/h"},
        {"id": "r", "attempt": 2, "idempotency_key": "k"},
        frame().project_root,
    )
    scope.set_step("plan", {"output": {"a": [5]}, "status": "done"})
    inner = scope.child(item="outer", index=4).child(item="inner", index=0)

    assert [1, [5], "done", "inner", 0, "outer", 4, "/h", "r", 2, "k"] == ask(
        "[inputs.x, steps.plan.output.a, steps.plan.status, item, index, parent.item, "
        "parent.index, env.HOME, run.id, run.attempt, run.idempotency_key]",
        inner,
    )


def test_names_that_a_scope_does_not_have_are_null() -> None:
    assert [None] * 7 == ask(
        "[item, index, parent, parent.item, steps.nowhere.output, env.NOTHING, run.nothing]",
        frame(),
    )
    assert None is frame().lookup("anything")


def test_parent_leads_outwards_as_far_as_there_are_loops() -> None:
    scope = frame().child(item="a", index=0).child(item="b", index=1).child(item="c", index=2)

    assert ["c", "b", "a", None] == ask(
        "[item, parent.item, parent.parent.item, parent.parent.parent]", scope
    )


def test_a_block_that_is_no_iteration_sees_the_item_of_the_loop_around_it() -> None:
    assert ["a", 3, None] == ask("[item, index, parent]", frame().child(item="a", index=3).child())


def test_an_iteration_without_items_has_an_index() -> None:
    """An `until` loop counts its rounds."""
    assert [None, 0] == ask("[item, index]", frame().child(index=0))


def test_inner_blocks_see_outer_steps_and_inner_names_shadow() -> None:
    outer = frame(steps={"a": "outer a", "b": "outer b"})
    inner = outer.child(item=1, index=0)
    inner.set_step("b", {"output": "inner b", "status": "done"})
    outer.set_step("late", {"output": "later", "status": "done"})

    assert ["outer a", "inner b", "later"] == ask(
        "[steps.a.output, steps.b.output, steps.late.output]", inner
    )
    assert ["outer b", ["a", "b", "late"]] == ask("[steps.b.output, keys(steps)]", outer)
    assert ["a", "b", "late"] == ask("keys(steps)", inner)
    assert None is ask("steps.b.output", outer.child(item=2, index=1)) or "outer b" == ask(
        "steps.b.output", outer
    )


def test_iterations_do_not_see_each_others_steps() -> None:
    outer = frame()
    first, second = outer.child(item=1, index=0), outer.child(item=2, index=1)
    first.set_step("x", {"output": 1, "status": "done"})

    assert [None, False, True] == [
        ask("steps.x.output", second),
        ask("'x' in steps", second),
        ask("'x' in steps", first),
    ]


def test_a_sub_workflow_sees_its_own_inputs_and_nothing_of_the_caller() -> None:
    caller = frame(x=1, steps={"a": 1}, env={"E": "e"}).child(item=1, index=0)

    assert [2, None, None, "e"] == ask(
        "[inputs.x, steps.a, item, env.E]", caller.for_workflow({"x": 2})
    )


def test_the_run_of_an_attempt_is_seen_by_that_attempt_only() -> None:
    scope = frame(run={"id": "r", "attempt": 1}, steps={"a": 1})
    again = scope.with_run(attempt=2, idempotency_key="k")

    assert ["r", 2, "k", 1] == ask(
        "[run.id, run.attempt, run.idempotency_key, steps.a.output]", again
    )
    assert 1 == ask("run.attempt", scope)


def test_an_output_is_loaded_only_when_it_is_asked_for() -> None:
    lazy = Lazy({"a": 1})
    scope = frame()
    scope.set_step("big", lazy)

    assert ["done", True] == ask("[steps.big.status, 'big' in steps]", scope)
    assert 0 == lazy.loads
    assert 1 == ask("steps.big.output.a", scope)
    assert 1 == lazy.loads


def test_no_lazy_mapping_escapes() -> None:
    scope = frame()
    scope.set_step("big", Lazy(Lazy(1)))
    expected = {"output": {"output": 1, "status": "done"}, "status": "done"}

    for text, value in [
        ("steps.big", expected),
        ("steps", {"big": expected}),
        ("[steps.big, {'x': steps.big}]", [expected, {"x": expected}]),
        ("values(steps)", [expected]),
    ]:
        actual = ask(text, scope)
        assert value == actual
        assert _kinds(actual) <= {dict, list, str, int}
    assert True is ask(
        "steps.big == steps.big and len(to_json(steps)) > 10 and len(hash(steps)) == 64", scope
    )


def _kinds(value: object) -> set[type]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {type(value)}.union(*map(_kinds, inner))


def test_damage_met_while_loading_keeps_its_name() -> None:
    """A damaged store is no mistake of the expression."""
    scope = frame()
    scope.set_step("lost", Lazy(ObjectMissing("object 3f2a is gone")))

    with pytest.raises(ObjectMissing):
        ask("steps.lost.output", scope)


def test_what_is_no_value_does_not_get_out() -> None:
    with pytest.raises(ExpressionFailed, match="an object is no value"):
        ask("inputs.x", frame(x=object()))


def test_steps_can_be_published_while_others_read() -> None:
    """Steps of a block may run side by side; a reader sees a step or does not, and never an
    error.
    """
    scope = frame()
    names = [f"s{number}" for number in range(200)]
    failures: list[BaseException] = []

    def publish(part: list[str]) -> None:
        for name in part:
            scope.set_step(name, {"output": name, "status": "done"})

    def read() -> None:
        try:
            for _ in range(100):
                ask("keys(steps)", scope.child(item=1, index=0))
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(names[n::4],)) for n in range(4)]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures
    assert sorted(names) == sorted(scope.visible.names())
