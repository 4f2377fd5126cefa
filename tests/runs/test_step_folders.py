"""`cwd`: steps that run elsewhere than in the project's root, as in a git worktree."""

from pathlib import Path

import pytest

from kit.runs import Runs

_AGENT = """
agents:
  default: {provider: command, command: [sh, -c, pwd]}
"""
_INNER = """
version: "1.0"
name: inner
steps:
  - {name: shell, type: shell, run: pwd}
  - {name: below, type: shell, run: pwd, cwd: deep}
  - {name: agent, type: agent, agent: worker}
  - {name: check, type: validate, stages: [{name: where, run: pwd}]}
  - {name: python, type: python, action: where}
  - {name: given, type: python, action: where, kwargs: {cwd: elsewhere}}
  - {name: slow, type: python, action: where, timeout: 300}
outputs:
  shell: ${{ steps.shell.output.value }}
  below: ${{ steps.below.output.value }}
  agent: ${{ steps.agent.output }}
  check: ${{ steps.check.output.stages[0].output }}
  python: ${{ steps.python.output }}
  given: ${{ steps.given.output }}
  slow: ${{ steps.slow.output }}
  files: ${{ glob('*.txt') }}
"""
_ACTIONS = """
def where(cwd="."):
    _log("where")
    return cwd
"""
_FLOW = """
inputs:
  folder: {type: string, required: false}
steps:
  - {name: inside, type: subworkflow, workflow: inner.yaml, cwd: "${{ inputs.folder }}"}
"""


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    runs = Runs(tmp_path / "project", actions=_ACTIONS, config=_AGENT)
    runs.file(".maverick/agents/worker.md", "Say where you are.")
    runs.file("inner.yaml", _INNER)
    runs.flow(_FLOW)
    runs.file("one/deep/x", "")
    runs.file("one/a.txt", "")
    runs.file("deep/x", "")
    return runs


def test_all_steps_of_a_subworkflow_run_in_its_folder(runs: Runs) -> None:
    """Whatever their type; an action gets the folder as `cwd` unless that is given."""
    folder = str(runs.root / "one")

    execution = runs.start(folder="one")

    assert {
        "shell": folder,
        "below": f"{folder}/deep",
        "agent": folder,
        "check": folder,
        "python": folder,
        "given": "elsewhere",
        "slow": folder,
        "files": ["a.txt"],
    } == execution.output


def test_without_a_folder_steps_run_in_the_root(runs: Runs) -> None:
    output = runs.start().output

    assert isinstance(output, dict)
    assert [str(runs.root)] * 4 == [output[name] for name in ("shell", "agent", "check", "python")]


def test_an_agent_and_a_validation_have_folders_of_their_own(runs: Runs) -> None:
    runs.flow("""
        - {name: agent, type: agent, agent: worker, cwd: one}
        - {name: check, type: validate, stages: [{name: where, run: pwd}], cwd: "${{ 'o' + 'ne' }}"}
        - {name: end, type: python, action: give, kwargs: {output: [
            "${{ steps.agent.output }}", "${{ steps.check.output.stages[0].output }}"]}}
    """)

    assert [str(runs.root / "one")] * 2 == runs.start().output


def test_a_folder_that_is_no_text_is_named(runs: Runs) -> None:
    runs.flow("- {name: check, type: validate, stages: ['true'], cwd: '${{ 7 }}'}")

    assert "cwd has to be a folder, not integer 7" in runs.start().error


def test_a_project_that_moved_keeps_its_records(runs: Runs) -> None:
    """Keys hold folders relative to the root."""
    runs.kill_before("inside.slow", folder="one")
    moved = runs.root.with_name("moved")
    runs.root.rename(moved)
    runs.root = moved
    runs.forget_modules()

    assert ["inside.slow"] == runs.resume().executed


def test_another_folder_is_another_step(runs: Runs) -> None:
    """What a step found in one folder says nothing of another."""
    runs.kill_before("inside.slow", folder="one")
    runs.file("two/deep/x", "")

    resumed = runs.resume(inputs={"folder": "two"}, change_inputs=True)

    assert "inside.shell" in resumed.executed
