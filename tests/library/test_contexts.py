"""Context builders: what of a run's inputs and outputs an agent gets."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kit.agents import Agents
from maverick import library
from maverick.dsl.catalog.actions import load_action
from maverick.dsl.catalog.scene import Scene
from maverick.errors import WorkflowInvalid
from maverick.library import contexts
from maverick.values import Value

PHASE: Value = {"number": 1, "name": "Phase 1: Go", "tasks": [{"text": "x", "done": False}], "text": "## Phase 1", "file": "t.md"}  # fmt: skip
DIFF: Value = {
    "text": "+new",
    "files": [{"path": "a.py", "added": 1, "removed": 0}],
    "truncated": False,
}
OLD_DIFF: Value = {"text": "+old", "files": [], "truncated": False}
ISSUE: Value = {"number": 7, "title": "Slow", "body": "Very."}
VALIDATION: Value = {
    "success": True,
    "stages": [{"name": "test", "success": True, "output": "long"}],
    "attempts": 1,
}
PULL_REQUEST: Value = {"number": 3, "title": "Faster", "diff": "+x"}


def scene(inputs: Mapping[str, Value] | None = None, item: Value = None, **steps: Value) -> Scene:
    return Scene(inputs or {}, steps, item)


@pytest.mark.parametrize("name", sorted(library.CONTEXT_BUILDERS))
def test_every_builder_gives_an_empty_context_for_an_empty_run(name: str) -> None:
    assert {} == load_action(library.CONTEXT_BUILDERS[name]).function(scene())


def test_implementing_gets_the_phase_of_the_loop_before_that_of_a_step() -> None:
    given = contexts.implementation_context(scene({"branch_name": "b", "task_file": "no"}, PHASE, phases={"name": "x", "tasks": []}))  # fmt: skip

    assert {
        "branch_name": "b",
        "task_file": "t.md",
        "phase": "## Phase 1",
    } == given


def test_implementing_gets_the_tasks_of_a_phase_that_has_no_text() -> None:
    given = contexts.implementation_context(
        scene(item={"name": "x", "tasks": [{"text": "y", "done": False}]})
    )

    assert {"phase": "x", "tasks": [{"text": "y", "done": False}]} == given


def test_reviewing_gets_the_newest_diff_and_what_validation_gave() -> None:
    given = contexts.review_context(
        scene({"base_branch": "main"}, first=OLD_DIFF, diff=DIFF, check=VALIDATION)
    )

    assert {
        "base_branch": "main",
        "diff": "+new",
        "changed_files": ["a.py"],
        "validation": {"success": True, "stages": [{"name": "test", "success": True}]},
    } == given


def test_reviewing_a_pull_request_gets_it_whole() -> None:
    assert {"pull_request": PULL_REQUEST} == contexts.review_context(scene(gather=PULL_REQUEST))


def test_fixing_gets_the_issue_of_the_loop_of_the_inputs_or_of_a_step() -> None:
    other: Value = {"number": 8, "title": "Other"}

    assert {"issue": ISSUE} == contexts.issue_fix_context(scene({"issue": other}, ISSUE))
    assert {"issue": ISSUE} == contexts.issue_fix_context(scene({"issue": ISSUE}, fetch=other))
    assert {"issue": ISSUE} == contexts.issue_fix_context(scene(fetch=ISSUE))


def test_a_commit_message_gets_purpose_files_and_diff() -> None:
    expected = {"purpose": "Go", "changed_files": ["a.py"], "diff": "+new"}

    assert expected == contexts.commit_message_context(scene({"message": "Go"}, diff=DIFF))


def test_a_pull_request_gets_what_its_title_gets_and_more() -> None:
    run = scene(
        {"context": "Go", "branch_name": "b", "base_branch": "main"},
        issue=ISSUE,
        diff=DIFF,
        check=VALIDATION,
    )
    title = {
        "purpose": "Go",
        "branch_name": "b",
        "issue": {"number": 7, "title": "Slow"},
        "changed_files": ["a.py"],
    }

    assert title == contexts.pr_title_context(run)
    assert {"base_branch", "diff", "validation"} | set(title) == set(contexts.pr_body_context(run))


def test_a_long_diff_is_cut_and_says_so() -> None:
    long = "x" * (contexts.DIFF_CHARACTERS + 5)
    given = contexts.commit_message_context(scene(diff={"text": long, "files": []}))

    assert str(given["diff"]).endswith("x\n(the rest is left out: 5 characters)")


# --- in a run -------------------------------------------------------------------------------------

FLOW = """
inputs: {message: {type: string, default: Go}}
steps:
  - {name: diff, type: python, action: give, kwargs: {output: {text: +new, files: [{path: a.py}]}}}
  - {name: text, type: generate, generator: commit_message, context: commit_message_context}
  - {name: end, type: shell, run: test -e ready}
"""


@pytest.fixture
def agents(agents: Agents) -> Agents:
    """One agent that does everything, and the actions of the kit."""
    agents.runs.file(
        "maverick.yaml",
        f"actions: [{agents.runs.module}]\nagents: {{default: {{provider: claude}}}}\n",
    )
    return agents


def test_a_builder_gives_an_agent_its_context(agents: Agents) -> None:
    agents.ask(flow=FLOW)

    (prompt,) = agents.prompts
    assert prompt.endswith(
        '## purpose\n\nGo\n\n## changed_files\n\n```json\n[\n  "a.py"\n]\n```\n\n## diff\n\n+new\n'
    )


def test_what_a_builder_gave_is_part_of_the_key(agents: Agents) -> None:
    """The same inputs and outputs ask nobody again; others do."""
    agents.ask(flow=FLOW)
    agents.runs.file("ready", "")

    assert ["diff", "text"] == agents.runs.resume().recalled
    assert 1 == len(agents.calls)


def test_a_builder_that_is_none_is_a_problem_of_the_file(agents: Agents) -> None:
    with pytest.raises(WorkflowInvalid) as caught:
        agents.ask(flow=FLOW.replace("commit_message_context", "commit_context"))

    assert "unknown context builder `commit_context`" in str(caught.value)
