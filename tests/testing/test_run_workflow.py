"""Workflows in a scratch project: who is asked what, what is real, and what a failure tells."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import maverick
import maverick.testing
from maverick.dsl.standins import Asked
from maverick.errors import InputInvalid, UsageError, WorkflowInvalid
from maverick.testing import Reply, run_workflow
from maverick.testing.harness import Options

HEAD = 'version: "1.0"\nname: flow\n'


def flow(steps: str, more: str = "") -> str:
    """The text of a workflow."""
    lines = "\n".join(f"  {line}" for line in dedent(steps).strip().splitlines())
    return f"{HEAD}{dedent(more)}\nsteps:\n{lines}\n"


ASK = flow("- {name: ask, agent: helper, context: {task: Write a poem}}")
SCHEMA = flow(
    "- {name: ask, agent: helper, context: {n: 1}, output_schema: {type: object, required: [ok]}}"
)


# --- agents ---------------------------------------------------------------------------------------


def says(prompt: str) -> str:
    return prompt.strip().upper()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("a poem", "a poem"),
        ({"lines": ["a", Path("b")]}, {"lines": ["a", "b"]}),
        (None, None),
        (Reply("a poem"), "a poem"),
        (iter(["first", "second"]), "first"),
        (says, "## TASK\n\nWRITE A POEM"),
        (lambda: "nothing asked for", "nothing asked for"),
        (lambda asked: asked.context["task"], "Write a poem"),
        (lambda prompt, context: [len(prompt), context], [22, {"task": "Write a poem"}]),
        (lambda question: "poem" in question, True),
        (lambda *args: str(args[0]).split()[-1], "poem"),
        (lambda name, step, folder: [name, step, folder.is_dir()], ["helper", "ask", True]),
        (lambda asked, other="x": f"{asked.name}{other}", "helperx"),
    ],
)
def test_an_agent_answers_what_the_test_says(answer: object, expected: object) -> None:
    """A text, a value, a function of what it names, or one after the other."""
    outcome = run_workflow(ASK, agents={"helper": answer})

    assert ("done", expected) == (outcome.status, outcome.output), outcome.error


def test_what_each_agent_was_asked_is_kept() -> None:
    """With the prompt that a real one would have been given."""
    text = flow(
        """
        - {name: one, agent: helper, context: {task: Begin}}
        - {name: two, agent: helper, context: {before: "${{ steps.one.output }}"}}
        """
    )

    outcome = run_workflow(text, agents={"helper": iter(["begun", "ended"]), "other": "x"})

    one, two = outcome.asked["helper"]
    assert ("one", "two") == (one.step, two.step)
    assert ("helper", "## before\n\nbegun\n", {"before": "begun"}) == (
        two.name,
        two.prompt,
        two.context,
    )
    assert "Begin" in one
    assert [] == outcome.asked["other"]


def test_an_agents_instructions_are_the_projects(tmp_path: Path) -> None:
    outcome = run_workflow(
        ASK, agents={"helper": "x"}, files={".maverick/agents/helper.md": "Be brief."}
    )

    assert "Be brief.\n\n## task\n\nWrite a poem\n" == outcome.asked["helper"][0].prompt


def test_an_agent_writes_files() -> None:
    """As a real one does, in the folder where it works."""
    text = flow(
        """
        - {name: ask, agent: helper, cwd: sub, context: {t: 1}}
        - {name: read, run: cat sub/a/poem.txt}
        """
    )

    outcome = run_workflow(
        text,
        agents={"helper": Reply(writes={"a/poem.txt": "Roses", "b.bin": b"\xff"})},
        files={"sub/x": ""},
    )

    assert "Roses" == outcome.output["stdout"]  # type: ignore[index, call-overload]
    assert b"\xff" == (outcome.folder / "sub/b.bin").read_bytes()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "."])
def test_nothing_is_written_beside_the_project(path: str) -> None:
    """It is the test that is wrong, and no step that fails."""
    with pytest.raises(UsageError, match="is not inside the project"):
        run_workflow(ASK, agents={"helper": Reply(writes={path: "x"})})
    with pytest.raises(UsageError, match="is not inside the project"):
        run_workflow(ASK, files={path: "x"})


def test_an_agent_without_an_answer_fails_saying_so() -> None:
    """No program is started, whatever is installed or configured."""
    outcome = run_workflow(
        ASK,
        agents={"helpr": "x"},
        files={"maverick.yaml": "agents: {helper: {provider: command, command: [touch, asked]}}"},
    )

    assert ("failed", "ask") == (outcome.status, outcome.failed_at)
    assert (
        "agent 'helper' is asked, and this test gives no answer for it; did you mean `helpr`?"
        in (outcome.error or "")
    )
    assert not (outcome.folder / "asked").exists()


def test_an_agent_that_is_not_come_to_needs_no_answer() -> None:
    text = flow("- {name: ask, when: 'false', agent: helper, context: {t: 1}}")

    assert "done" == run_workflow(text).status


def test_used_up_answers_are_told() -> None:
    text = flow("- {name: ask, agent: helper, context: {t: 1}, retry: {attempts: 3}}")

    outcome = run_workflow(text, agents={"helper": iter([ValueError("one"), OSError])})

    assert "agent helper: the answers of this test are used up" in (outcome.error or "")
    assert 3 == len(outcome.asked["helper"])


@pytest.mark.parametrize("wrong", ["no JSON", {"no": 1}, "{}"])
def test_an_answer_is_checked_as_a_real_one(wrong: object) -> None:
    """It is asked for once more, with what is wrong."""
    outcome = run_workflow(SCHEMA, agents={"helper": iter([wrong, {"ok": True}])})

    assert {"ok": True} == outcome.output, outcome.error
    first, second = outcome.asked["helper"]
    assert {"type": "object", "required": ["ok"]} == first.schema
    assert "not what was asked for" in second
    failed = run_workflow(SCHEMA, agents={"helper": wrong})
    assert "its answer is not what was asked for, also when asked again" in (failed.error or "")


def test_an_empty_answer_fails_as_a_program_that_prints_nothing() -> None:
    assert "its answer is empty" in (run_workflow(ASK, agents={"helper": " "}).error or "")


@pytest.mark.parametrize("fails", [OSError("429"), OSError, lambda: {}["x"]])
def test_an_agent_can_fail(fails: object) -> None:
    """So that what follows a failure can be tested."""
    text = flow(
        """
        - {name: ask, agent: helper, context: {t: 1}, continue_on_error: true}
        - {name: after, run: "echo '${{ steps.ask.status }}'"}
        """
    )

    outcome = run_workflow(text, agents={"helper": fails})

    assert "failed\n" == outcome.output["stdout"]  # type: ignore[index, call-overload]


def test_what_an_answer_asserts_is_raised() -> None:
    """Also where the workflow goes on after it; pytest then shows the line of the test."""

    def helper(asked: Asked) -> str:
        assert "novel" in asked
        return "x"

    text = flow("- {name: ask, agent: helper, context: {t: poem}, continue_on_error: true}")
    with pytest.raises(AssertionError, match="novel"):
        run_workflow(text, agents={"helper": helper})


def test_what_is_asserted_between_two_answers_is_raised() -> None:
    """An iterator is the test's as a function is: what goes wrong in it is no fault of ours."""

    def answers(task: str) -> Iterator[str]:
        yield "first"
        assert "novel" in task

    step = "- {name: NAME, agent: helper, context: {t: 1}}"
    text = flow("\n".join(step.replace("NAME", name) for name in ("ask", "again")))
    with pytest.raises(AssertionError, match="novel"):
        run_workflow(text, agents={"helper": answers("poem")})


def test_an_iterator_that_breaks_fails_the_step() -> None:
    text = flow("- {name: ask, agent: helper, context: {t: 1}}")

    outcome = run_workflow(text, agents={"helper": (int(word) for word in ["one"])})

    assert ("failed", "ask") == (outcome.status, outcome.failed_at)
    assert "agent helper: ValueError" in (outcome.error or "")


def test_a_generator_is_asked_as_an_agent_is() -> None:
    """By its name, with or without its ending; without an answer the shipped text is written."""
    text = flow("- {name: g, generator: commit_message, context: {diff: x}}")

    assert "feat: x" == run_workflow(text, agents={"commit_message": "feat: x"}).output
    named = run_workflow(text, agents={"commit_message_generator": "feat: y"})
    assert "feat: y" == named.output
    assert 1 == len(named.asked["commit_message_generator"])
    assert isinstance(run_workflow(text).output, str)


def test_a_generator_with_a_provider_needs_an_answer() -> None:
    """The shipped text would hide that an agent writes it elsewhere."""
    text = flow("- {name: g, generator: commit_message, context: {diff: x}}")

    outcome = run_workflow(text, files={"maverick.yaml": "agents: {default: {provider: claude}}"})

    assert "agent 'commit_message' is asked" in (outcome.error or "")


# --- actions --------------------------------------------------------------------------------------

CALL = flow(
    "- {name: push, action: git_push, kwargs: {remote: upstream}, timeout: 5m, retry: {attempts: 2, delay: 1h}}"
)


async def later(remote: str) -> dict[str, str]:
    return {"to": remote}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pushed": True}, {"pushed": True}),
        (None, None),
        (lambda remote: [remote], ["upstream"]),
        (lambda **options: options, {"remote": "upstream"}),
        (later, {"to": "upstream"}),
        (iter([OSError("offline"), "second"]), "second"),
    ],
)
def test_an_action_is_not_called(given: object, expected: object) -> None:
    """Its output is the test's; an hour before the next attempt takes no time."""
    outcome = run_workflow(CALL, actions={"git_push": given})

    assert ("done", expected) == (outcome.status, outcome.output), outcome.error
    assert {"remote": "upstream"} == outcome.called["git_push"][0].kwargs


def test_an_action_of_the_project_is_named_as_the_step_names_it() -> None:
    text = flow("- {name: a, action: 'tools.ml:train', args: [1, 2]}")

    outcome = run_workflow(text, actions={"tools.ml:train": lambda a, b: a + b})

    assert 3 == outcome.output, outcome.error
    assert (1, 2) == outcome.called["tools.ml:train"][0].args


def test_other_actions_are_real() -> None:
    text = flow("- {name: a, action: 'tools:double', args: [4]}")
    source = "def double(n):\n    return n * {}\n"

    for factor in (2, 3):
        files = {"tools.py": source.format(factor)}
        assert 4 * factor == run_workflow(text, files=files).output


def test_a_call_that_the_real_action_would_refuse_is_refused() -> None:
    """Else a test passes, and the workflow does not."""
    text = flow("- {name: push, action: git_push, kwargs: {remoat: x}}")

    with pytest.raises(WorkflowInvalid, match="remoat"):
        run_workflow(text, actions={"git_push": None})


def test_an_action_that_no_step_calls_is_refused() -> None:
    """The real one would be called in its place."""
    with pytest.raises(UsageError, match="calls the action 'git_pusch'; did you mean `git_push`"):
        run_workflow(CALL, actions={"git_pusch": None})


def test_a_rollback_can_be_stood_in_for() -> None:
    text = flow(
        """
        - {name: a, run: echo hello, rollback: git_push}
        - {name: b, run: exit 3}
        """
    )

    outcome = run_workflow(text, actions={"git_push": None})

    assert 1 == len(outcome.called["git_push"])


# --- the scratch project --------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, which is the current folder."""
    root = tmp_path / "project"
    (root / ".maverick/workflows").mkdir(parents=True)
    (root / ".maverick/checkpoints").mkdir()
    (root / ".gitignore").write_text("secret.txt\n")
    (root / "secret.txt").touch()
    (root / "data").mkdir()
    (root / "data/a.txt").write_text("original")
    (root / ".maverick/workflows/outer.yaml").write_text(
        HEAD.replace("flow", "outer") + "steps:\n  - {name: s, workflow: inner}\n"
    )
    (root / ".maverick/workflows/inner.yaml").write_text(
        HEAD.replace("flow", "inner")
        + "steps:\n  - {name: s, run: 'cat data/a.txt; echo changed > data/a.txt; ls -A'}\n"
    )
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("path", ["outer", ".maverick/workflows/outer.yaml"])
def test_a_workflow_of_a_project_runs_in_a_copy(project: Path, path: str) -> None:
    """With its other workflows and its files, but for what is ignored; it stays as it is."""
    outcome = run_workflow(path, files={"data/b.txt": "more"})

    listed = outcome.output["stdout"].split()  # type: ignore[index, call-overload, union-attr]
    assert ["original.gitignore", ".maverick", "data"] == listed, outcome.error
    assert "original" == (project / "data/a.txt").read_text()
    assert "changed\n" == (outcome.folder / "data/a.txt").read_text()
    assert [] == list((project / ".maverick/checkpoints").iterdir())


def test_a_project_is_left_out_or_named(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(flow("- {name: s, run: ls, parse: lines}"))

    alone = run_workflow(file, files={"x": ""})
    named = run_workflow(file, project=project)

    assert [["list.yaml", "x"], ["data", "list.yaml"]] == [
        outcome.output["value"]
        for outcome in (alone, named)  # type: ignore[index, call-overload]
    ]


def test_the_scratch_project_goes_with_what_was_given() -> None:
    outcome = run_workflow(ASK, agents={"helper": "x"})
    folder = outcome.folder
    assert folder.is_dir()

    del outcome
    gc.collect()

    assert not folder.parent.exists()


def test_a_scratch_project_is_made_where_the_test_says(tmp_path: Path) -> None:
    outcome = run_workflow(ASK, agents={"helper": "x"}, folder=tmp_path / "here")

    assert tmp_path / "here" == outcome.folder
    with pytest.raises(UsageError, match="is not empty"):
        run_workflow(ASK, folder=tmp_path / "here")


def test_the_users_own_workflows_and_environment_change_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".config/maverick/workflows").mkdir(parents=True)
    (home / ".config/maverick/workflows/mine.yaml").write_text(ASK)
    monkeypatch.setenv("MAVERICK_PROJECT", "/nowhere")
    text = flow("- {name: s, run: 'echo $A', parse: text}")

    outcome = run_workflow(text, env={"A": "b"})

    assert "b" in str(outcome.output)
    with pytest.raises(WorkflowInvalid, match="there is no workflow 'mine'"):
        run_workflow("mine")


def test_tests_in_threads_do_not_mix() -> None:
    outputs: dict[int, object] = {}

    def one(number: int) -> None:
        text = flow("- {name: a, action: 'tools:give'}")
        files = {"tools.py": f"def give():\n    return {number}\n"}
        outputs[number] = run_workflow(text, files=files).output

    threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {number: number for number in range(5)} == outputs


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: run_workflow("nothing.yaml"), UsageError),
        (lambda: run_workflow(Path("nothing")), UsageError),
        (lambda: run_workflow("nothing"), WorkflowInvalid),
        (lambda: run_workflow("a:\n  b"), WorkflowInvalid),
        (lambda: run_workflow(ASK, {"x": 1}), InputInvalid),
        (lambda: run_workflow(ASK, project="/nowhere"), UsageError),
        (lambda: run_workflow(ASK.replace("agent:", "agnet:")), WorkflowInvalid),
    ],
)
def test_what_cannot_be_run_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], error: type[Exception]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        call()


def test_all_is_the_public_surface() -> None:
    names = [name for name in maverick.testing.__all__ if hasattr(maverick.testing, name)]

    assert maverick.testing.__all__ == names == dir(maverick.testing)
    assert not hasattr(maverick.testing, "nothing")


def test_the_options_are_those_of_the_function() -> None:
    """The fixture takes them, too."""
    assert run_workflow.__kwdefaults__.keys() == Options.__annotations__.keys()


def test_a_rehearsed_run_can_be_resumed() -> None:
    """With the same answers, or those that are left of them."""
    text = flow(
        """
        - {name: one, agent: helper, context: {t: 1}}
        - {name: two, agent: helper, context: {t: 2}}
        """
    )
    outcome = run_workflow(text, agents={"helper": iter(["first", OSError("429"), "second"])})
    assert "two" == outcome.failed_at

    resumed = maverick.resume(outcome)

    assert ("done", "second", 1) == (resumed.status, resumed.output, resumed.counts.recalled)
    assert ["one", "two", "two"] == [asked.step for asked in outcome.asked["helper"]]
