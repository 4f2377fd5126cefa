"""`graph`: of a workflow by name or file, and of a run."""

from __future__ import annotations

from textwrap import dedent

import pytest

from kit.program import Program, Quick
from kit.runs import whole

FLOW = """
    - {name: fetch, type: shell, run: "true"}
    - {name: fails, type: shell, run: "exit 1", when: "${{ not false }}"}
    - {name: kept, type: checkpoint}
    """


def test_a_workflow_is_drawn_by_its_name_or_its_file(quick: Quick) -> None:
    quick.program.flow(FLOW)
    quick.program.file(".maverick/workflows/named.yaml", whole(dedent(FLOW), "named"))

    by_file, by_name = quick("graph", "flow.yaml"), quick("graph", "named")

    tree = "├─ fetch   shell\n├─ fails   shell · when not false\n└─ ● kept\n"
    assert (f"flow\n{tree}", f"named\n{tree}") == (by_file.out, by_name.out)


def test_a_run_is_drawn_with_what_became_of_its_steps(quick: Quick) -> None:
    quick.program.flow(FLOW)
    assert 1 == quick("run", "flow.yaml").code

    newest, named = quick("graph"), quick("graph", "flow@latest")

    assert newest.out == named.out
    assert ["✓ fetch", "✗ fails", "· ● kept"] == [
        line.partition("  ")[0][3:] for line in newest.out.splitlines()[1:]
    ]
    assert "failed" == quick("graph", "--json").json["status"]


def test_a_name_of_both_is_the_workflow_and_with_an_at_the_run(quick: Quick) -> None:
    quick.program.file(".maverick/workflows/flow.yaml", whole(dedent(FLOW), "flow"))
    quick("run", "flow")

    assert "✓" not in quick("graph", "flow").out
    assert "✓" in quick("graph", "flow@latest").out


def test_a_name_of_neither_exits_10_and_says_so(quick: Quick) -> None:
    quick.program.flow(FLOW)
    unknown = quick("graph", "flo"), quick("graph", "missing.yaml"), quick("graph", "flow@{3}")

    assert [10, 10, 10] == [done.code for done in unknown]
    assert "there is no workflow 'flo'" in unknown[0].err
    assert "no run" in unknown[0].err


def test_a_workflow_with_problems_exits_3(quick: Quick) -> None:
    quick.program.file("bad.yaml", "name: bad\nsteps: 3\n")

    assert 3 == quick("graph", "bad.yaml").code


def test_a_run_without_a_workflow_has_no_graph(quick: Quick) -> None:
    quick("checkpoint", "create")

    done = quick("graph")

    assert (10, True) == (done.code, "has no workflow" in done.err)


@pytest.mark.parametrize(
    ("option", "first"), [("--mermaid", "flowchart TD"), ("--dot", 'digraph "flow" {')]
)
def test_other_programs_can_draw_it(quick: Quick, option: str, first: str) -> None:
    quick.program.flow(FLOW)

    assert first == quick("graph", "flow.yaml", option).out.splitlines()[0]
    assert 2 == quick("graph", "flow.yaml", option, "--json").code


@pytest.mark.parametrize("columns", ["20", "60", "100"])
def test_lines_are_no_longer_than_the_terminal(program: Program, columns: str) -> None:
    program.flow(
        f"- {{name: {'a' * 60}, type: shell, run: 'true', when: '${{{{ {' and '.join(['true'] * 30)} }}}}'}}"
    )

    out = program.run("graph", "flow.yaml", COLUMNS=columns).out

    assert max(map(len, out.splitlines())) <= max(int(columns), 60)
