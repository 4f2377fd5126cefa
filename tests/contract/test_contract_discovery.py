"""Section 4 of the language: where workflows, actions and agents come from, seen from outside."""

from __future__ import annotations

import pytest

from kit.program import Program, Quick


def _flow(name: str, text: str, inputs: str = "{}") -> str:
    return (
        f"version: '1.0'\nname: {name}\ndescription: |\n  {text}\n\n  More.\ninputs: {inputs}\n"
        f"steps:\n  - {{name: say, type: shell, run: echo {text}, parse: lines}}\n"
        "outputs: ${{ steps.say.output.value }}\n"
    )


def _user(program: Program, name: str, text: str) -> None:
    program.file(f"../home/.config/maverick/workflows/{name}", text)


def _project(program: Program, name: str, text: str) -> None:
    program.file(f".maverick/workflows/{name}", text)


def test_a_project_s_workflow_goes_before_a_user_s_and_that_before_one_that_ships(
    program: Program,
) -> None:
    """`list` says where each comes from and what it is instead of; `show` and `run` take the same
    one.
    """
    rows = program.run("workflow", "list", "--json").json
    assert {"built in"} == {row["source"] for row in rows}
    expected = {
        "commit_and_push",
        "create_pr_with_summary",
        "fly",
        "process_single_issue",
        "quick_fix",
        "refuel",
    }
    assert expected | {"review", "validate", "validate_and_fix"} == {row["name"] for row in rows}

    _user(program, "mine.yaml", _flow("validate-and-fix", "user"))
    _user(program, "tool.yml", _flow("tool", "user-tool"))
    _project(program, "other.yaml", _flow("validate_and_fix", "project"))
    rows = program.run("workflow", "list", "--json").json
    found = {row["name"]: row for row in rows}
    assert ["name", "source", "file", "description", "overrides", "inputs"] == list(rows[0])
    assert ("project", ".maverick/workflows/other.yaml") == (
        found["validate_and_fix"]["source"],
        found["validate_and_fix"]["file"],
    )
    assert 2 == len(found["validate_and_fix"]["overrides"])
    assert ("user", []) == (found["tool"]["source"], found["tool"]["overrides"])
    assert {"branch_name"} == {it["name"] for it in found["fly"]["inputs"] if it["required"]}
    shown = program.run("workflow", "list").out
    assert "branch_name" in shown
    assert "instead of" in shown

    for name in ("validate_and_fix", "validate-and-fix"):
        assert program.run("run", name, "--quiet").out == '[\n  "project"\n]\n'
    text = program.run("workflow", "show", "validate-and-fix").out
    for said in ("validate_and_fix", "project", "More.", "say"):
        assert said in text
    assert ["name", "file", "description", "inputs", "steps"] == list(
        program.run("workflow", "show", "tool", "--json").json
    )


def test_a_name_is_the_same_with_either_dash(quick: Quick) -> None:
    """`-` and `_` are one letter when a workflow is looked up."""
    _project(quick.program, "any.yaml", _flow("my-long_name", "found"))

    for name in ("my-long_name", "my_long-name"):
        assert 0 == quick("run", name, "--quiet").code


def test_two_of_one_name_at_one_level_are_an_error_naming_both(quick: Quick) -> None:
    """Whichever was meant."""
    _project(quick.program, "one.yaml", _flow("twin-flow", "one"))
    _project(quick.program, "two.yml", _flow("twin_flow", "two"))
    run = quick("run", "twin_flow")
    check = quick("workflow", "check", "twin-flow")
    listed = quick("workflow", "list")

    assert (3, 3, 0) == (run.code, check.code, listed.code)
    for done in (run, check, listed):
        assert ".maverick/workflows/one.yaml" in done.err
        assert ".maverick/workflows/two.yml" in done.err


def test_an_invalid_file_is_a_warning_in_a_list_and_an_error_when_it_is_run(
    program: Program,
) -> None:
    """It does not hide what else there is."""
    _project(program, "bad.yaml", "version: '1.0'\nname: bad\nsteps:\n  - {name: a, type: shel}\n")
    _project(program, "good.yaml", _flow("good", "good"))
    listed = program.run("workflow", "list", "--json")
    run = program.run("run", "bad")

    assert 0 == listed.code
    assert "warning: .maverick/workflows/bad.yaml" in listed.err
    assert {"good", "fly"} <= {row["name"] for row in listed.json}
    assert "bad" not in {row["name"] for row in listed.json}
    assert 3 == run.code
    assert ".maverick/workflows/bad.yaml:4:" in run.err
    assert 0 == program.run("run", "good", "--quiet").code


@pytest.mark.parametrize(
    ("asked", "near"), [("reviw", "review"), ("refule", "refuel"), ("nosuchthing", "")]
)
def test_an_unknown_name_is_answered_with_near_ones(quick: Quick, asked: str, near: str) -> None:
    """And with all there are."""
    done = quick("run", asked)

    assert 3 == done.code
    assert f"there is no workflow '{asked}'" in done.err
    assert (f"did you mean `{near}`" in done.err) == bool(near)
    assert "quick_fix" in done.err


def test_a_fragment_overridden_with_other_inputs_is_an_error_of_its_caller(
    program: Program,
) -> None:
    """Before anything runs, with the place of the call."""
    _project(
        program,
        "mine.yaml",
        _flow("commit_and_push", "mine", "{other: {type: string, required: true}}"),
    )
    done = program.run("workflow", "check", "fly")
    run = program.run("run", "fly", "-i", "branch_name=x")

    assert (3, 3) == (done.code, run.code)
    for said in ("commit_and_push", "other", "message"):
        assert said in done.err, done.err


def test_cycles_are_found_before_a_run(program: Program) -> None:
    """By way of any number of files."""
    for name, called in (("a", "b"), ("b", "c"), ("c", "a")):
        program.file(
            f"{name}.yaml",
            f"version: '1.0'\nname: {name}\nsteps: [{{name: s, type: subworkflow, workflow: "
            f"./{called}.yaml}}]\n",
        )
    done = program.run("run", "a.yaml")

    assert 3 == done.code
    assert "cycle" in done.err.lower() or "calls itself" in done.err.lower()


def test_actions_are_the_public_functions_of_the_modules_that_are_named(quick: Quick) -> None:
    """Or those in `__all__`; built-in ones come first; what is imported from elsewhere is none."""
    quick.program.file(
        "tools/one.py",
        "from os.path import join\n\n\ndef mine():\n    return 1\n\n\ndef _hidden():\n    return "
        "2\n",
    )
    quick.program.file(
        "tools/two.py",
        "__all__ = ['listed']\n\n\ndef listed():\n    return 3\n\n\ndef unlisted():\n    return "
        "4\n",
    )
    quick.program.file("maverick.yaml", "actions: [tools.one, tools.two]\n")
    quick.program.flow(
        "- {name: a, type: python, action: mine}\n- {name: b, type: python, action: listed}\n"
        "- {name: c, type: python, action: 'tools.two:unlisted'}"
    )
    assert 0 == quick("run", "flow.yaml").code
    for name in ("join", "_hidden", "unlisted", "tools.one:nosuch", "nosuch.module:f"):
        quick.program.flow(f"- {{name: a, type: python, action: '{name}'}}")
        done = quick("workflow", "check", "flow.yaml")
        assert 3 == done.code, name
        assert "flow.yaml:4:" in done.err


def test_a_workflow_runs_in_a_fresh_folder_without_configuration(program: Program) -> None:
    """Two commands from nothing to a run."""
    (program.root / "maverick.yaml").unlink()
    (program.root / ".maverick").mkdir()  # So that no folder above is the project.
    program.flow("- {name: a, type: shell, run: echo hello}")

    assert 0 == program.run("workflow", "check", "flow.yaml").code
    assert 0 == program.run("run", "flow.yaml").code
    assert "*\n" == (program.root / ".maverick" / "checkpoints" / ".gitignore").read_text()


def test_default_plays_any_agent_that_is_not_named(quick: Quick) -> None:
    """Not one whose name looks mistyped; and without it, only those that are named or ship are
    known.
    """
    quick.program.file(
        "maverick.yaml",
        "agents: {default: {provider: command, command: [sh, -c, 'echo $MAVERICK_AGENT']}}\n",
    )
    quick.program.flow("- {name: a, type: agent, agent: reviewer, context: {task: x}}")
    done = quick("run", "flow.yaml")
    quick.program.flow("- {name: a, type: agent, agent: implementor, context: {task: x}}")
    mistyped = quick("run", "flow.yaml")
    quick.program.file("maverick.yaml", "")
    quick.program.flow("- {name: a, type: agent, agent: reviewer, context: {task: x}}")
    unknown = quick("run", "flow.yaml")

    assert (0, "reviewer\n") == (done.code, done.out)
    assert 3 == mistyped.code
    assert "did you mean `implementer`" in mistyped.err
    assert 3 == unknown.code
    assert "unknown agent `reviewer`" in unknown.err


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("depoly.yaml", "did you mean `deploy.yaml`?"),
        ("./sub/relaese.yml", "did you mean `release.yml`?"),
        ("sub/other.yaml", "`maverick workflow list` shows what can be run by name"),
        ("missing/deploy.yaml", "`maverick workflow list` shows what can be run by name"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_one_that_is(
    quick: Quick, asked: str, hint: str
) -> None:
    """A mistyped file name is as likely as a mistyped name."""
    quick.program.file(
        "deploy.yaml", "version: '1.0'\nname: deploy\nsteps: [{name: a, type: checkpoint}]\n"
    )
    quick.program.file(
        "sub/release.yml", "version: '1.0'\nname: release\nsteps: [{name: a, type: checkpoint}]\n"
    )

    refused = quick("run", asked)

    assert 3 == refused.code
    assert (
        f"there is no workflow file '{quick.program.root / asked}'; {hint}"
        in refused.err.replace("/./", "/")
    )
