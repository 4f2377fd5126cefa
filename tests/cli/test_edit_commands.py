"""`checkpoint tag`, `drop`, `fork`, `undo`, `edit`; `run --from`, `run --skip`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from kit.patience import PATIENCE_SECONDS
from kit.program import Program, Quick

ACTIONS = """
def plan(limit):
    return {"tasks": [{"title": "one", "limit": limit}], "text": "a\\nb\\n"}

def raw():
    return b"\\x00\\xff"
"""
FLOW = """
    inputs:
      limit: {type: integer, default: 1}
      tags: {type: array, default: []}
    steps:
      - {name: plan, type: python, action: "amended:plan", args: ["${{ inputs.limit }}"]}
      - {name: raw, type: python, action: "amended:raw"}
      - name: each
        type: loop
        for_each: steps.plan.output.tasks
        steps:
          - {name: work, type: shell, run: "echo $T", env: {T: "${{ item.title }}"}}
      - {name: never, type: shell, run: "true", when: "false"}
      - {name: login, type: shell, run: "true", always_run: true}
      - {name: last, type: shell, run: "test -e ready"}
    outputs: ${{ steps.each.output[0].value }}
    """


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A project with one run of `FLOW`, which failed at `last`, and which nobody may change."""
    program = Program(tmp_path_factory.mktemp("failed") / "project")
    program.file("amended.py", ACTIONS)
    program.flow(FLOW)
    assert 1 == program.run("run", "flow.yaml", "--quiet").code
    return program


@pytest.fixture
def failed(original: Program, quick: Quick) -> Quick:
    """A copy of it, in which `last` would succeed now."""
    quick.program.copy_of(original)
    quick.program.file("ready", "")
    return quick


def _runs(quick: Quick) -> list[dict[str, Any]]:
    return [dict(row) for row in quick("runs", "--json").json]


def _resumed(quick: Quick, *options: str) -> dict[str, Any]:
    done = quick("run", "flow.yaml", "--resume", "--json", "--quiet", *options)
    assert 0 == done.code, done.err
    return dict(done.json)


def _ran(steps: int, recalled: int, skipped: int = 1) -> dict[str, int]:
    return {"ran": steps, "recalled": recalled, "skipped": skipped, "failed": 0, "reused": 0}


# --- edit -----------------------------------------------------------------------------------------


def test_an_edited_output_is_recalled_and_what_follows_runs_again(failed: Quick) -> None:
    """Without a question: it was asked for."""
    done = failed(
        "checkpoint", "edit", "@latest", "steps.plan.output", "--set", "tasks[0].title=two"
    )

    run = _runs(failed)[0]["run"]
    assert (0, f"{run}\nmaverick run --resume={run}\n") == (done.code, done.out)
    assert "edited steps.plan.output; what follows runs again when the run is resumed\n" == done.err
    assert "paused" == _runs(failed)[0]["status"]
    resumed = _resumed(failed)
    assert ("two", _ran(4, 1)) == (resumed["output"], resumed["steps"])
    assert {"tasks": [{"title": "two", "limit": 1}], "text": "a\nb\n"} == failed(
        "checkpoint", "show", "@latest:steps.plan.output", "--json"
    ).json


@pytest.mark.parametrize(
    "words",
    [
        ["steps.plan.output", "--set", "steps.plan.output.tasks[0].title=two"],
        ["--set", "steps.plan.output.tasks[0].title=two", "--set", "steps.plan.output.text=x"],
        ["steps.plan.output.tasks[0]", "--set", "steps.plan.output.tasks[0].title=two"],
    ],
)
def test_the_path_of_a_setting_may_be_the_whole_one(failed: Quick, words: list[str]) -> None:
    done = failed("checkpoint", "edit", "@latest", *words)

    assert 0 == done.code, done.err
    assert (
        "two"
        == failed("checkpoint", "show", "@latest:steps.plan.output.tasks[0].title", "--json").json
    )


def test_editing_is_visible_in_the_log_and_the_diff(failed: Quick) -> None:
    failed("checkpoint", "edit", "@latest", "steps.plan.output.tasks[0].title", "--set", "=two")

    assert (
        "  (edited steps.plan.output.tasks[0].title)\n"
        in failed("checkpoint", "log", COLUMNS="200").out
    )
    changes = failed("checkpoint", "diff", "@latest~1", "@latest", "--json").json
    assert {
        "path": "steps.plan.output.tasks[0].title",
        "change": "changed",
        "old": "one",
        "new": "two",
    } in changes


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["tasks[0].limit=7"], {"title": "one", "limit": 7}),
        (["tasks[-1].new=[1, null]"], {"title": "one", "limit": 1, "new": [1, None]}),
        (['tasks[0].title="7"'], {"title": "7", "limit": 1}),
        (["tasks[0].title=7", "tasks[0].limit=x=y"], {"title": 7, "limit": "x=y"}),
        (['tasks[0]["a=b"]=1'], {"title": "one", "limit": 1, "a=b": 1}),
        (["tasks[1]={}", "tasks[0]=null"], None),
    ],
)
def test_set_takes_json_and_else_text(failed: Quick, settings: list[str], expected: object) -> None:
    options = [word for setting in settings for word in ("--set", setting)]

    assert 0 == failed("checkpoint", "edit", "@latest", "steps.plan.output", *options).code

    assert (
        expected
        == failed("checkpoint", "show", "@latest:steps.plan.output.tasks[0]", "--json").json
    )


def test_an_editor_shows_json_and_text_as_it_is(
    failed: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed.program.environment["EDITOR"] = "sed -i s/one/three/"
    assert 0 == failed("checkpoint", "edit", "@latest", "steps.plan.output").code
    failed.program.environment["VISUAL"] = "sed -i s/a/c/"
    assert 0 == failed("checkpoint", "edit", "@latest", "steps.plan.output.text").code

    assert {"tasks": [{"title": "three", "limit": 1}], "text": "c\nb\n"} == failed(
        "checkpoint", "show", "@latest:steps.plan.output", "--json"
    ).json


@pytest.mark.parametrize(
    ("editor", "message"),
    [
        ("", "no editor is set; set $EDITOR, or give the new value by --set or --file"),
        ("true", "nothing was changed in the editor; no checkpoint was written"),
        ("false", "the editor 'false' ended with exit code 1; nothing was changed"),
        ("/no/such", "the editor '/no/such' cannot be started: No such file or directory"),
        ("sed -i s/[{]/x/", "the edited text is not JSON"),
        ("vi '", 'the editor "vi \'" cannot be started: No closing quotation'),
        (r"sed -i s/./\\xff/", "the edited text is not UTF-8"),
    ],
)
def test_an_editor_that_does_not_edit_changes_nothing(
    failed: Quick, editor: str, message: str
) -> None:
    failed.program.environment["EDITOR"] = editor
    before = _runs(failed)

    done = failed("checkpoint", "edit", "@latest", "steps.plan.output")

    assert (2, True) == (done.code, done.err.startswith(f"error: {message}"))
    assert before == _runs(failed)


@pytest.mark.parametrize("place", ["plan.output", "plan.output.text"])
def test_an_editor_keeps_what_is_no_character(failed: Quick, place: str) -> None:
    """A text may hold bytes that a program wrote, whatever they meant."""
    text = ("checkpoint", "edit", "@latest", "steps.plan.output.text")
    assert 0 == failed(*text, "--set", r'="a\udcffb"').code
    failed.program.environment["EDITOR"] = "sed -i s/b/c/"

    assert 0 == failed("checkpoint", "edit", "@latest", f"steps.{place}").code
    shown = failed("checkpoint", "show", "@latest:steps.plan.output.text", "--json")
    assert "a\udcffc" == shown.json


def test_a_file_gives_json_yaml_text_or_bytes(failed: Quick) -> None:
    """As it is where a text or bytes stand, else by its ending."""
    failed.program.file("new.json", '{"tasks": [], "text": "x"}')
    failed.program.file("new.yaml", "- {title: yaml}\n")
    for place, file, text in (
        ("plan.output", "new.json", ""),
        ("plan.output.tasks", "new.yaml", ""),
        ("plan.output.text", "-", "from\nhere\n"),
        ("raw.output", "-", "bytes"),
    ):
        done = failed("checkpoint", "edit", "@latest", f"steps.{place}", "--file", file, stdin=text)
        assert 0 == done.code, done.err

    assert {"tasks": [{"title": "yaml"}], "text": "from\nhere\n"} == failed(
        "checkpoint", "show", "@latest:steps.plan.output", "--json"
    ).json
    assert {"$bytes": "Ynl0ZXM="} == failed(
        "checkpoint", "show", "@latest:steps.raw.output", "--json"
    ).json


def test_an_older_revision_is_forked_and_edited_in_one_go(failed: Quick) -> None:
    before = _runs(failed)[0]

    done = failed(
        "checkpoint", "edit", "@latest~1", "steps.plan.output.text", "--set", "=x", "--json"
    )

    assert ["run", "checkpoint", "resume"] == list(done.json)
    assert [done.json["run"], before["run"]] == [row["run"] for row in _runs(failed)]
    assert before == _runs(failed)[1]
    assert 0 == failed("checkpoint", "undo", "--yes").code
    assert [before] == _runs(failed)


def test_edited_inputs_are_taken_on_resuming_and_what_they_change_runs_again(failed: Quick) -> None:
    """As with --change-inputs."""
    assert 0 == failed("checkpoint", "edit", "@latest", "inputs.limit", "--set", "=5").code

    assert _ran(5, 0) == _resumed(failed)["steps"]
    assert (
        5 == failed("checkpoint", "show", "@latest:steps.plan.output.tasks[0].limit", "--json").json
    )
    assert 5 == failed("checkpoint", "show", "@latest:inputs.limit", "--json").json


def test_a_done_run_is_edited_in_place_and_goes_on(failed: Quick) -> None:
    run = _resumed(failed)["run"]
    failed("checkpoint", "edit", run, "steps.plan.output.tasks[0].title", "--set", "=again")

    done = failed("run", f"--resume={run}", "--json", "--quiet").json

    assert (run, "again", "done") == (done["run"], done["output"], done["status"])


def test_an_output_inside_a_loop_is_edited(failed: Quick) -> None:
    failed("checkpoint", "edit", "@latest", "steps.each[0].work.output.value", "--set", "=mine")

    assert ("mine", _ran(2, 3)) == ((it := _resumed(failed))["output"], it["steps"])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["steps.pln.output", "--set", "=1"], 10, "there is no steps.pln.output; did you mean"),
        (["steps.last.output", "--set", "=1"], 10, "step last has not finished; `--resume --skip"),
        (["steps.plan.output.tasks[4].x", "--set", "=1"], 10, "there is no 4 in a list of 1 items"),
        (
            ["steps.plan.output.text.x", "--set", "=1"],
            10,
            "there is no x in what is neither a mapping nor a list",
        ),
        (
            ["steps.plan.output.missing.x", "--set", "=1"],
            10,
            "there is no missing; there are tasks, text",
        ),
        (
            ["steps.each", "--set", "=1"],
            2,
            "step each is made of steps, edit one of them; its output cannot be edited",
        ),
        (
            ["steps.never.output", "--set", "=1"],
            2,
            "step never was skipped; its output cannot be edited (--skip",
        ),
        (
            ["steps.login.output.value", "--set", "=1"],
            2,
            "step login is marked `always_run`: it runs on every",
        ),
        (
            ["steps.plan.status", "--set", "=1"],
            2,
            "steps.plan.status cannot be edited; inputs and the outputs of",
        ),
        (
            ["definition", "--set", "=1"],
            2,
            "definition cannot be edited; inputs and the outputs of steps can",
        ),
        (
            ["steps.plan.output", "--set", "x"],
            2,
            "--set takes PATH=VALUE, or =VALUE for the whole, not 'x'",
        ),
        (
            ["steps.plan.output", "--set", "=1", "--file", "x"],
            2,
            "--set and --file exclude each other",
        ),
        (
            ["steps.plan.output", "--file", "none"],
            2,
            "cannot read the new value from none: No such file",
        ),
        (["steps.plan.output", "--file", "amended.py"], 2, "amended.py holds no JSON"),
        (["steps.raw"], 2, "it holds bytes, which an editor cannot show"),
        (
            ["inputs.limit", "--set", "=x"],
            2,
            "The inputs do not fit the workflow `flow`:\n  limit (integer)",
        ),
        (
            ["inputs.limt", "--set", "=1"],
            2,
            "The inputs do not fit the workflow `flow`:\n  limt is no input; did you",
        ),
        (
            ["", "--set", "=1"],
            2,
            "edit what? name it, such as `maverick checkpoint edit @latest steps.NAME.output`",
        ),
    ],
)
def test_what_cannot_be_edited_is_refused(
    failed: Quick, words: list[str], code: int, message: str
) -> None:
    """And nothing is written."""
    failed.program.environment["EDITOR"] = "true"
    before = _runs(failed)

    done = failed("checkpoint", "edit", "@latest", *words)

    assert (code, True) == (done.code, done.err.startswith(f"error: {message}")), done.err
    assert before == _runs(failed)


def test_a_secret_is_masked_in_what_is_edited(failed: Quick) -> None:
    failed.program.file("maverick.yaml", "secrets: [TOKEN]\n")
    failed.program.environment["TOKEN"] = "hunter2-hunter2"

    failed(
        "checkpoint", "edit", "@latest", "steps.plan.output.text", "--set", "=is hunter2-hunter2"
    )

    assert "is ***\n" == failed("checkpoint", "show", "@latest:steps.plan.output.text").out


# --- tag, drop, fork, undo ------------------------------------------------------------------------


def test_a_tag_names_a_checkpoint_and_goes(failed: Quick) -> None:
    run = _runs(failed)[0]["run"]

    done = failed("checkpoint", "tag", "@latest~1", "good", "--json")

    assert {"run": run, "tag": "good"}.items() <= done.json.items()
    assert (
        done.json["checkpoint"]
        == failed("checkpoint", "show", f"{run}@good", "--json").json["checkpoint"]
    )
    assert 0 == failed("checkpoint", "tag", run, "good", "--delete").code
    assert 10 == failed("checkpoint", "show", f"{run}@good").code
    assert 0 == failed("checkpoint", "undo", "--yes").code
    assert 0 == failed("checkpoint", "show", f"{run}@good").code


def test_a_fork_prints_the_new_run_and_how_to_go_on(failed: Quick) -> None:
    done = failed("checkpoint", "fork", "@latest~2", "--as", "second")

    assert (0, "second\nmaverick run --resume=second\n") == (done.code, done.out)
    assert "done" == failed("run", "--resume=second", "--json", "--quiet").json["status"]
    assert ["second", "failed"] == [_runs(failed)[0]["run"], _runs(failed)[1]["status"]]


def test_dropping_needs_consent_and_is_taken_back(failed: Quick) -> None:
    run = _runs(failed)[0]["run"]
    refused = failed("checkpoint", "drop", run)

    done = failed("checkpoint", "drop", run, "--yes", "--json")

    question = f"error: Drop 1 run ({run})? Nobody can be asked here: give --yes\n"
    assert (2, question) == (refused.code, refused.err)
    assert {"dropped": [run]} == done.json
    assert [] == _runs(failed)
    undone = failed("checkpoint", "undo", "--yes", "--json")
    assert {"run": run, "action": "drop", "undone": "dropped"} == undone.json
    assert [run] == [row["run"] for row in _runs(failed)]
    assert 0 == failed("checkpoint", "fsck").code


def test_of_several_runs_none_is_dropped_when_one_does_not_exist(failed: Quick) -> None:
    run = _runs(failed)[0]["run"]

    done = failed("checkpoint", "drop", run, f"{run}x", "--yes")

    assert (10, f"error: there is no run {run}x; did you mean {run}?\n") == (done.code, done.err)
    assert 1 == len(_runs(failed))


def test_a_run_that_is_executed_is_neither_dropped_nor_edited(failed: Quick) -> None:
    from maverick.checkpoints import Store  # noqa: PLC0415

    run = _runs(failed)[0]["run"]
    with Store.open(failed.program.root / ".maverick" / "checkpoints").own(run):
        dropped = failed("checkpoint", "drop", run, "--yes")
        edited = failed("checkpoint", "edit", run, "inputs.limit", "--set", "=2")

    assert (11, 11) == (dropped.code, edited.code)
    assert (
        f"error: run {run} is being executed; stop it first. Nothing was dropped\n" == dropped.err
    )
    assert edited.err.startswith(f"error: run {run} is being executed by process {os.getpid()}")


def test_nothing_to_undo_exits_10(failed: Quick) -> None:
    done = failed("checkpoint", "undo", "--yes")

    assert (10, "error: no change by hand to any run is left to be taken back\n") == (
        done.code,
        done.err,
    )


def test_an_edit_that_was_resumed_is_not_taken_back(failed: Quick) -> None:
    """Never a step's save."""
    failed("checkpoint", "edit", "@latest", "inputs.limit", "--set", "=5")
    _resumed(failed)

    done = failed("checkpoint", "undo", "--yes")

    assert (11, True) == (done.code, "has gone on since (edited inputs.limit)" in done.err)


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_on_a_terminal_it_asks(failed: Quick, answer: str, left: int) -> None:
    run = _runs(failed)[0]["run"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "maverick", "checkpoint", "drop", run],
        cwd=failed.program.root,
        env=failed.program.environment,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.write(ours, answer.encode())

    assert 0 == process.wait(timeout=PATIENCE_SECONDS)
    os.close(theirs)
    os.close(ours)
    assert left == len(_runs(failed))


def _dropped(quick: Quick) -> tuple[str, str]:
    """A run that was dropped, and the id of its newest checkpoint."""
    run = _runs(quick)[0]["run"]
    checkpoint = quick("checkpoint", "show", run, "--json").json["checkpoint"]
    quick("checkpoint", "drop", run, "--yes")
    return run, checkpoint


def test_a_checkpoint_of_a_dropped_run_is_forked(failed: Quick) -> None:
    """As long as gc has left it; by its id."""
    run, checkpoint = _dropped(failed)

    planned = failed("run", "flow.yaml", f"--resume={checkpoint}", "--plan")
    edited = failed("checkpoint", "edit", checkpoint, "inputs.limit", "--set", "=2")
    forked = failed("checkpoint", "fork", checkpoint, "--as", "again")
    done = failed("run", "flow.yaml", f"--resume={checkpoint}", "--json", "--quiet")

    assert [0, 0, 0, 0] == [planned.code, edited.code, forked.code, done.code]
    assert "done" == done.json["status"]
    assert run not in {row["run"] for row in _runs(failed)}
    assert 3 == len(_runs(failed))


@pytest.mark.parametrize(
    "words",
    [
        ["run", "flow.yaml", "--resume={}"],
        ["run", "flow.yaml", "--resume={}", "--plan"],
        ["checkpoint", "fork", "{}"],
        ["checkpoint", "edit", "{}", "inputs.limit", "--set", "=2"],
        ["checkpoint", "tag", "{}", "x"],
        ["checkpoint", "export", "{}", "file"],
        ["checkpoint", "drop", "{}", "--yes"],
    ],
    ids=" ".join,
)
def test_a_dropped_run_and_one_that_gc_has_collected_are_not_there(
    failed: Quick, words: list[str]
) -> None:
    """Exit 10, by name and by id; never a traceback."""
    run, checkpoint = _dropped(failed)
    by_name = failed(*[word.format(run) for word in words])
    failed("checkpoint", "gc")
    by_id = failed(*[word.format(checkpoint) for word in words])

    assert (10, True) == (by_name.code, by_name.err.startswith(f"error: there is no run {run}")), (
        by_name.err
    )
    assert (10, True) == (
        by_id.code,
        by_id.err.startswith(f"error: there is no run {checkpoint}"),
    ), by_id.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "flow.yaml", "--resume={}"], 20),
        (["run", "flow.yaml", "--resume={}", "--plan"], 20),
        (["checkpoint", "fork", "{}"], 20),
        (["checkpoint", "edit", "{}", "inputs.limit", "--set", "=2"], 20),
        (["checkpoint", "tag", "{}", "x"], 20),
        (["checkpoint", "export", "{}", "file"], 20),
        (["checkpoint", "drop", "{}", "--yes"], 20),
        (["checkpoint", "undo", "--yes"], 20),
    ],
    ids=str,
)
def test_a_torn_ref_is_said_and_how_to_rebuild_it(
    failed: Quick, words: list[str], code: int
) -> None:
    failed("checkpoint", "tag", "@latest", "x0")
    ref = next((failed.program.root / ".maverick" / "checkpoints" / "refs").iterdir())
    ref.write_bytes(ref.read_bytes()[:-20])

    done = failed(*[word.format(ref.name) for word in words])

    assert code == done.code
    assert done.err.startswith(f"error: the ref of run {ref.name} is torn or altered")
    assert "run `maverick checkpoint fsck --repair` to rebuild it" in done.err


# --- run --from, run --skip -----------------------------------------------------------------------


def test_from_and_skip_by_their_options(failed: Quick) -> None:
    resumed = _resumed(failed, "--from", "raw", "--skip", 'login={"value": [1]}', "--skip", "last")

    assert _ran(2, 1, 3) == resumed["steps"]
    assert {"status": "skipped", "output": {"value": [1]}} == failed(
        "checkpoint", "show", "@latest:steps.login", "--json"
    ).json
    assert (
        "skipped login by hand; skipped last by hand; to run again from raw"
        in failed("checkpoint", "log", COLUMNS="200").out
    )


def test_a_shipped_workflow_has_the_options_too(quick: Quick) -> None:
    assert " --from STEP " in quick("review", "--help").out
    assert " --skip STEP[=JSON] " in quick("review", "--help").out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--from", "plan"], 2, "--from says how to resume; it needs --resume"),
        (["--skip", "plan"], 2, "--skip says how to resume; it needs --resume"),
        (
            ["--resume", "--from", "plan", "--as-recorded"],
            2,
            "--from and --as-recorded exclude each other",
        ),
        (["--resume", "--skip", "plan=x"], 2, "--skip plan=x: what follows the `=` has to be JSON"),
        (["--resume", "--from", "plam"], 10, "there is no step plam in run flow-"),
        (["--resume", "--skip", "plam"], 10, "there is no step plam in run flow-"),
    ],
)
def test_what_does_not_go_together_is_refused(
    failed: Quick, words: list[str], code: int, message: str
) -> None:
    done = failed("run", "flow.yaml", *words, "--quiet")

    assert (code, True) == (done.code, done.err.startswith(f"error: {message}")), done.err


def test_a_step_whose_key_holds_an_equals_sign_is_skipped(quick: Quick) -> None:
    quick.program.flow("""
    - name: each
      type: loop
      for_each: ["a=b"]
      key: item
      steps:
        - {name: work, type: shell, run: exit 1}
    """)
    quick("run", "flow.yaml", "--quiet")

    done = quick(
        "run", "flow.yaml", "--resume", "--quiet", "--skip", 'each["a=b"].work=' + json.dumps("x=y")
    )

    assert (0, ["x=y"]) == (done.code, done.json)


def test_a_key_that_was_not_there_is_named_when_it_is_added(failed: Quick) -> None:
    """It may be meant, or a slip of the pen."""
    settings = ["--set", "tasks[0].titel=two", "--set", "text=x"]
    done = failed("checkpoint", "edit", "@latest", "steps.plan.output", *settings)

    assert 0 == done.code
    assert (
        "note: there was no tasks[0].titel; it was added\n"
        == done.err.splitlines(keepends=True)[-1]
    )
