"""What differs between two runs: values, and the code that gave them."""

from __future__ import annotations

from typing import Any

import pytest

from kit.runs import Runs
from maverick.checkpoints import Store
from maverick.checkpoints.objects.objects import Objects
from maverick.dsl.journal.tree import RunTree
from maverick.views.comparing.expenses import costs, times
from maverick.views.comparing.run_comparison import compare
from maverick.views.page_loader import load_page


def trees(runs: Runs) -> tuple[RunTree, RunTree]:
    """The newest run but one, and the newest."""
    new, old = runs.store.refs()[:2]
    return tuple(RunTree(runs.store.load(ref.run)) for ref in (old, new))  # type: ignore[return-value]


def rows(runs: Runs, step: str = "") -> list[dict[str, Any]]:
    """What differs between the newest two runs."""
    return [row for each in compare(runs.store, *trees(runs), step) for row in each.rows()]


def code(runs: Runs) -> list[tuple[str, str]]:
    """The code that differs: path and part."""
    return [(row["path"], row["part"]) for row in rows(runs) if row["change"] == "code"]


class TestCode:
    def test_of_an_action_is_told_where_what_it_gives_is_the_same(self, runs: Runs) -> None:
        runs.set_actions("def train():\n    return 1\n")
        runs.flow("- {name: train, type: python, action: train}")
        runs.start()
        runs.set_actions("def train():\n    return 2 - 1\n")
        runs.forget_modules()
        runs.start()

        (row,) = rows(runs)

        assert ["path", "change", "part", "old", "new"] == list(row)
        assert ("steps.train", "code", "action") == (row["path"], row["change"], row["part"])
        assert len({row["old"], row["new"]}) == 2

    def test_of_an_action_is_told_beside_what_it_gives(self, runs: Runs) -> None:
        runs.set_actions("def train():\n    return 1\n")
        runs.flow("- {name: train, type: python, action: train}")
        runs.start()
        runs.set_actions("def train():\n    return 2\n")
        runs.forget_modules()
        runs.start()

        assert [("steps.train", "code"), ("steps.train.output", "changed")] == [
            (row["path"], row["change"]) for row in rows(runs)
        ]

    def test_of_an_agent_is_told_by_who_played_it(self, runs: Runs) -> None:
        runs.file("agent.sh", "echo yes")
        runs.file(".maverick/agents/helper.md", "Help.")
        config = "agents: {{helper: {{provider: command, command: [sh, agent.sh], model: {}}}}}"
        runs.flow("- {name: ask, type: agent, agent: helper, context: {a: b}}")
        runs.file("maverick.yaml", config.format("small"))
        runs.start()
        runs.file("maverick.yaml", config.format("large"))
        runs.file(".maverick/agents/helper.md", "Help me.")
        runs.start()

        one, two = rows(runs)

        assert ("steps.ask", "agent") == (one["path"], one["part"])
        assert ("small", "large") == (one["old"]["model"], one["new"]["model"])
        assert ("steps.ask", "instructions") == (two["path"], two["part"])

    def test_of_stages_is_told(self, runs: Runs) -> None:
        """They stand in maverick.yaml, which no run records."""
        runs.flow("- {name: check, type: validate, stages: [it]}")
        runs.file("maverick.yaml", "validation: {stages: {it: 'true'}}")
        runs.start()
        runs.file("maverick.yaml", "validation: {stages: {it: 'exit 0'}}")
        runs.start()

        assert [("steps.check[0]", "stages")] == code(runs)

    def test_in_the_workflow_is_told_of_the_step(self, runs: Runs) -> None:
        runs.flow("- {name: a, type: shell, run: echo one}")
        runs.start()
        runs.edit("echo one", "printf 'one\\n'")
        runs.start()

        assert [("definition.flow.yaml", "changed"), ("steps.a", "code")] == [
            (row["path"], row["change"]) for row in rows(runs)
        ]

    def test_is_told_of_the_step_that_was_edited(self, runs: Runs) -> None:
        """`b` is as it was written, in another line; only the value that it uses differs."""
        runs.flow("""
        - {name: a, run: echo one}
        - {name: b, run: "true ${{ steps.a.output.value }}"}
        - name: each
          for_each: [1, 2]
          steps: [{name: c, run: "true ${{ item }}"}]
        """)
        runs.start()
        runs.edit("{name: a, run: echo one}", "{name: a,\n   run: echo two}")
        runs.edit('c, run: "true', 'c, run: ": ')
        runs.start()

        assert [("steps.a", "run"), ("steps.each[0].c", "run"), ("steps.each[1].c", "run")] == code(
            runs
        )

    def test_a_file_in_a_folder_is_named_as_a_path(self, runs: Runs) -> None:
        """Its name may begin with a dot."""
        folder = ".maverick/workflows"
        runs.flow("- {name: it, workflow: called}")
        for script in ("echo", "':'"):
            text = f'version: "1.0"\nname: called\nsteps: [{{name: a, run: {script}}}]\n'
            runs.file(f"{folder}/called.yaml", text)
            runs.start()

        assert f"definition/{folder}/called.yaml" == rows(runs)[0]["path"]
        assert [("steps.it.a", "run")] == code(runs)

    def test_is_no_other_where_only_a_value_is(self, runs: Runs) -> None:
        """The input tells it."""
        runs.flow("""
        inputs: {n: {type: integer}}
        steps:
          - {name: a, type: shell, run: "true ${{ inputs.n }}"}
          - {name: b, type: python, action: do, args: [b], kwargs: {output: "${{ inputs.n * 0 }}"}}
        """)
        runs.start(n=1)
        runs.start(n=2)

        assert ["inputs.n"] == [row["path"] for row in rows(runs)]

    def test_of_one_step_can_be_asked_for(self, runs: Runs) -> None:
        runs.set_actions("def one():\n    return 1\ndef two():\n    return 1\n")
        flow = "- {name: a, type: python, action: one}\n- {name: b, type: python, action: two}"
        runs.flow(flow)
        runs.start()
        runs.set_actions("def one():\n    return 2-1\ndef two():\n    return 2-1\n")
        runs.forget_modules()
        runs.start()

        assert ["steps.b"] == [row["path"] for row in rows(runs, "b")]


class TestOutput:
    def test_of_the_run_is_left_out_where_a_step_gave_it(self, runs: Runs) -> None:
        """Twelve numbers twice say no more than once."""
        runs.flow("""
        inputs: {n: {type: integer}}
        steps: [{name: a, type: python, action: give, args: [["${{ inputs.n }}", 1]]}]
        """)
        runs.start(n=1)
        runs.start(n=2)

        assert ["inputs.n", "steps.a.output[0]"] == [row["path"] for row in rows(runs)]

    def test_of_the_run_is_told_where_it_is_its_own(self, runs: Runs) -> None:
        runs.flow("""
        inputs: {n: {type: integer}}
        steps: [{name: a, type: python, action: give, args: ["${{ inputs.n }}"]}]
        outputs: {twice: "${{ inputs.n * 2 }}"}
        """)
        runs.start(n=1)
        runs.start(n=2)

        assert ["inputs.n", "output.twice", "steps.a.output"] == [row["path"] for row in rows(runs)]


@pytest.mark.parametrize("count", [20, 200])
def test_the_cost_grows_with_what_differs(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Of two runs of two hundred steps that differ in one, as much is read as of twenty."""
    runs.flow("""
    inputs: {n: {type: integer}, count: {type: integer}}
    steps:
      - name: each
        type: loop
        for_each: "${{ range(inputs.count) }}"
        steps:
          - {name: a, type: python, action: give, args: ["${{ inputs.n if item == 7 else item }}"]}
    """)
    runs.start(n=-1, count=count)
    runs.start(n=-2, count=count)
    old, new = trees(runs)
    reads: list[object] = []
    read = Objects.read

    def counting(self: Objects, object_id: Any) -> bytes:
        reads.append(object_id)
        return read(self, object_id)

    monkeypatch.setattr(Objects, "read", counting)
    fresh = Store.open(runs.store.root)
    differing = [row["path"] for each in compare(fresh, old, new) for row in each.rows()]

    assert ["inputs.n", "steps.each[7].a.output"] == differing
    assert 10 < len(reads) <= 40


def test_times_and_costs_are_told_of_both(runs: Runs) -> None:
    """Of steps that only one has, too."""
    runs.file("agent.sh", "echo yes")
    runs.file("maverick.yaml", "agents: {helper: {provider: command, command: [sh, agent.sh]}}")
    runs.flow("- {name: ask, type: agent, agent: helper, context: {a: b}}")
    runs.start()
    runs.flow("""
    - {name: ask, type: agent, agent: helper, context: {a: b}}
    - {name: more, type: shell, run: "true"}
    """)
    runs.start()
    old, new = (load_page("", runs.store, tree.checkpoint) for tree in trees(runs))

    took = {each.path: (each.old, each.new) for each in times(old, new)}
    cost = {(each.path, each.measure): (each.old, each.new) for each in costs(old, new)}

    assert ["ask", "more", ""] == list(took)
    assert None is took["more"][0]  # type: ignore[index]
    assert (1, 1) == cost["ask", "calls"]  # type: ignore[index]
    assert (1, 1) == cost["", "calls"]  # type: ignore[index]
    rows_ = [row for each in times(old, new) if (row := each.row())]
    assert "steps.more.seconds" in [row["path"] for row in rows_ if row["change"] == "added"]
