"""Agents that are programs of the project's own: `provider: command`."""

from __future__ import annotations

import json

import pytest

from kit.agents import Agents
from maverick.dsl.agents import answers, conversation, heard

SCHEMA = '{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}'
ASK = "- {name: ask, type: agent, agent: helper, context: {task: Write it, n: [1]}}"
ASK_JSON = (
    "- {name: ask, type: agent, agent: helper, context: {task: Write it}, output_schema: "
    f"{SCHEMA}}}"
)


def script(agents: Agents, text: str, more: str = "") -> None:
    """Let the agent `helper` be a shell script."""
    agents.runs.file("agent.sh", text)
    agents.configure(f"{{helper: {{provider: command, command: [sh, agent.sh], {more}}}}}")


def test_it_gets_the_prompt_and_the_names_of_two_files(agents: Agents) -> None:
    script(
        agents,
        'cat > got; env | grep ^MAVERICK_ | sort > names; cat "$MAVERICK_CONTEXT" > context; echo '
        '" Done. "',
    )

    execution = agents.ask(flow=ASK)

    root = agents.runs.root
    names = dict(line.split("=", 1) for line in (root / "names").read_text().splitlines())
    assert "Done." == execution.output
    assert "## task\n\nWrite it\n\n## n\n\n```json\n[\n  1\n]\n```\n" == (root / "got").read_text()
    assert {"task": "Write it", "n": [1]} == json.loads((root / "context").read_text())
    assert ("helper", "ask") == (names["MAVERICK_AGENT"], names["MAVERICK_STEP"])
    assert names["MAVERICK_IDEMPOTENCY_KEY"]
    assert names["MAVERICK_OUTPUT"].endswith(".json")


def test_a_file_that_it_writes_is_the_answer_and_what_it_prints_is_not(agents: Agents) -> None:
    script(agents, """echo talk; echo '{"n": 1}' > "$MAVERICK_OUTPUT" """)

    assert {"n": 1} == agents.ask(flow=ASK).output
    assert {"n": 1} == agents.ask(flow=ASK_JSON).output


def test_with_a_schema_what_it_prints_is_read_as_json(agents: Agents) -> None:
    script(agents, """echo 'The number:'; echo '```json'; echo '{"n": 1}'; echo '```'""")

    assert {"n": 1} == agents.ask(flow=ASK_JSON).output


def test_a_wrong_answer_is_corrected_with_the_whole_task(agents: Agents) -> None:
    """It remembers nothing, so that it is told the task, its answer, and what is wrong with
    that.
    """
    script(agents, """test -e again && echo '{"n": 2}' || echo '{"n": "x"}'; cat > again""")

    execution = agents.ask(flow=ASK_JSON)

    told = (agents.runs.root / "again").read_text()
    assert {"n": 2} == execution.output
    assert told.startswith("## task\n\nWrite it\n\n## Your answer\n\nEnd with")
    assert (
        '## Your answer so far\n\nYou have done this task already, and answered:\n\n{"n": "x"}'
        in told
    )
    assert (
        "not what was asked for: it does not fit output_schema at $.n: 'x' is not of type "
        "'integer'." in told
    )


def test_a_file_that_is_no_json_is_told_twice_and_then_fails(agents: Agents) -> None:
    script(agents, 'echo no > "$MAVERICK_OUTPUT"')

    assert agents.failure("", flow=ASK).startswith(
        "agent helper: its answer is not what was asked for, also when"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo bad luck >&2; exit 3", "exit code 3: bad luck"),
        ("echo bad luck; exit 3", "exit code 3: bad luck"),
        ("exit 3", "exit code 3"),
        (":", "it printed nothing"),
        ("echo; echo hm >&2", "it printed nothing; the last it said: hm"),
    ],
)
def test_a_failure_shows_its_last_lines(agents: Agents, text: str, expected: str) -> None:
    script(agents, text)

    assert f"agent helper: {expected}" == agents.failure("", flow=ASK)


def test_its_network_is_its_own_business(agents: Agents) -> None:
    """Nobody knows what its words mean: the step's `retry` is there for it."""
    script(agents, "echo x >> log; echo ECONNREFUSED >&2; exit 1")

    agents.failure("", flow=ASK)

    assert "x\n" == (agents.runs.root / "log").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "yes | head -c 3000",
            (
                "printed more than 0 MiB; its answer is all that it prints, unless it writes one to "
                "MAVERICK_OUTPUT"
            ),
        ),
        (
            'yes | head -c 3000 > "$MAVERICK_OUTPUT"; echo x',
            "wrote more than 0 MiB to MAVERICK_OUTPUT",
        ),
    ],
)
def test_an_answer_without_end_is_refused(
    agents: Agents, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    for module in (answers, conversation, heard):
        monkeypatch.setattr(module, "ANSWER_CHARACTERS", 2000)
    script(agents, text)

    assert f"agent helper: it {expected}" == agents.failure("", flow=ASK)


def test_megabytes_on_standard_error_are_no_part_of_the_answer(agents: Agents) -> None:
    script(agents, "yes 'A line of noise, as long as most.' | head -c 5000000 >&2; echo Done.")

    assert "Done." == agents.ask(flow=ASK).output


def test_arguments_and_variables_reach_it(agents: Agents) -> None:
    script(agents, 'echo "$1 $COLOUR"', "options: {args: [first], env: {COLOUR: red}}")

    assert "first red" == agents.ask(flow=ASK).output


def test_it_needs_no_prompt(agents: Agents) -> None:
    """It may know what to do by its name."""
    script(agents, "echo Done.")

    assert "Done." == agents.ask(flow="- {name: ask, type: agent, agent: helper}").output


@pytest.mark.parametrize(
    "makes",
    ['mkfifo "$MAVERICK_OUTPUT"', 'ln -s /dev/zero "$MAVERICK_OUTPUT"', 'mkdir "$MAVERICK_OUTPUT"'],
    ids=["a pipe", "a link", "a folder"],
)
def test_what_is_no_plain_file_is_no_answer(agents: Agents, makes: str) -> None:
    """Nobody waits for what a pipe will give, or reads a device to its end."""
    script(agents, f"{makes}; echo x")
    agents.runs.flow(ASK)

    assert "MAVERICK_OUTPUT: output.json " in agents.runs.start().error
