"""What a workflow needs on this machine is missed before it starts, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.runs import Runs
from maverick.dsl.engine.requirements import all_steps, is_there, require_programs
from maverick.errors import StepFailed
from maverick.project import Project


def _executable(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def _missing(runs: Runs, path: str = "/usr/bin:/bin") -> str:
    """What the start is refused with; empty if it is not."""
    catalog = Project(runs.root, {"PATH": path}).catalog()
    try:
        require_programs(catalog.workflow("flow.yaml"), catalog, {"PATH": path})
    except StepFailed as error:
        return str(error)
    return ""


def test_programs_of_steps_at_every_depth_are_named_with_the_steps_that_need_them(
    runs: Runs,
) -> None:
    """Sub-workflows and rollbacks included; each workflow is looked at once."""
    runs.file(
        "inner.yaml",
        "version: '1.0'\nname: inner\nsteps: [{name: x, type: shell, run: x, requires: [three]}]\n",
    )
    runs.flow(
        """
        - {name: a, type: shell, run: x, requires: [one, sh]}
        - name: each
          type: loop
          for_each: [1]
          steps:
            - {name: b, type: shell, run: x, requires: [one, two]}
            - {name: sub, type: subworkflow, workflow: inner.yaml}
            - {name: again, type: subworkflow, workflow: inner.yaml}
        """
    )

    said = _missing(runs)

    assert "one (for a, b); two (for b); three (for x)" in said
    assert "sh (" not in said


def test_the_path_that_counts_is_that_of_the_run(runs: Runs, tmp_path: Path) -> None:
    """Not this process's."""
    runs.flow("- {name: a, type: shell, run: x, requires: [tool-of-this-test]}")
    assert "tool-of-this-test" in _missing(runs)

    _executable(tmp_path / "bin" / "tool-of-this-test")

    assert "" == _missing(runs, str(tmp_path / "bin"))


def test_a_program_with_a_slash_is_one_of_the_project(tmp_path: Path) -> None:
    """Relative to its root; a file that cannot be executed is none."""
    _executable(tmp_path / "tools" / "run")
    (tmp_path / "tools" / "data").write_text("")

    assert is_there("tools/run", tmp_path, {})
    assert is_there(str(tmp_path / "tools" / "run"), tmp_path, {})
    assert not is_there("tools/none", tmp_path, {})
    assert not is_there("run", tmp_path, {"PATH": "/usr/bin"})


@pytest.mark.parametrize(
    ("agents", "missed"),
    [
        ("helper: {provider: command, command: [sh, -c, cat]}", False),
        ("helper: {provider: command, command: [no-such-agent]}", True),
        ("helper: {provider: codex}", True),
        ("default: {provider: gemini}", True),
    ],
)
def test_agents_are_missed_with_how_to_get_them(runs: Runs, agents: str, missed: bool) -> None:
    """And with how to choose another one."""
    runs.file(".maverick/agents/helper.md", "Help.")
    runs.file("maverick.yaml", f"agents: {{{agents}}}\n")
    runs.flow("- {name: ask, type: agent, agent: helper, context: {task: x}}")

    said = _missing(runs)

    assert missed == bool(said)
    if missed:
        assert "needed by step ask" in said
        assert "maverick.yaml" in said


def test_an_agent_that_an_expression_names_is_not_known_yet(runs: Runs) -> None:
    """It is looked for when its step begins."""
    runs.flow("- {name: ask, type: agent, agent: \"${{ 'implementer' }}\", context: {task: x}}")

    assert "" == _missing(runs)


def test_all_steps_end_with_workflows_that_call_each_other(runs: Runs) -> None:
    """A cycle is refused elsewhere, and is no endless loop here."""
    runs.file(
        "b.yaml",
        "version: '1.0'\nname: b\nsteps: [{name: s, type: subworkflow, workflow: flow.yaml}]\n",
    )
    runs.flow("- {name: a, type: subworkflow, workflow: b.yaml}")
    catalog = Project(runs.root, {}).catalog()

    assert ["a", "s"] == [step.name for step in all_steps(catalog.workflow("flow.yaml"), catalog)]
