"""`--resume=auto` and `--run-id`: one command for the first attempt and for all later ones."""

from __future__ import annotations

import json
import string
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.program import Program, Quick
from maverick.checkpoints.byhand import check_run_name
from maverick.errors import UsageError

FLOW = """
    inputs: {n: {type: integer, default: 1}, note: {type: string, default: ""}}
    steps:
      - {name: first, type: shell, run: "echo first >> log"}
      - {name: second, type: shell, run: "echo second >> log; test -e ready"}
    outputs: ${{ inputs.n }}
    """


@pytest.fixture
def project(quick: Quick) -> Quick:
    """A project with the workflow, whose second step fails until there is a file `ready`."""
    quick.program.flow(FLOW)
    return quick


def _ready(quick: Quick) -> None:
    quick.program.file("ready", "")


def _log(quick: Quick) -> list[str]:
    return (quick.program.root / "log").read_text().split()


# --- start, or go on ------------------------------------------------------------------------------


def test_it_starts_where_there_is_no_run_and_no_store(project: Quick) -> None:
    """Never exit 10: the first attempt is given by the same command as the second."""
    _ready(project)

    done = project("run", "flow.yaml", "--resume=auto", "--json")

    assert (0, 1, None) == (done.code, done.json["output"], done.json["resumed_from"])
    assert "starting a run: there is none here yet" in done.err


def test_it_goes_on_with_the_newest_unfinished_run_and_says_so(project: Quick) -> None:
    failed = [project("run", "flow.yaml", "--json").json["run"] for _ in range(2)]
    _ready(project)
    project("run", "flow.yaml")

    done = project("run", "flow.yaml", "--resume=auto", "--json")

    assert (0, failed[1]) == (done.code, done.json["run"])
    assert {"ran": 1, "recalled": 1} == {
        key: count for key, count in done.json["steps"].items() if count
    }
    why = "the newest unfinished run of flow"
    assert f"going on with {failed[1]}, which failed: {why}" in done.err


def test_a_done_run_is_no_answer_without_its_name(project: Quick) -> None:
    """A job that is started again is a new job."""
    _ready(project)
    first = project("run", "flow.yaml", "--resume=auto", "--json").json

    second = project("run", "flow.yaml", "--resume=auto", "--json")

    assert first["run"] != second.json["run"]
    assert "starting a run of flow: all of them are done" in second.err
    assert ["first", "second"] * 2 == _log(project)


def test_inputs_select_among_the_unfinished_runs(project: Quick) -> None:
    """Only those that are given are compared, as in their declared types."""
    one = project("run", "flow.yaml", "-i", "n=1", "-i", "note=a", "--json").json["run"]
    two = project("run", "flow.yaml", "-i", "n=2", "--json").json["run"]
    _ready(project)

    assert one == project("run", "flow.yaml", "--resume=auto", "-i", "n=1", "--json").json["run"]
    assert two == project("run", "flow.yaml", "--resume=auto", "--json").json["run"]


def test_other_inputs_start_a_run_and_are_no_error(project: Quick) -> None:
    """Never exit 12 because of inputs; the message names what differs."""
    old = project("run", "flow.yaml", "-i", "n=1", "--json").json["run"]

    new = project("run", "flow.yaml", "--resume=auto", "-i", "n=2", "--json")

    assert (1, None) == (new.code, new.json["resumed_from"])
    assert old != new.json["run"]
    assert f"the unfinished one has other inputs ({old}: n was 1, now 2)" in new.err


def test_change_inputs_goes_on_all_the_same(project: Quick) -> None:
    old = project("run", "flow.yaml", "-i", "n=1", "--json").json["run"]
    _ready(project)

    done = project("run", "flow.yaml", "--resume=auto", "-i", "n=2", "--change-inputs", "--json")

    assert (old, 2) == (done.json["run"], done.json["output"])


def test_a_run_whose_inputs_the_workflow_takes_no_more_does_not_count(project: Quick) -> None:
    project("run", "flow.yaml", "-i", "note=later")
    project.program.flow(
        FLOW.replace("note: {type: string", "note: {type: integer").replace('""}', "0}")
    )
    _ready(project)

    done = project("run", "flow.yaml", "--resume=auto", "-i", "n=1", "--json")

    assert (0, None) == (done.code, done.json["resumed_from"])


def test_inputs_that_no_run_can_have_are_refused_as_at_a_start(project: Quick) -> None:
    project("run", "flow.yaml")

    assert 2 == project("run", "flow.yaml", "--resume=auto", "-i", "n=many").code
    assert 2 == project("run", "flow.yaml", "--resume=auto", "-i", "m=1").code


def test_runs_of_other_workflows_do_not_count(project: Quick) -> None:
    project("run", "flow.yaml")
    project.program.flow(FLOW, name="other")

    done = project("run", "other.yaml", "--resume=auto", "--json")

    assert (None, "other") == (done.json["resumed_from"], done.json["workflow"])
    assert "starting a run of other.yaml: there is none yet" in done.err


def test_a_changed_step_is_still_refused(project: Quick) -> None:
    """That is no matter of inputs: exit 12, unless `--rerun` says what to do."""
    project("run", "flow.yaml")
    project.program.flow(FLOW.replace("echo first", "echo changed"))
    _ready(project)

    assert 12 == project("run", "flow.yaml", "--resume=auto").code
    assert 0 == project("run", "flow.yaml", "--resume=auto", "--rerun").code


def test_a_run_whose_ref_is_gone_is_not_started_again(project: Quick) -> None:
    """It may be the one that is meant: never a silent restart."""
    project("run", "flow.yaml")
    for ref in (project.program.root / ".maverick/checkpoints/refs").iterdir():
        ref.unlink()

    done = project("run", "flow.yaml", "--resume=auto")

    assert 20 == done.code
    assert "maverick checkpoint fsck --repair" in done.err


def test_a_plan_says_which_of_the_two_it_is_of(project: Quick) -> None:
    first = project("run", "flow.yaml", "--resume=auto", "--plan", "--json")
    run = project("run", "flow.yaml", "--json").json["run"]
    second = project("run", "flow.yaml", "--resume=auto", "--plan", "--json")
    other = project("run", "flow.yaml", "--resume=auto", "-i", "n=2", "--plan", "--json")

    assert [None, run, None] == [it.json["run"] or None for it in (first, second, other)]
    assert "starting a run" in first.err
    assert f"going on with {run}" in second.err


@pytest.mark.parametrize("option", ["--from", "--skip"])
def test_what_needs_a_run_is_refused(project: Quick, option: str) -> None:
    """Where there may be none, it cannot be said what happens: the run has to be named."""
    done = project("run", "flow.yaml", "--resume=auto", option, "first")

    assert 2 == done.code
    assert "--resume=RUN" in done.err


def test_a_workflow_has_to_be_named(project: Quick) -> None:
    assert 2 == project("run", "--resume=auto").code


def test_events_of_a_start_overwrite_and_those_of_a_resumption_follow(project: Quick) -> None:
    events = project.program.file("events", '{"old": true}\n')
    project("run", "flow.yaml", "--resume=auto", "--events", "events")
    started = events.read_text().splitlines()
    _ready(project)
    project("run", "flow.yaml", "--resume=auto", "--events", "events")
    lines = events.read_text().splitlines()

    assert started == lines[: len(started)]
    kinds = [json.loads(line).get("event") for line in lines]
    assert (1, 1) == (kinds.count("run_started"), kinds.count("run_resumed"))
    assert {"auto": "start"} == json.loads(lines[0])["data"]


def test_the_workflows_that_ship_take_it(quick: Quick) -> None:
    for name in ("fly", "refuel", "review"):
        assert {"--resume", "--run-id"} <= {
            word for word in quick(name, "--help").out.split() if word.startswith("--")
        }


# --- runs with a given name -----------------------------------------------------------------------


def test_a_run_has_the_name_that_it_is_given(project: Quick) -> None:
    _ready(project)

    done = project("run", "flow.yaml", "--run-id", "deadbeef", "--json")

    assert (0, "deadbeef") == (done.code, done.json["run"])
    shown = project("checkpoint", "show", "deadbeef:output")
    assert (0, "1\n") == (shown.code, shown.out)


def test_a_name_that_is_taken_is_refused(project: Quick) -> None:
    """Also where that run is done; nothing runs."""
    project("run", "flow.yaml", "--run-id", "one")
    before = _log(project)

    done = project("run", "flow.yaml", "--run-id", "one")
    planned = project("run", "flow.yaml", "--run-id", "one", "--plan")

    assert (2, 2, before) == (done.code, planned.code, _log(project))
    assert "--resume=one" in done.err


def test_with_auto_the_run_of_that_name_alone_is_looked_at(project: Quick) -> None:
    project("run", "flow.yaml", "--run-id", "one")
    new = project("run", "flow.yaml", "--resume=auto", "--run-id", "two", "--json")
    _ready(project)
    done = project("run", "flow.yaml", "--resume=auto", "--run-id", "one", "--json")

    assert ("two", None) == (new.json["run"], new.json["resumed_from"])
    assert ("one", 0) == (done.json["run"], done.code)
    assert "going on with one, which failed: the run of that name" in done.err


def test_a_done_run_answers_with_its_output(project: Quick) -> None:
    _ready(project)
    project("run", "flow.yaml", "--resume=auto", "--run-id", "one", "-i", "n=7")
    before = _log(project)

    again = project("run", "flow.yaml", "--resume=auto", "--run-id", "one", "--json")
    same = project("run", "flow.yaml", "--resume=auto", "--run-id", "one", "-i", "n=7", "--json")

    assert [(0, 7), (0, 7)] == [(it.code, it.json["output"]) for it in (again, same)]
    assert before == _log(project)


@pytest.mark.parametrize("is_done", [True, False])
def test_other_inputs_or_another_workflow_are_refused(project: Quick, is_done: bool) -> None:
    """A name means one run: exit 12, and nothing runs."""
    if is_done:
        _ready(project)
    project("run", "flow.yaml", "--run-id", "one")
    project.program.flow(FLOW, name="other")
    before = _log(project)

    inputs = project("run", "flow.yaml", "--resume=auto", "--run-id", "one", "-i", "n=2")
    workflow = project("run", "other.yaml", "--resume=auto", "--run-id", "one")

    assert (12, 12, before) == (inputs.code, workflow.code, _log(project))
    assert "n was 1, now 2" in inputs.err
    assert "'flow', not of 'other'" in workflow.err


def test_a_name_of_which_only_checkpoints_are_left_is_not_begun_again(project: Quick) -> None:
    project("run", "flow.yaml", "--run-id", "one")
    (project.program.root / ".maverick/checkpoints/refs/one").unlink()

    plain = project("run", "flow.yaml", "--run-id", "one")
    auto = project("run", "flow.yaml", "--resume=auto", "--run-id", "one")

    assert (20, 20) == (plain.code, auto.code)


def test_the_name_of_a_dropped_run_is_free_and_nothing_of_it_comes_back(project: Quick) -> None:
    """Its steps run, under other idempotency keys: what the dropped run did is not taken for
    done.
    """
    project.program.flow(
        "steps: [{name: a, type: shell, run: 'echo $MAVERICK_IDEMPOTENCY_KEY >> keys'}]"
    )
    project("run", "flow.yaml", "--run-id", "one")
    assert 0 == project("checkpoint", "drop", "one", "--yes").code

    done = project("run", "flow.yaml", "--resume=auto", "--run-id", "one", "--json")

    assert (0, 1) == (done.code, done.json["steps"]["ran"])
    assert 2 == len(set((project.program.root / "keys").read_text().split()))
    assert 0 == project("checkpoint", "fsck").code


def test_the_name_of_a_dropped_fork_is_free_too(project: Quick) -> None:
    """What the dropped fork did, as a commit with its key, is not taken for done by the next."""
    project.program.flow("""
        steps:
          - {name: a, type: shell, run: "true"}
          - {name: b, type: shell, run: 'echo $MAVERICK_IDEMPOTENCY_KEY >> keys; test -e ready'}
        """)
    run = project("run", "flow.yaml", "--json").json["run"]
    for _ in range(2):
        assert 0 == project("checkpoint", "fork", run, "--as", "try").code
        assert 1 == project("run", "--resume=try").code
        assert 1 == project("run", "--resume=try").code
        assert 0 == project("checkpoint", "drop", "try", "--yes").code

    _, first, same, second, again = (project.program.root / "keys").read_text().split()
    assert (first, second) == (same, again)
    assert first != second


def test_the_key_of_a_step_is_the_same_in_each_attempt_at_a_named_run(project: Quick) -> None:
    project.program.flow(
        "steps: [{name: a, type: shell, run: 'echo $MAVERICK_IDEMPOTENCY_KEY >> keys; test -e ready'}]"
    )
    project("run", "flow.yaml", "--run-id", "one")
    _ready(project)
    project("run", "flow.yaml", "--resume=auto", "--run-id", "one")

    first, second = (project.program.root / "keys").read_text().split()
    assert first == second


BAD = [
    "",
    "a b",
    "a/b",
    "..",
    ".",
    ".a",
    "-a",
    "a:b",
    "a@b",
    "a~1",
    "é",
    "x" * 101,
    "auto",
    "latest",
]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused(project: Quick, name: str) -> None:
    """Exit 2, and no store is made."""
    for resume in ([], ["--resume=auto"]):
        assert 2 == project("run", "flow.yaml", *resume, f"--run-id={name}").code
    assert not (project.program.root / ".maverick").exists()


@given(st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=100))
def test_letters_digits_and_three_signs_make_a_name(name: str) -> None:
    """Except where a shell or a folder would take it for something else."""
    if name[0] in ".-" or name in ("auto", "latest"):
        with pytest.raises(UsageError):
            check_run_name(name)
    else:
        assert name == check_run_name(name)


def test_forks_and_imports_are_not_called_auto_or_latest(project: Quick) -> None:
    project("run", "flow.yaml", "--run-id", "one")
    project("checkpoint", "export", "one", "one.mav")

    for name in ("auto", "latest"):
        assert 2 == project("checkpoint", "fork", "one", "--as", name).code
        assert 2 == project("checkpoint", "import", "one.mav", "--as", name).code


def test_the_longest_name_of_capital_letters_is_a_run(project: Quick) -> None:
    """It begins, fails with a log, is gone on with, exported and imported."""
    name = "A" * 50 + "-." * 5 + "Z" * 40
    assert 1 == project("run", "flow.yaml", "--run-id", name).code
    _ready(project)

    done = project("run", "flow.yaml", "--resume=auto", "--run-id", name, "--json")

    assert (0, name) == (done.code, done.json["run"])
    assert 0 == project("checkpoint", "export", name, "run.mav").code
    assert 0 == project("checkpoint", "drop", name, "--yes").code
    assert 0 == project("checkpoint", "import", "run.mav").code
    assert [name] == [run["run"] for run in project("runs", "--json").json]
    assert 0 == project("checkpoint", "fsck").code


def test_names_that_differ_in_case_are_two_runs(project: Quick) -> None:
    """Also on file systems that take them for one."""
    _ready(project)
    for name in ("build", "Build"):
        assert 0 == project("run", "flow.yaml", "--run-id", name).code

    names = {
        ref.name.lower() for ref in (project.program.root / ".maverick/checkpoints/refs").iterdir()
    }
    assert 2 == len(names)


@pytest.mark.parametrize("resume", ["", "one", "@latest"])
def test_a_name_and_a_run_to_resume_exclude_each_other(project: Quick, resume: str) -> None:
    option = f"--resume={resume}" if resume else "--resume"

    assert 2 == project("run", "flow.yaml", option, "--run-id", "two").code


# --- two at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("resume", "code"), [([], 2), (["--resume=auto"], 11)])
def test_of_two_processes_that_begin_one_run_the_second_is_refused(
    program: Program, resume: list[str], code: int
) -> None:
    """The first goes on undisturbed."""
    program.flow(
        'steps: [{name: a, type: shell, run: "touch $MARK; until test -e go; do sleep 0.01; done"}]'
    )
    first = program.begin("run", "flow.yaml", *resume, "--run-id", "one").wait_for(program.mark)

    second = program.run("run", "flow.yaml", *resume, "--run-id", "one")
    program.file("go", "")

    assert (code, 0) == (second.code, first.end().code)
    assert "one" in second.err


@pytest.mark.parametrize("resume", [[], ["--resume=auto"]])
def test_of_many_that_begin_at_once_exactly_one_runs_the_step(
    program: Program, resume: list[str]
) -> None:
    """Whatever the order in which they come to the lock."""
    program.flow('steps: [{name: a, type: shell, run: "echo ran >> log"}]')
    ended = []

    def begin() -> None:
        ended.append(program.run("run", "flow.yaml", *resume, "--run-id", "one"))

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert "ran\n" == (program.root / "log").read_text(), [it.err for it in ended]
    refused = {it.code for it in ended if it.code}
    assert refused <= ({11} if resume else {2}), [it.err for it in ended]
    assert 0 in {it.code for it in ended}
