"""`runs`, `checkpoint list`, `checkpoint log`."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from kit.program import Program, Quick

LABELLED = """
    - {name: plan, type: shell, run: "echo one"}
    - {name: mark, type: checkpoint, checkpoint_id: planned}
    - {name: build, type: shell, run: "test -e fixed"}
    - {name: end, type: checkpoint, checkpoint_id: "all: built"}
    """
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")


def test_without_a_store_runs_lists_nothing_and_checkpoint_commands_exit_10(quick: Quick) -> None:
    assert (0, []) == (quick("runs", "--json").code, quick("runs", "--json").json)
    assert "no runs here yet; start one with `maverick run WORKFLOW`" == quick("runs").last_line
    for command in (
        ["list"],
        ["log"],
        ["show"],
        ["cat", "@latest:output"],
        ["diff", "a", "b"],
        ["gc"],
        ["fsck"],
    ):
        done = quick("checkpoint", *command)
        assert (10, "") == (done.code, done.out), command
        assert done.err.startswith("error: "), command


def test_where_all_runs_are_gone_the_lists_say_so(quick: Quick) -> None:
    quick.program.flow("- {name: works, type: shell, run: 'true'}")
    quick("run", "flow.yaml")
    quick("checkpoint", "drop", "@latest", "--yes")

    for command in (["runs"], ["checkpoint", "list"]):
        done = quick(*command)
        said = "there are no runs here; start one with `maverick run WORKFLOW`"
        assert (0, "", said) == (done.code, done.out, done.last_line)


def test_runs_are_listed_newest_first_with_exactly_these_keys(quick: Quick) -> None:
    quick.program.flow("- {name: fails, type: shell, run: 'exit 1'}", "fails")
    quick.program.flow("- {name: works, type: shell, run: 'true'}", "works")
    quick("run", "fails.yaml")
    quick("run", "works.yaml")

    rows = quick("runs", "--json").json

    assert [
        "run",
        "workflow",
        "status",
        "started",
        "updated",
        "step",
        "checkpoints",
        "bytes",
        "error",
        "failed_at",
        "seconds",
        "usd",
        "waiting",
        "notices",
        "project",
    ] == list(rows[0])
    expected = [("works", "done", "works", 3), ("fails", "failed", None, 2)]
    assert expected == [
        (it["workflow"], it["status"], it["step"], it["checkpoints"]) for it in rows
    ]
    assert all(TIME.fullmatch(it["started"]) and it["started"] <= it["updated"] for it in rows)
    assert all(it["bytes"] > 0 for it in rows)


def test_the_table_has_a_line_per_run(quick: Quick) -> None:
    quick.program.flow("- {name: works, type: shell, run: 'true'}")
    quick("run", "flow.yaml")

    header, line = quick("runs").out.splitlines()

    assert ["RUN", "STATUS", "STARTED", "TIME", "AT"] == header.split()
    assert re.fullmatch(r"flow-\S+  done    \d{4}-\d\d-\d\d \d\d:\d\d  +\d+ ms  -", line)


def test_checkpoint_list_has_the_labels_in_the_order_in_which_they_were_made(quick: Quick) -> None:
    quick.program.flow(LABELLED)
    quick("run", "flow.yaml")
    quick.program.file("fixed", "")
    quick("run", "flow.yaml", "--resume")

    (row,) = quick("checkpoint", "list", "--json").json

    assert ["planned", "all: built"] == row.pop("labels")
    assert quick("runs", "--json").json == [row]
    (_, line) = quick("checkpoint", "list", COLUMNS="100").out.splitlines()
    assert line.endswith("  planned, all: built")


def test_the_log_is_newest_first_and_leads_from_parent_to_parent(quick: Quick) -> None:
    quick.program.flow(LABELLED)
    quick("run", "flow.yaml")

    rows = quick("checkpoint", "log", "--json").json

    assert ["checkpoint", "kind", "label", "step", "created", "parent"] == list(rows[0])
    expected = [
        ("failure", None, "mark"),
        ("label", "planned", "mark"),
        ("auto", None, "plan"),
        ("auto", None, None),
    ]
    assert expected == [(it["kind"], it["label"], it["step"]) for it in rows]
    assert [it["checkpoint"] for it in rows[1:]] == [it["parent"] for it in rows[:-1]]
    assert rows[-1]["parent"] is None
    assert rows[1:] == quick("checkpoint", "log", "@latest~1", "--json").json
    header, *lines = quick("checkpoint", "log").out.splitlines()
    assert ["CHECKPOINT", "N", "MADE", "STATUS", "STEP"] == header.split()
    assert ["4", "3", "2", "1"] == [line.split()[1] for line in lines]
    places = [header.index(name) for name in ("STATUS", "STEP")]
    assert [
        ("failed", "mark  (failed at build)"),
        ("done", "mark  @planned"),
        ("done", "plan"),
        ("-", "-  (started)"),
    ] == [(line[places[0] : places[1]].strip(), line[places[1] :]) for line in lines]


LABELS = [
    "release@v1~1",
    "a:b",
    "~1",
    "@",
    "it's",
    "two  blanks",
    "é~",
    "-x",
    "a\\tb",
    "steps",
    "planned",
]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_named_as_it_is_shown(quick: Quick, label: str) -> None:
    """Also where it reads like a revision: what `log` and `list` print is what a person types."""
    quick.program.flow(f"- {{name: mark, type: checkpoint, checkpoint_id: {json.dumps(label)}}}")
    quick("run", "flow.yaml")
    run = quick("runs", "--json").json[0]["run"]

    listed = quick("checkpoint", "list").out.splitlines()[1]
    (logged,) = [line for line in quick("checkpoint", "log").out.splitlines() if "  @" in line]
    shown = logged.partition("  @")[2]

    assert listed.endswith(shown)
    assert [label] == shlex.split(shown)
    for revision in (f"{run}@{label}", f"flow@{label}"):
        assert label == quick("checkpoint", "show", revision, "--json").json["label"]
        assert {"saved": True, "label": label} == quick(
            "checkpoint", "show", f"{revision}:steps.mark.output"
        ).json


def test_a_label_that_nobody_could_name_is_refused(quick: Quick) -> None:
    """`RUN@latest` is the newest checkpoint of a run, and no argument of a command holds a NUL."""
    for text in (
        "{name: latest, type: checkpoint}",
        "{name: mark, type: checkpoint, checkpoint_id: latest}",
    ):
        quick.program.flow(f"- {text}")
        checked = quick("workflow", "check", "flow.yaml")
        assert (3, True) == (
            checked.code,
            "a label cannot be `latest`" in checked.err + checked.out,
        )

    for label in ("${{ 'late' + 'st' }}", "a\0b"):
        quick.program.flow(
            f"- {{name: mark, type: checkpoint, checkpoint_id: {json.dumps(label)}}}"
        )
        done = quick("run", "flow.yaml")
        assert 1 == done.code
        assert "so nobody could name the checkpoint; choose another label" in done.err


def test_a_damaged_ref_is_reported_and_the_whole_ones_are_listed(
    program: Program, quick: Quick
) -> None:
    """One bad file must not hide what is well; `fsck` is the command that judges."""
    program.flow("- {name: works, type: shell, run: 'true'}")
    quick("run", "flow.yaml")
    bad = quick("runs", "--json").json[0]["run"]
    quick("run", "flow.yaml")
    good = quick("runs", "--json").json[0]["run"]
    (program.root / ".maverick/checkpoints/refs" / bad).write_bytes(b"torn")

    for command in (["runs", "--json"], ["checkpoint", "list", "--json"]):
        done = quick(*command)
        assert (0, [good]) == (done.code, [it["run"] for it in done.json])
        assert done.err.startswith("warning: ")
        assert bad in done.err
    assert 20 == quick("checkpoint", "log", bad).code
    assert 20 == quick("checkpoint", "fsck").code


def test_a_store_without_its_format_file_exits_20(quick: Quick) -> None:
    quick.program.flow("- {name: works, type: shell, run: 'true'}")
    quick("run", "flow.yaml")
    (quick.program.root / ".maverick/checkpoints/format.json").unlink()

    assert [20, 20, 20] == [
        quick(*it).code for it in (["runs"], ["checkpoint", "list"], ["checkpoint", "fsck"])
    ]
