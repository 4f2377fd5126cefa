"""A workflow, and a run of it, as a graph of its steps."""

from __future__ import annotations

import re
import shutil
import subprocess
from textwrap import dedent
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.runs import Runs, whole
from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.workflow.model import Workflow
from maverick.views.graphs.drawing import as_dot, as_mermaid, as_text, lines_of
from maverick.views.graphs.graph import Graph, Node, every, folded, graph_of
from maverick.visible import columns

FLOW = """
    - {name: fetch, type: shell, run: "true"}
    - name: each
      type: loop
      for_each: ${{ inputs.files }}
      max_concurrency: 4
      steps:
        - {name: build, type: python, action: "tools:build", when: "${{ item.big }}"}
        - {name: mark, type: checkpoint, checkpoint_id: "file_${{ index }}"}
    - name: choose
      type: branch
      options:
        - when: ${{ inputs.fast }}
          step: {name: quick, type: shell, run: "true"}
      else: {name: slow, type: shell, run: "true"}
    - name: both
      type: parallel
      steps:
        - {name: one, type: shell, run: "true"}
        - {name: two, type: shell, run: "true"}
    - name: check
      type: validate
      stages: [lint, {name: texts, run: "true"}]
      retry: 1
      on_failure: {name: mend, type: agent, agent: fixer}
    - {name: end, type: subworkflow, workflow: other, inputs: {}}
    """
INPUTS = "inputs: {files: {type: array, default: []}, fast: {type: boolean, default: true}}\n"


def flow(steps: str = FLOW, head: str = INPUTS) -> Workflow:
    body = dedent(steps).strip("\n")
    return parse_workflow(
        f'version: "1.0"\nname: flow\n{head}steps:\n'
        + "".join(f"  {line}\n" for line in body.splitlines()),
        "flow.yaml",
    )


class Others:
    """Knows the workflow `other`, which calls itself `times` over."""

    def __init__(self, text: str) -> None:
        self.text = text

    def find_workflow(self, name: str, from_file: str = "") -> Workflow | None:
        return parse_workflow(self.text, f"{name}.yaml")


def test_steps_stand_in_the_order_of_the_file_with_what_is_in_them() -> None:
    other = Others(whole('- {name: say, type: shell, run: "true"}', "other"))

    nodes = {node.path: node for node in every(graph_of(flow(), other).nodes)}

    assert [
        "fetch",
        "each",
        "each[].build",
        "each[].mark",
        "choose",
        "choose.quick",
        "choose.slow",
        "both",
        "both.one",
        "both.two",
        "check",
        "check[].mend",
        "end",
        "end.say",
    ] == list(nodes)
    assert "over inputs.files, 4 at once" == nodes["each"].what
    assert ("tools:build", "item.big") == (nodes["each[].build"].what, nodes["each[].build"].when)
    assert [False, True, True, False] == [
        nodes[path].is_beside for path in ("each", "choose", "both", "check")
    ]
    assert ["inputs.fast", "else"] == [nodes[f"choose.{it}"].way for it in ("quick", "slow")]
    assert ["each[].mark"] == [path for path, node in nodes.items() if node.is_checkpoint]
    assert "lint, texts" == nodes["check"].what


def test_a_workflow_that_is_not_known_is_one_step() -> None:
    class Nothing:
        def find_workflow(self, name: str, from_file: str = "") -> Workflow | None:
            return None

    assert [()] == [node.inside for node in graph_of(flow(), Nothing()).nodes[-1:]]


def test_workflows_that_call_each_other_do_not_go_on_for_ever() -> None:
    """`workflow check` refuses them; a graph is asked for before that as well."""
    other = Others(whole("- {name: again, type: subworkflow, workflow: other, inputs: {}}", "x"))

    paths = [node.path for node in every(graph_of(flow(), other).nodes)]

    assert ["end", "end.again"] == paths[-2:]


def test_a_workflow_that_calls_two_that_call_two_is_not_unfolded_without_end() -> None:
    class Doubling:
        def find_workflow(self, name: str, from_file: str = "") -> Workflow | None:
            number = int(name[1:]) + 1
            calls = "\n".join(
                f"- {{name: {side}, type: subworkflow, workflow: w{number}, inputs: {{}}}}"
                for side in ("a", "b")
            )
            return parse_workflow(whole(calls, name), f"{name}.yaml")

    graph = graph_of(
        flow("- {name: first, type: subworkflow, workflow: w0, inputs: {}}"), Doubling()
    )

    assert 5_000 < graph.size < 6_000


def test_a_step_stands_as_the_worst_of_its_iterations() -> None:
    statuses = {
        "fetch": "done",
        "each[0]": "done",
        "each[0].build": "done",
        "each[0].mark": "done",
        "each[1]": "failed",
        "each[1].build": "failed",
    }

    nodes = {node.path: node for node in every(graph_of(flow(), statuses=statuses).nodes)}

    assert ("done", {}) == (nodes["fetch"].status, nodes["fetch"].counts)
    assert ("failed", {"failed": 1, "done": 1}) == (nodes["each"].status, nodes["each"].counts)
    assert {"failed": 1, "done": 1} == nodes["each[].build"].counts
    assert "done" == nodes["each[].mark"].status
    assert {"pending"} == {nodes[path].status for path in ("choose", "choose.slow", "end")}


def test_a_way_that_was_not_taken_is_skipped_where_the_branch_is_done() -> None:
    statuses = {"choose": "done", "choose.quick": "done"}

    running = {node.path: node for node in every(graph_of(flow(), statuses=statuses).nodes)}
    done = graph_of(flow(), statuses=statuses, status="done")

    assert ("skipped", "pending") == (running["choose.slow"].status, running["end"].status)
    assert "pending" not in {node.status for node in every(done.nodes)}


# --- drawn ----------------------------------------------------------------------------------------


def test_as_text_it_is_a_tree_with_a_line_for_each_step() -> None:
    graph = graph_of(flow(), statuses={"fetch": "done", "each": "failed"}, run="r", status="failed")

    assert dedent(
        """
            flow  r  failed
            ├─ ✓ fetch                   shell
            ├─ ✗ each                    loop over inputs.files, 4 at o…
            │  ├─ · build                python tools:b… · when item.big
            │  └─ · ● mark               checkpoint file_${{ index }}
            ├─ · choose                  branch
            │  ├─ · [inputs.fast] quick  shell
            │  └─ · [else] slow          shell
            ├─ · both                    loop all at once
            │  ├─ · one                  shell
            │  └─ · two                  shell
            ├─ · check                   validate lint, texts
            │  └─ · mend                 agent fixer
            └─ · end                     subworkflow other
            """
    ).lstrip("\n") == as_text(graph, 60)


def test_a_long_condition_is_cut_and_the_step_behind_it_is_not() -> None:
    """Nor does it break the column of the others."""
    way = Node(
        path="x", name="quick", type="shell", way='inputs.kind == "what nobody reads" and inputs.x'
    )
    graph = Graph("flow", (Node(path="c", name="choose", type="branch", inside=(way,)),))

    assert dedent(
        """
            flow
            └─ choose                      branch
               └─ [inputs.kind ==…] quick  shell
            """
    ).lstrip("\n") == as_text(graph, 60)


ANY = st.text(st.characters() | st.sampled_from('"\\#&;<>[]{}|%`\n\x1b\u202e\u2028'), max_size=90)


def _graph(texts: list[str]) -> Graph:
    """A graph in which each text stands at each place where one can stand."""

    def leaf(text: str) -> Node:
        return Node(path="x", name=text, type="shell", what=text, when=text, status="done")

    def way(text: str) -> Node:
        return Node(path="x", name="x", type="shell", way=text or "else")

    return Graph(
        "".join(texts),
        (
            *map(leaf, texts),
            *(Node(path="y", name=it, type="branch", inside=(way(it),)) for it in texts),
            *(Node(path="z", name=it, type="loop", inside=(leaf(it),)) for it in texts),
        ),
    )


@given(st.lists(ANY, min_size=1, max_size=3), st.integers(60, 100))
def test_no_text_makes_a_line_longer_or_another_line(texts: list[str], width: int) -> None:
    graph = _graph(texts)

    lines = as_text(graph, width).split("\n")

    assert graph.size + 2 == len(lines)
    assert [] == [line for line in lines if columns(line) > width]


LABEL = r'"((?:[\w ,.]|#[0-9]+;|<br/>)*)"'
MERMAID = re.compile(
    rf"flowchart TD| *(?:s\d+\[{LABEL}\]|s\d+\(\[{LABEL}\]\)|s\d+w\{{{LABEL}\}}|subgraph s\d+\[{LABEL}\]|end"
    rf"|s\d+ --> s\d+|s\d+w -->\|{LABEL}\| s\d+|classDef \w+ fill:#\w+,stroke:#\w+,color:#\w+"
    r"|class s\d+(?:,s\d+)* \w+)"
)


def _said(label: str) -> str:
    """What Mermaid makes of a label: a number between `#` and `;` is a character.

    A blank without width keeps apart what it would replace then.
    """
    text = re.sub(r"#([0-9]+);", lambda match: chr(int(match[1])), label.replace("<br/>", "\n"))
    assert not re.search(r"\\n|\$\$|fa[bklrs]?:fa-|ﬂ°|¶ß", text)
    return text.replace("\u200b", "")


@given(st.lists(ANY, min_size=1, max_size=3))
def test_in_mermaid_no_text_is_more_than_a_label(texts: list[str]) -> None:
    graph = _graph(texts)

    text = as_mermaid(graph)

    assert [] == [line for line in text.split("\n")[:-1] if not MERMAID.fullmatch(line)]
    assert "\n".join(lines_of(graph.nodes[0])).replace("\u200b", "") == _said(
        re.findall(LABEL, text)[0]
    )


@pytest.mark.parametrize(
    "text",
    [
        "1. x",
        "www.a.b",
        "_a_",
        "a__b",
        ".a",
        "a.",
        "fa:fa-x",
        "$$x$$",
        "a\\nb",
        "x.1. y",
        "<br/>",
        "- a",
    ],
)
def test_in_mermaid_no_text_is_a_list_a_link_or_emphasis(text: str) -> None:
    """Mermaid reads labels as Markdown, and draws `Unsupported markdown: list` instead of them."""
    label = re.findall(LABEL, as_mermaid(Graph("x", (Node(path="x", name=text, type="t"),))))[0]

    assert text == _said(label.partition("<br/>")[0])
    assert not re.search(r"\d\. |^- |www\.|(?<!\w)_|_(?!\w)|__|fa:|<br/>.*<br/>", label)


@pytest.mark.skipif(
    shutil.which("dot") is None, reason="Graphviz is missing: apt-get install graphviz"
)
def test_graphviz_shows_each_text_as_it_is(hostile: list[str]) -> None:
    graph = _graph(hostile)

    svg = subprocess.run(
        ["dot", "-Tsvg"], input=as_dot(graph).encode(), capture_output=True, check=True
    )

    assert b"" == svg.stderr
    shown = [
        _plain("".join(element.itertext()))
        for element in ET.fromstring(svg.stdout).iter("{http://www.w3.org/2000/svg}text")
    ]
    nodes = list(every(graph.nodes))
    expected = [line for node in nodes for line in (*lines_of(node), *_way(node))]
    assert sorted(map(_plain, expected)) == sorted(shown)


def _way(node: Node) -> list[str]:
    """What stands at the arrow to a way of a branch, and in the diamond from which that comes."""
    return ["?", lines_of(Node(path="x", name=node.way, type="t"))[0]] if node.way else []


def _plain(text: str) -> str:
    """Graphviz writes blanks that no browser joins."""
    return text.replace("\xa0", " ")


@pytest.mark.parametrize("count", [1, 250, 1_000, 20_000])
def test_mermaid_is_folded_before_it_is_too_much(count: int) -> None:
    """GitHub draws nothing of a chart of more than 500 edges or 50,000 characters."""
    leaves = tuple(Node(path=str(n), name=f"step_{n}", type="shell") for n in range(count))

    flat, deep = (
        as_mermaid(Graph("x", nodes))
        for nodes in (leaves, (Node(path="a", name="a", type="loop", inside=leaves),))
    )

    assert flat.count("-->") <= 241
    assert len(flat) < 50_000
    assert (count > 240) == (f"{count} steps inside" in deep)
    assert (count > 240) == ("steps are left out" in flat)


def test_folding_keeps_the_first_and_the_last_steps() -> None:
    nodes = tuple(Node(path=str(n), name=str(n), type="shell") for n in range(100))

    few = folded(Graph("x", nodes), 9)

    assert (["0", "1", "2", "3", "4", "5", "97", "98", "99"], 91) == (
        [node.name for node in few.nodes],
        few.left_out,
    )


def test_a_run_is_drawn_as_it_was_whatever_its_files_say_now(runs: Runs) -> None:
    from maverick.checkpoints import Store  # noqa: PLC0415
    from maverick.views.graphs.run_graph import graph_of_run  # noqa: PLC0415
    from maverick.views.page_loader import load_page  # noqa: PLC0415

    runs.file(
        "part.yaml", whole("- {name: deep, type: python, action: do, kwargs: {name: d}}", "part")
    )
    runs.flow(
        """
        - {name: a, type: python, action: do, kwargs: {name: a}}
        - {name: sub, type: subworkflow, workflow: ./part.yaml, inputs: {}}
        - {name: bad, type: python, action: fail, kwargs: {name: bad}}
        - {name: never, type: python, action: do, kwargs: {name: never}}
        """
    )
    runs.start()
    runs.flow("- {name: other, type: python, action: do, kwargs: {name: o}}")
    runs.file("part.yaml", "nonsense: [")
    store = Store.open(runs.root / ".maverick" / "checkpoints")

    graph = graph_of_run(load_page("", store, store.resolve("@latest")))

    assert ("failed", "flow") == (graph.status, graph.workflow)
    assert [
        ("a", "done"),
        ("sub", "done"),
        ("sub.deep", "done"),
        ("bad", "failed"),
        ("never", "pending"),
    ] == [(node.path, node.status) for node in every(graph.nodes)]
