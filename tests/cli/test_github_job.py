"""A job of GitHub Actions that runs a workflow: groups, annotations, masks, outputs, a summary."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from kit.program import Ended, Program
from maverick.views.signs import STEP_SIGNS

FLOW = """
    steps:
      - {name: build, type: shell, run: echo built}
      - name: work
        type: loop
        for_each: [a, b]
        steps:
          - {name: do, type: shell, run: "echo ${{ quote(item) }}"}
      - {name: deploy, type: shell, run: "echo 'no network: 50%, at all' >&2; test -e ready"}
      - {name: last, type: shell, run: echo over}
    outputs: {said: "${{ steps.last.output.value }}"}
    """


@pytest.fixture
def job(program: Program) -> Program:
    """A project in a job of GitHub Actions, whose workflow fails until there is a file `ready`."""
    files = {
        name: str(program.root.parent / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
    }
    program.environment |= {"GITHUB_ACTIONS": "true", **files}
    program.flow(FLOW)
    return program


def _file(job: Program, name: str) -> str:
    return Path(job.environment[name]).read_text()


def _commands(done: Ended) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith("::")]


# --- groups and annotations -----------------------------------------------------------------------


def test_each_step_of_the_workflow_is_a_group(job: Program) -> None:
    """What is in it stands between; that it is over stands outside, where it is seen."""
    job.file("ready", "")

    lines = job.run("run", "flow.yaml").err.splitlines()

    names = ["build", "work", "deploy", "last"]
    assert [f"::group::{name}" for name in names] == [it for it in lines if "::group" in it]
    for name in names:
        begin = lines.index(f"::group::{name}")
        end = lines.index("::endgroup::", begin)
        assert not any(it.startswith("::") for it in lines[begin + 1 : end])
    begin = lines.index("::group::work")
    inside = "\n".join(lines[begin : lines.index("::endgroup::", begin)])
    assert "work[0].do" in inside
    assert "work[1].do" in inside
    over = next(number for number, it in enumerate(lines) if "done  build" in it)
    assert "::endgroup::" == lines[over - 1]


def test_a_failed_step_is_an_error_at_its_line(job: Program) -> None:
    done = job.run("run", "flow.yaml")

    errors = [it for it in _commands(done) if it.startswith("::error")]
    said = "step deploy: exit code 1: no network: 50%25, at all"
    assert [f"::error file=flow.yaml,line=10::{said}"] == errors
    assert "::endgroup::" == _commands(done)[-2]


def test_the_file_is_named_from_the_repository(job: Program) -> None:
    """Also where the project is a folder of it, and the command runs in another one."""
    top = job.root.parent
    subprocess.run(["git", "init", "-q", top], check=True, env=job.environment)

    done = job.run("-C", str(job.root), "run", "flow.yaml", cwd=top)

    assert f"::error file={job.root.name}/flow.yaml,line=10::" in done.err


def test_a_step_of_a_sub_workflow_is_found_in_its_file(job: Program) -> None:
    job.flow(
        'steps: [{name: one, type: shell, run: "true"}, {name: two, type: shell, run: "false"}]',
        "sub",
    )
    job.flow("steps: [{name: call, type: subworkflow, workflow: ./sub.yaml}]")

    assert "::error file=sub.yaml,line=3::step call.two: " in job.run("run", "flow.yaml").err


def test_steps_that_fail_side_by_side_are_all_annotated(job: Program) -> None:
    job.flow("""
        steps:
          - name: both
            type: parallel
            steps:
              - {name: one, type: shell, run: "touch one; until test -e two; do sleep 0.01; done; false"}
              - {name: two, type: shell, run: "touch two; until test -e one; do sleep 0.01; done; false"}
        """)

    done = job.run("run", "flow.yaml")

    steps = re.findall(r"^::error file=flow.yaml,line=\d+::step (\S+): ", done.err, re.MULTILINE)
    assert ["both.one", "both.two"] == sorted(steps)


def test_a_failure_that_the_workflow_goes_on_after_is_no_error(job: Program) -> None:
    job.flow('steps: [{name: a, type: shell, run: "false", continue_on_error: true}]')

    done = job.run("run", "flow.yaml")

    assert 0 == done.code
    assert "::error" not in done.err


def test_problems_of_a_file_are_errors_at_their_places(job: Program) -> None:
    """Exit 3, of a run and of a check."""
    job.flow(
        'steps:\n  - {name: a, type: shell, runn: "x"}\n  - {name: a, type: shell, run: "y"}\n'
    )

    for command in (["run"], ["workflow", "check"], ["workflow", "check", "--json"]):
        done = job.run(*command, "flow.yaml")
        assert 3 == done.code
        told = re.findall(r"^(?:error: )?flow\.yaml:(\d+):\d+: (.*)$", done.err, re.MULTILINE)
        assert 2 <= len(told)
        assert [
            f"::error file=flow.yaml,line={line}::{message}" for line, message in told
        ] == _commands(done)


def test_a_run_that_does_not_begin_is_an_error(job: Program) -> None:
    done = job.run("run", "flow.yaml", "-i", "nothing=1")

    assert 2 == done.code
    assert any(it.startswith("::error::") for it in _commands(done))


def test_what_a_person_has_to_know_is_a_warning(job: Program) -> None:
    job.file("ready", "")
    job.flow(
        FLOW.replace(
            "outputs:", "notices: [{when: true, message: 'not pushed: no remote'}]\n    outputs:"
        )
    )

    assert "::warning::not pushed: no remote" in _commands(job.run("run", "flow.yaml"))
    strict = job.run("run", "flow.yaml", "--strict")
    assert (1, True) == (
        strict.code,
        "::error::not pushed: no remote" in _commands(strict),
    )


def test_quiet_has_no_groups_but_the_error(job: Program) -> None:
    commands = _commands(job.run("run", "flow.yaml", "--quiet"))

    assert ["::error"] == [it.partition(" ")[0] for it in commands]


def test_a_stopped_run_leaves_no_group_open(job: Program) -> None:
    job.flow('steps: [{name: a, type: shell, run: "touch $MARK; sleep 60"}]')
    done = job.begin("run", "flow.yaml").wait_for(job.mark).signal(signal.SIGTERM).end()

    kinds = [it.split("::")[1].partition(" ")[0] for it in _commands(done)]
    assert (130, ["group", "endgroup", "warning"]) == (done.code, kinds)


# --- masks ----------------------------------------------------------------------------------------

SECRETS = {
    "ONE": "hunter2hunter2",
    "KEY": "-----BEGIN KEY-----\nfirst line of it\n100%::error::,x\nshort\n-----END KEY-----\n",
    "GH_TOKEN": "ghp_0123456789",
}


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"], ["--plan"]])
def test_secrets_are_masked_before_anything_else_is_printed(
    job: Program, options: list[str]
) -> None:
    """Each line of one that has several; what is too short to be a secret is none."""
    job.file("maverick.yaml", "secrets: [ONE, KEY, UNSET]")

    done = job.run("run", "flow.yaml", *options, **SECRETS)

    lines = done.err.splitlines()
    masks = [it for it in lines if it.startswith("::add-mask::")]
    assert masks == lines[: len(masks)]
    assert {
        "hunter2hunter2",
        "first line of it",
        "100%25::error::,x",
        "ghp_0123456789",
    } == {it.removeprefix("::add-mask::") for it in masks}
    for secret in ("hunter2", "first line", "ghp_0"):
        assert secret not in "\n".join(lines[len(masks) :]) + done.out


def test_no_secret_is_written_where_another_program_or_a_file_gets_it(job: Program) -> None:
    """`2>&1 | tee log` would write it down; what is not announced is said."""
    job.file("maverick.yaml", "secrets: [ONE]")
    job.environment |= SECRETS

    job.shell("maverick run flow.yaml 2> errors; maverick run flow.yaml 2>&1 | cat > both")

    for name in ("errors", "both"):
        text = (job.root / name).read_text()
        assert "hunter2" not in text
        assert 1 == text.count("note: GitHub is not told what to mask")


def test_nothing_is_said_of_masks_where_nothing_runs(job: Program) -> None:
    """An error is not followed by what it has nothing to do with."""
    job.file("maverick.yaml", "secrets: [ONE]")
    job.environment |= SECRETS

    job.shell("maverick run no-such 2> errors; maverick run flow.yaml --plan 2>> errors")

    assert "there is no workflow" in (job.root / "errors").read_text()
    assert "mask" not in (job.root / "errors").read_text()


def test_elsewhere_no_secret_is_printed(job: Program) -> None:
    job.file("maverick.yaml", "secrets: [ONE]")

    done = job.run("run", "flow.yaml", GITHUB_ACTIONS="", **SECRETS)

    assert "hunter2" not in done.err
    assert not _commands(done)


# --- outputs --------------------------------------------------------------------------------------


def _outputs(text: str) -> dict[str, str]:
    """Read the file as GitHub does."""
    found, lines = {}, text.split("\n")
    while lines and (line := lines.pop(0)):
        name, _, end = line.partition("<<")
        rest = lines.index(end)
        found[name] = "\n".join(lines[:rest])
        lines = lines[rest + 1 :]
    return found


def test_the_job_has_the_output(job: Program) -> None:
    job.file("ready", "")

    done = job.run("run", "flow.yaml", "--json")
    outputs = _outputs(_file(job, "GITHUB_OUTPUT"))

    assert {"run": done.json["run"], "status": "done", "output": '{"said": "over"}'} == outputs


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("'a\\nrun<<x\\ny\\n'", "a\\nrun<<x\\ny\\n"),
        ("x<<EOF", "x<<EOF"),
        ("''", ""),
        ("null", "null"),
        ("[1, 2.5, true]", "[1, 2.5, true]"),
        ("${{ 'ä' + '##[error]' }}", "ä##[error]"),
    ],
)
def test_a_text_is_given_as_it_is_and_all_else_as_json(job: Program, value: str, text: str) -> None:
    """And nothing in it is another output."""
    job.flow(f'steps: [{{name: a, type: shell, run: "true"}}]\noutputs: {value}\n')

    assert 0 == job.run("run", "flow.yaml").code
    outputs = _outputs(_file(job, "GITHUB_OUTPUT"))

    assert (text, {"run", "status", "output"}) == (outputs["output"], set(outputs))


def test_a_run_that_failed_gives_no_output(job: Program) -> None:
    job.run("run", "flow.yaml")

    outputs = _outputs(_file(job, "GITHUB_OUTPUT"))
    assert ("failed", False) == (outputs["status"], "output" in outputs)


def test_an_output_that_github_would_refuse_is_left_out_and_told(job: Program) -> None:
    job.flow(
        "steps: [{name: a, type: shell, run: \"head -c 1100000 /dev/zero | tr '\\\\\\\\0' x\"}]\noutputs: ${{ steps.a.output.stdout }}\n"
    )

    done = job.run("run", "flow.yaml", "--quiet")

    assert 0 == done.code, done.err
    assert "output" not in _outputs(_file(job, "GITHUB_OUTPUT"))
    assert "more than 1,048,576 bytes" in done.err


@pytest.mark.parametrize("name", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
def test_a_file_that_cannot_be_written_is_told_and_the_run_is_what_it_is(
    job: Program, name: str
) -> None:
    job.file("ready", "")

    done = job.run("run", "flow.yaml", **{name: "/no/such/folder/file"})

    assert 0 == done.code
    assert f"warning: cannot write to {name}" in done.err


# --- the summary ----------------------------------------------------------------------------------


def test_the_summary_has_a_table_the_error_a_graph_and_how_to_go_on(job: Program) -> None:
    done = job.run("run", "flow.yaml", "--json")
    text = _file(job, "GITHUB_STEP_SUMMARY")

    assert "### ✗ `flow` failed in " in text
    assert "| ✓ done | `build` | " in text
    assert "| ✓ done | `work` | " in text
    assert "2 done |" in text
    assert "| ✗ failed | `deploy` | " in text
    assert f"| {STEP_SIGNS['pending']} pending | `last` |  |  |" in text
    assert "```mermaid\nflowchart TD\n" in text
    assert f"```sh\n{done.json['resume']}\n```" in text


def test_summaries_follow_each_other(job: Program) -> None:
    """Behind what stands there, which may be HTML that only an empty line ends."""
    Path(job.environment["GITHUB_STEP_SUMMARY"]).write_text("<div>mine</div>")
    job.run("run", "flow.yaml")
    job.file("ready", "")
    job.run("run", "flow.yaml", "--resume")

    text = _file(job, "GITHUB_STEP_SUMMARY")
    assert text.startswith("<div>mine</div>\n\n### ✗")
    assert "\n\n### ✓ `flow` done in " in text


def test_a_summary_never_has_more_than_github_takes(job: Program) -> None:
    """Where there is little room it gets shorter; where there is none, that is told."""
    path = Path(job.environment["GITHUB_STEP_SUMMARY"])
    sizes = []
    for left in (20_000, 900, 300, 10):
        path.write_text("x" * ((1 << 20) - left) + "\n")
        before = path.stat().st_size
        done = job.run("run", "flow.yaml", "--quiet")
        assert path.stat().st_size <= 1 << 20
        sizes.append(path.stat().st_size - before)
    assert all(more > less for more, less in pairwise(sizes)), sizes
    assert 0 == sizes[-1]
    assert "there is no room" in done.err


def test_the_events_of_a_job_are_json_as_elsewhere(job: Program) -> None:
    job.file("ready", "")

    done = job.run("run", "flow.yaml", "--events", "-", "--quiet")

    assert all(isinstance(json.loads(line), dict) for line in done.out.splitlines())
