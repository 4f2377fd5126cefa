"""`[RUN] [STEP]` of the commands that look at a run, and names of runs in the others."""

from __future__ import annotations

import pytest

from kit.program import Quick
from maverick.checkpoints import Store
from maverick.cli.typed.named import run_and_step
from maverick.errors import NotFound, RevisionAmbiguous

FLOW = """
    - {name: plan, type: shell, run: "echo one"}
    - name: work
      type: loop
      for_each: [a, b]
      steps:
        - {name: build, type: shell, run: "test -e fixed"}
    - name: choice
      type: branch
      options:
        - {when: "true", step: {name: publish, type: shell, run: "true"}}
    """


@pytest.fixture
def failed(quick: Quick) -> Quick:
    """A project in which `flow` failed in the first iteration, after a run of `other`."""
    quick.program.flow("- {name: alone, type: shell, run: 'true'}", "other")
    quick.program.flow(FLOW)
    assert 0 == quick("run", "other.yaml").code
    assert 1 == quick("run", "flow.yaml").code
    return quick


def store(quick: Quick) -> Store:
    return Store.open(quick.program.root / ".maverick" / "checkpoints")


def test_words_name_a_run_a_step_or_both(failed: Quick) -> None:
    """A word that names no run is a step of the newest one."""
    flow, other = (row["run"] for row in failed("runs", "--json").json)
    at = {run: store(failed).resolve(run) for run in (flow, other)}
    named = {
        (): (flow, None),
        ("",): (flow, None),
        (other[-4:],): (other, None),
        ("flow@{0}",): (flow, None),
        ("@{1}",): (other, None),
        ("plan",): (flow, "plan"),
        ("work",): (flow, "work"),
        ("work[0]",): (flow, "work[0]"),
        ("work[0].build",): (flow, "work[0].build"),
        ("work[1].build",): (flow, "work[1].build"),
        ("choice.publish",): (flow, "choice.publish"),
        (other[-4:], "alone"): (other, "alone"),
        (other, "nowhere"): (other, "nowhere"),
        ("@latest", "plan"): (flow, "plan"),
    }

    found = {words: run_and_step(store(failed), words) for words in named}

    assert {words: (at[run], step) for words, (run, step) in named.items()} == found


def test_a_revision_may_stand_for_the_run(failed: Quick) -> None:
    """`show RUN@label` is the page of the run as it was then."""
    tip = store(failed).resolve("@latest")
    before = store(failed).resolve("@latest~1")

    assert (before, None) == run_and_step(store(failed), ["@latest~1"])
    assert (tip, None) == run_and_step(store(failed), [tip.id[:10]])
    assert (before, "plan") == run_and_step(store(failed), [before.id, "plan"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("plam", "there is no run plam; `maverick runs` shows the runs; nor has "),
        ("plam", ", the newest run, a step plam; did you mean `plan`?"),
        ("alone", "a step alone"),
        ("work[0].plan2", "a step work[0].plan2"),
    ],
)
def test_a_word_that_names_nothing_says_so(failed: Quick, word: str, message: str) -> None:
    """It could have been a run or a step."""
    with pytest.raises(NotFound) as caught:
        run_and_step(store(failed), [word])

    assert message in str(caught.value)


@pytest.mark.parametrize("word", ["plan:output", "flow@{7}", "plan@label", "a b", "plan~1"])
def test_what_cannot_be_the_path_of_a_step_is_no_run_either(failed: Quick, word: str) -> None:
    """Nothing is said of steps."""
    with pytest.raises(NotFound, match="there is no") as caught:
        run_and_step(store(failed), [word])

    assert "step" not in str(caught.value)


def test_a_word_that_fits_several_runs_is_no_step(failed: Quick) -> None:
    """Though there is a step of that name: the runs are listed."""
    failed.program.flow("- {name: plan, type: shell, run: 'true'}", "plan")
    failed("run", "plan.yaml")
    failed("run", "plan.yaml")

    with pytest.raises(RevisionAmbiguous, match="plan fits 2 runs"):
        run_and_step(store(failed), ["plan"])


def test_a_step_that_runs_now_is_one_before_anything_of_it_is_saved(failed: Quick) -> None:
    """Its owner's note has it."""
    opened = store(failed)
    tip = opened.resolve("@latest")
    row = {"step": 'work["x"].new', "type": "shell", "since": 1, "attempt": 1}
    with opened.own(tip.run) as owner:
        owner.note({"running": [row]})

    assert (tip, 'work["x"].new') == run_and_step(opened, ['work["x"].new'])
    assert (tip, 'work["x"]') == run_and_step(opened, ['work["x"]'])


def test_without_any_run_it_says_so(quick: Quick) -> None:
    opened = Store.create(quick.program.root / ".maverick" / "checkpoints")

    for words in ([], ["plan"]):
        with pytest.raises(NotFound, match="there is no run"):
            run_and_step(opened, words)


# --- commands that take a run ---------------------------------------------------------------------


def test_every_command_takes_the_end_of_an_id(failed: Quick) -> None:
    """And says which run it took."""
    flow, other = (row["run"] for row in failed("runs", "--json").json)
    end, tip = flow[-4:], store(failed).resolve(flow)

    assert tip.id == failed("checkpoint", "log", end, "--json").json[0]["checkpoint"]
    assert flow == failed("checkpoint", "show", end, "--json").json["run"]
    assert "one\n" == failed("checkpoint", "show", f"{end}:steps.plan.output.stdout").out
    assert "one\n" == failed("checkpoint", "cat", f"{end}:steps.plan.output.stdout").out
    assert 0 == failed("checkpoint", "diff", end, "other@{0}").code
    assert f"{flow}@kept is" in failed("checkpoint", "tag", end, "kept").err
    assert f"wrote {flow} into" in failed("checkpoint", "export", end, "run.mav").err
    assert 0 == failed("checkpoint", "fork", f"{end}@kept", "--as", "forked").code
    assert f"took back {flow}: tagged" in failed("checkpoint", "undo", end, "--yes").err
    assert f"dropped {other}" in failed("checkpoint", "drop", other[-4:], "--yes").err
    assert f"took back {other}: dropped" in failed("checkpoint", "undo", other[-4:], "--yes").err
    assert 0 == failed("checkpoint", "gc", "--run", other[-4:], "--dry-run").code


@pytest.mark.parametrize("name", ["{end}", "flow@{{0}}", "@latest", "@{{0}}", "flow-20"])
def test_a_run_is_resumed_by_any_of_its_names(failed: Quick, name: str) -> None:
    """The same run goes on: no fork of it is made."""
    flow = failed("runs", "--json").json[0]["run"]
    failed.program.file("fixed", "")

    done = failed("run", f"--resume={name.format(end=flow[-4:])}", "--json")

    assert (0, flow) == (done.code, done.json["run"])
    assert 2 == len(failed("runs", "--json").json)


def test_a_checkpoint_of_it_is_still_a_fork(failed: Quick) -> None:
    flow = failed("runs", "--json").json[0]["run"]
    failed.program.file("fixed", "")

    done = failed("run", f"--resume={flow[-4:]}~1", "--json")

    assert (0, "done") == (done.code, done.json["status"])
    assert flow != done.json["run"]


def test_what_forgets_runs_takes_no_name_that_fits_two(failed: Quick) -> None:
    """Nothing is dropped."""
    failed.program.file("fixed", "")
    failed("run", "flow.yaml")

    done = failed("checkpoint", "drop", "flow", "--yes")

    assert (10, "") == (done.code, done.out)
    assert "flow fits 2 runs" in done.err
    assert 3 == len(failed("runs", "--json").json)


def test_one_run_named_twice_is_dropped_once(failed: Quick) -> None:
    flow = failed("runs", "--json").json[0]["run"]

    done = failed("checkpoint", "drop", flow[-4:], flow, "@latest", "--yes", "--json")

    assert {"dropped": [flow]} == done.json
