"""`checkpoint show`, `checkpoint cat`, `checkpoint diff`."""

from __future__ import annotations

import json

import pytest
from blake3 import blake3

from kit.program import Program, Quick
from maverick.checkpoints import ObjectId, Store

ACTIONS = """
def plan():
    return {
        "tasks": [{"title": "one"}, {"title": "two"}],
        "a.b": {'say "x"': 1},
        "raw": b"\\x00\\xff",
        "text": "é",
        "nothing": None,
    }

def given(value):
    return value
"""
FLOW = """
    inputs:
      branch_name: {type: string, default: main}
      plan: {type: object, default: {}}
    steps:
      - {name: plan, type: python, action: "acts:plan"}
      - {name: never, type: shell, run: "true", when: "false"}
      - name: phases
        type: loop
        for_each: [a, b]
        key: item
        steps:
          - {name: implement, type: python, action: "acts:given",
             kwargs: {value: "${{ [item, inputs.plan] }}"}}
          - {name: output, type: python, action: "acts:given", kwargs: {value: "${{ item }}"}}
      - {name: mark, type: checkpoint, checkpoint_id: "phase: 1"}
    """


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A project with one run of `FLOW`, which nobody may change."""
    program = Program(tmp_path_factory.mktemp("recorded") / "project")
    program.file("acts.py", ACTIONS)
    program.flow(FLOW)
    done = program.run("run", "flow.yaml", "--quiet")
    assert 0 == done.code, done.err
    return program


@pytest.fixture
def recorded(original: Program, quick: Quick) -> Quick:
    """A project with one run of `FLOW`."""
    quick.program.copy_of(original)
    return quick


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("inputs", {"branch_name": "main", "plan": {}}),
        ("inputs.branch_name", "main"),
        ("steps.plan.status", "done"),
        ("steps.never.status", "skipped"),
        ("steps.never.output", None),
        ("steps.never", {"status": "skipped", "output": None}),
        ("steps.plan.output.tasks[1]", {"title": "two"}),
        ("steps.plan.output.tasks[-1].title", "two"),
        ('steps.plan.output["a.b"]["say \\"x\\""]', 1),
        ("steps.plan.output.raw", {"$bytes": "AP8="}),
        ("steps.plan.output.nothing", None),
        ("steps.phases.output", ["a", "b"]),
        ('steps.phases["a"].implement.output[0]', "a"),
        ('steps.phases["a"].output.output', "a"),
        ("steps.phases?for_each.output", ["a", "b"]),
        ("output", ["a", "b"]),
        ("output[1]", "b"),
    ],
)
def test_a_path_leads_to_the_value_itself(recorded: Quick, path: str, expected: object) -> None:
    done = recorded("checkpoint", "show", f"@latest:{path}", "--json")

    assert (0, expected) == (done.code, done.json)


def test_folders_are_listed_without_the_decisions(recorded: Quick) -> None:
    steps = recorded("checkpoint", "show", "@latest:steps", "--json").json
    inside = recorded("checkpoint", "show", '@latest:steps.phases["b"]', "--json").json
    definition = recorded("checkpoint", "show", "@latest:definition", "--json").json

    assert ["name", "kind", "size"] == list(steps[0])
    names = ["mark", "never", "phases"]
    names += [f'phases["{key}"].{name}' for key in "ab" for name in ("implement", "output")]
    assert [*names, "plan"] == [it["name"] for it in steps]
    assert ['phases["b"].implement', 'phases["b"].output'] == [it["name"] for it in inside]
    size = (recorded.program.root / "flow.yaml").stat().st_size
    assert [{"name": "flow.yaml", "kind": "blob", "size": size}] == definition


def test_a_checkpoint_is_shown_with_its_facts_and_folders(recorded: Quick) -> None:
    facts = recorded("checkpoint", "show", f"{_run(recorded)}@phase: 1", "--json").json

    assert ("label", "phase: 1", "flow", "mark") == tuple(
        facts[it] for it in ("kind", "label", "workflow", "step")
    )
    assert ["definition", "inputs", "steps"] == [it["name"] for it in facts["entries"]]
    assert f"run         {_run(recorded)}\n" in recorded("checkpoint", "show").out


def test_a_label_may_hold_a_colon(recorded: Quick) -> None:
    assert (
        "main\n"
        == recorded("checkpoint", "show", f"{_run(recorded)}@phase: 1:inputs.branch_name").out
    )


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("step.plan", "did you mean steps"),
        ("steps.pln.output", "did you mean plan"),
        ("steps.plan.outptu", "did you mean plan.output"),
        ("inputs.branch", "did you mean branch_name"),
        ("steps.plan.output.tasks[2]", "has 2 items"),
        ("steps.plan.output.text.x", "is a text"),
        ("definition/flow.yml", "did you mean flow.yaml"),
        ("output.x", "is a list"),
    ],
)
def test_a_path_to_nothing_exits_10_with_what_is_near(
    recorded: Quick, path: str, near: str
) -> None:
    done = recorded("checkpoint", "show", f"@latest:{path}")

    assert (10, "") == (done.code, done.out)
    assert near in done.err


def test_what_is_no_path_exits_2(recorded: Quick) -> None:
    assert 2 == recorded("checkpoint", "show", "@latest:inputs[x]").code


def test_an_unknown_revision_exits_10(recorded: Quick) -> None:
    for command in (
        ["show", "nosuch"],
        ["show", "nosuch:output"],
        ["log", "nosuch"],
        ["diff", "nosuch", "@latest"],
    ):
        assert 10 == recorded("checkpoint", *command).code, command


def test_people_see_text_as_it_is_and_other_values_as_json(recorded: Quick) -> None:
    assert "é\n" == recorded("checkpoint", "show", "@latest:steps.plan.output.text").out
    assert (
        '{\n  "title": "one"\n}\n'
        == recorded("checkpoint", "show", "@latest:steps.plan.output.tasks[0]").out
    )
    assert "null\n" == recorded("checkpoint", "show", "@latest:steps.plan.output.nothing").out
    text = (recorded.program.root / "flow.yaml").read_text()
    assert text == recorded("checkpoint", "show", "@latest:definition/flow.yaml").out
    assert text == recorded("checkpoint", "show", "@latest:definition.flow.yaml", "--json").json


def test_cat_writes_the_very_bytes(recorded: Quick) -> None:
    """What a value's bytes are: of bytes they themselves, of text its UTF-8, of any other value its
    JSON.
    """
    program = recorded.program

    assert b"\x00\xff" == program.bytes("checkpoint", "cat", "@latest:steps.plan.output.raw")
    assert "é".encode() == program.bytes("checkpoint", "cat", "@latest:steps.plan.output.text")
    assert b'{"title":"one"}' == program.bytes(
        "checkpoint", "cat", "@latest:steps.plan.output.tasks[0]"
    )
    flow = (program.root / "flow.yaml").read_bytes()
    assert flow == program.bytes("checkpoint", "cat", "@latest:definition/flow.yaml")
    assert (10, 2) == (
        recorded("checkpoint", "cat", "@latest:steps").code,
        recorded("checkpoint", "cat", "@latest").code,
    )


# --- diff ---


def test_a_checkpoint_does_not_differ_from_itself(recorded: Quick) -> None:
    assert [] == recorded("checkpoint", "diff", "@latest", "@latest", "--json").json
    assert "" == recorded("checkpoint", "diff", "@latest", "@latest").out


def test_values_are_compared_down_to_the_leaf_that_changed(recorded: Quick) -> None:
    """A loop's own output is left out, since what changed in it is there already; decisions are
    left out.
    """
    first = _run(recorded)
    plan = {"tasks": ["x", {"title": "new"}]}
    recorded("run", "flow.yaml", "-i", f"plan={json.dumps(plan)}", "--quiet")

    rows = recorded("checkpoint", "diff", first, "@latest", "--json").json

    assert ["path", "change", "old", "new"] == list(rows[0])
    assert [
        {"path": "inputs.plan.tasks", "change": "added", "old": None, "new": plan["tasks"]},
        *(
            {
                "path": f'steps.phases["{key}"].implement.output[1].tasks',
                "change": "added",
                "old": None,
                "new": plan["tasks"],
            }
            for key in "ab"
        ),
    ] == rows


def test_definitions_are_compared_as_unified_diffs(recorded: Quick) -> None:
    first = _run(recorded)
    recorded.program.flow(
        FLOW.replace('"true"', '"exit 0"').replace("default: main", "default: side")
    )
    recorded("run", "flow.yaml", "--quiet")

    rows = recorded("checkpoint", "diff", first, "@latest", "--json").json
    shown = recorded("checkpoint", "diff", first, "@latest").out

    assert ["definition.flow.yaml", "inputs.branch_name"] == [it["path"] for it in rows]
    assert (
        "    -  branch_name: {type: string, default: main}\n    +  branch_name: {type: string, "
        "default: side}\n" in shown
    )
    assert '~ inputs.branch_name: "main" -> "side"\n' in shown


def test_steps_that_came_and_went_are_shown_with_status_and_output(recorded: Quick) -> None:
    rows = recorded("checkpoint", "diff", "@latest~1", "@latest", "--json").json
    assert ["output"] == [it["path"] for it in rows]

    before = recorded("checkpoint", "log", "--json").json
    start, planned = before[-1]["checkpoint"], before[-2]["checkpoint"]
    added = recorded("checkpoint", "diff", start, planned, "--json").json
    removed = recorded("checkpoint", "diff", planned, start, "--json").json

    assert [("steps.plan.status", "added", None, "done")] == [
        tuple(it.values()) for it in added[:1]
    ]
    assert ("steps.plan.output", "added", None) == tuple(added[1].values())[:3]
    assert [("steps.plan.status", "removed", "done", None)] == [
        tuple(it.values()) for it in removed[:1]
    ]


def test_stat_counts_and_step_limits(recorded: Quick) -> None:
    start = recorded("checkpoint", "log", "--json").json[-1]["checkpoint"]

    stat = recorded("checkpoint", "diff", start, "@latest", "--stat").out
    limited = recorded("checkpoint", "diff", start, "@latest", "--json", "--step", "phases").json

    assert stat.startswith("+ output\n")
    assert stat.endswith(": 16 added\n")
    expected = ["steps.phases.status"]
    for step in [f'phases["{key}"].{name}' for key in "ab" for name in ("implement", "output")]:
        expected += [f"steps.{step}.status", f"steps.{step}.output"]
    assert expected == [it["path"] for it in limited]


def test_text_of_several_lines_is_shown_as_a_unified_diff(quick: Quick) -> None:
    quick.program.flow(
        "inputs: {to: {type: integer}}\nsteps:\n  - {name: count, type: shell, run: 'seq 1 ${{ "
        "inputs.to }}'}"
    )
    quick("run", "flow.yaml", "-i", "to=3", "--quiet")
    first = _run(quick)
    quick("run", "flow.yaml", "-i", "to=4", "--quiet")

    shown = quick("checkpoint", "diff", first, "@latest", "--step", "count").out

    assert (
        "~ steps.count.output.stdout\n    @@ -1,3 +1,4 @@\n     1\n     2\n     3\n    +4\n"
        in shown
    )


def _run(quick: Quick) -> str:
    return str(quick("runs", "--json").json[0]["run"])


# --- files ---


@pytest.fixture
def two_trees(quick: Quick) -> Quick:
    """Two checkpoints of the project's files, which differ in every way."""
    root = quick.program.root
    for name, data in {
        "text": b"a\nb\nc\n",
        "gone": b"x\n",
        "mode": b"m\n",
        "bin": b"\0" * 3000,
        "latin": b"\xe9\n",
        "long": b"1\n" * 600_000,
        "end": b"no newline",
        "deep/f": b"1\n",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    (root / "link").symlink_to("text")
    (root / "empty").mkdir()
    assert 0 == quick("checkpoint", "create").code
    (root / "text").write_bytes(b"a\nB\nc\n")
    (root / "bin").write_bytes(b"\0" * 2000)
    (root / "latin").write_bytes(b"\xe8\n")
    (root / "long").write_bytes(b"2\n" * 600_000)
    (root / "end").write_bytes(b"no newline\n")
    (root / "gone").unlink()
    (root / "mode").chmod(0o755)
    (root / "link").unlink()
    (root / "link").symlink_to("bin")
    (root / "empty").rmdir()
    (root / "deep/f").unlink()
    (root / "deep/f").mkdir()
    (root / "deep/f/in").write_text("2\n")
    (root / "new\nline").write_text("n\n")
    assert 0 == quick("checkpoint", "create").code
    return quick


def _both(quick: Quick) -> tuple[str, str]:
    new, old = (str(it["run"]) for it in quick("runs", "--json").json)
    return old, new


def test_files_are_compared_by_name_mode_and_line_and_others_by_size(two_trees: Quick) -> None:
    """Bytes on a terminal, or a line for each of a million, help nobody."""
    assert [
        "~ workspace/bin: 3.0 kB -> 2.0 kB",
        "- workspace/deep/f",
        "    @@ -1 +0,0 @@",
        "    -1",
        "+ workspace/deep/f/in",
        "    @@ -0,0 +1 @@",
        "    +2",
        "- workspace/empty: empty folder",
        "~ workspace/end: 10 B -> 11 B",
        "- workspace/gone",
        "    @@ -1 +0,0 @@",
        "    -x",
        "~ workspace/latin: 2 B -> 2 B",
        "~ workspace/link: link to text -> link to bin",
        "~ workspace/long: 1.2 MB -> 1.2 MB",
        "~ workspace/mode (100644 -> 100755)",
        "+ workspace/new\\nline",
        "    @@ -0,0 +1 @@",
        "    +n",
        "~ workspace/text",
        "    @@ -1,3 +1,3 @@",
        "     a",
        "    -b",
        "    +B",
        "     c",
    ] == two_trees("checkpoint", "diff", *_both(two_trees)).out.splitlines()


def test_stat_of_files_reads_none(two_trees: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, modes and sizes stand in the trees."""
    read = Store.read

    def refuse(self: Store, object_id: ObjectId) -> bytes:
        data = read(self, object_id)
        assert data[:1] == b"{", "the bytes of a file were read"
        return data

    monkeypatch.setattr(Store, "read", refuse)

    lines = two_trees("checkpoint", "diff", *_both(two_trees), "--stat").out.splitlines()

    assert [
        "~ workspace/bin: 3.0 kB -> 2.0 kB",
        "- workspace/deep/f: 2 B",
        "+ workspace/deep/f/in: 2 B",
        "- workspace/empty: empty folder",
    ] == lines[:4]
    assert "12 changes: 2 added, 3 removed, 7 changed" == lines[-1]


def test_json_of_files_has_text_or_what_else_a_side_is(two_trees: Quick) -> None:
    rows = {
        it["path"]: it for it in two_trees("checkpoint", "diff", *_both(two_trees), "--json").json
    }

    sides = {
        path.removeprefix("workspace/"): (it["change"], it["old"], it["new"])
        for path, it in rows.items()
    }
    assert ("changed", "a\nb\nc\n", "a\nB\nc\n") == sides["text"]
    assert ("changed", {"mode": "100644"}, {"mode": "100755"}) == sides["mode"]
    assert ("changed", {"link": "text"}, {"link": "bin"}) == sides["link"]
    assert ("removed", {"mode": "040000"}, None) == sides["empty"]
    assert ("added", None, "n\n") == sides["new\nline"]
    assert {"bytes": 3000, "blake3": blake3(b"\0" * 3000).hexdigest()} == sides["bin"][1]
    assert {"path", "change", "old", "new"} == set(rows["workspace/text"])


def test_files_that_only_one_checkpoint_holds_are_not_compared(two_trees: Quick) -> None:
    """A checkpoint without files does not say that there were none."""
    two_trees.program.flow("- {name: a, type: shell, run: 'true'}")
    two_trees("run", "flow.yaml", "--quiet")
    run = _run(two_trees)

    done = two_trees("checkpoint", "diff", run, _both_files(two_trees)[0], "--stat")

    assert not any("workspace" in line for line in done.out.splitlines())
    assert f"note: files are not compared: {run} holds none" == done.last_line


def _both_files(quick: Quick) -> list[str]:
    return [it["run"] for it in quick("runs", "--json").json if it["workflow"] == "files"]


def test_artifacts_are_compared_with_their_steps(quick: Quick) -> None:
    """They belong to what a step gave."""
    quick.program.flow(
        "inputs: {to: {type: integer}}\n"
        "steps:\n"
        "  - {name: make, type: shell, run: 'seq 1 ${{ inputs.to }} > out.txt', artifacts: "
        "['*.txt']}"
    )
    for to in ("1", "2"):
        assert 0 == quick("run", "flow.yaml", "-i", f"to={to}", "--quiet").code

    shown = quick("checkpoint", "diff", *_both(quick), "--step", "make").out

    assert "~ artifacts/make/out.txt\n    @@ -1 +1,2 @@\n     1\n    +2\n" == shown


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("text", b"a\nB\nc\n"),
        ("new\nline", b"n\n"),
        ("deep/f/in", b"2\n"),
        ("link", b"bin"),
        ("bin", b"\0" * 2000),
    ],
)
def test_cat_writes_a_file_of_the_workspace(two_trees: Quick, path: str, expected: bytes) -> None:
    """Also one whose name has a newline, and where a link leads."""
    place = f"{_both(two_trees)[1]}:workspace/{path}"

    assert expected == two_trees.program.bytes("checkpoint", "cat", place)


def test_an_empty_folder_is_said_to_be_one(two_trees: Quick) -> None:
    done = two_trees("checkpoint", "cat", f"{_both(two_trees)[0]}:workspace/empty")

    assert (10, True) == (done.code, "workspace/empty is an empty folder" in done.err)


def test_a_step_that_failed_shows_what_it_has(quick: Quick) -> None:
    """The reason, and what it wrote, whether or not anybody watched; one that failed before it
    began has its reason.
    """
    quick.program.flow("""
    steps:
      - name: test
        type: shell
        run: echo "41 is not 42"; echo warning >&2; exit 1
      - {name: later, type: shell, run: "true"}
    """)
    quick("run", "flow.yaml")

    whole = quick("checkpoint", "show", "@latest:steps.test", "--json").json

    assert "failed" == whole["status"]
    assert ("41 is not 42\n", "warning\n", 1) == tuple(
        whole["output"][name] for name in ("stdout", "stderr", "attempt")
    )
    assert whole["output"]["error"].startswith("exit code 1: warning\n")
    assert "41 is not 42\n" == quick("checkpoint", "show", "@latest:steps.test.output.stdout").out
    assert "failed\n" == quick("checkpoint", "show", "@latest:steps.test.status").out
    assert 10 == quick("checkpoint", "show", "@latest:steps.later.output").code


def test_a_step_that_could_not_begin_shows_its_reason(quick: Quick) -> None:
    """There is no attempt, and nothing was written."""
    quick.program.flow("""
    steps:
      - {name: a, type: shell, run: "${{ 1 + 'x' }}"}
    """)
    quick("run", "flow.yaml")

    shown = quick("checkpoint", "show", "@latest:steps.a.output.error")

    assert (0, True) == (shown.code, "flow.yaml:" in shown.out)
    inside = quick("checkpoint", "show", "@latest:steps.a.output.error.x")
    assert "there is no steps.a.output.error.x: steps.a.output.error is a text" in inside.err


def test_a_step_that_neither_checkpoint_has_is_refused(recorded: Quick) -> None:
    """A slip of the pen is not "no difference"."""
    refused = recorded("checkpoint", "diff", "@latest~1", "@latest", "--step", "nosuch")

    assert 10 == refused.code
    assert "there is no step 'nosuch' in either checkpoint; there are " in refused.err
