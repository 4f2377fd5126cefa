"""Whatever stands in a run, no terminal obeys it: everything that people read passes one place."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kit.program import Program, Quick, read_terminal
from maverick.checkpoints import Store
from maverick.cli.terminal.progress import Lines
from maverick.dsl.events import Event, Kind

EVIL = "a\x1b]0;title\x07\x1b[31m\x9b2J\u202eb\rc\x7f\x08"
"""Sets the title, colours, clears the screen (by a C1 control), turns the direction of writing,
repaints.
"""
SGR = re.compile(r"\x1b\[(?:[1-9][0-9]?|0)m")
DRAWING = re.compile(r"\r|\x1b\[(?:J|\?7[hl]|[0-9]+A)")
"""By which the display of a run draws."""
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _check(text: str, where: object, *, coloured: bool = False) -> None:
    text = SGR.sub("", text) if coloured else text
    found = OBEYED.search(text)
    assert found is None, (where, found, text[max(found.start() - 200, 0) : found.end() + 50])


def _at_a_terminal(program: Program, *args: str) -> tuple[str, str]:
    """What a command writes to standard output and standard error where both are terminals."""
    reads, ends = zip(*(pty.openpty() for _ in range(2)), strict=True)
    with subprocess.Popen(
        [sys.executable, "-m", "maverick", *args],
        cwd=program.root,
        env={**program.environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=ends[0],
        stderr=ends[1],
    ):
        for end in ends:
            os.close(end)
        out, err = (read_terminal(read).decode().replace("\r\n", "\n") for read in reads)
    for read in reads:
        os.close(read)
    return out, err


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A project in which every name and text that may hold such characters does, and three runs of
    it.
    """
    program = Program(tmp_path_factory.mktemp("hostile") / "project")
    quoted = '"' + "".join(f"\\u{ord(c):04x}" for c in EVIL) + '"'
    program.file("evil.txt", EVIL)
    program.file("agent.sh", "cat evil.txt; echo; cat evil.txt >&2; exit 0\n")
    program.file(
        "maverick.yaml", "agents: {talker: {provider: command, command: [sh, agent.sh]}}\n"
    )
    (program.root / f"file{EVIL}.txt").write_text(EVIL)
    program.file(
        "flow.yaml",
        f"""
        version: "1.0"
        name: flow
        description: {quoted}
        inputs: {{text: {{type: string, default: {quoted}, description: {quoted}}}}}
        checkpoints: {{workspace: step}}
        steps:
          - name: list
            type: loop
            description: {quoted}
            for_each: ["${{{{ inputs.text }}}}"]
            key: item
            steps:
              - {{name: one, type: shell, run: 'cat evil.txt'}}
              - {{name: mark, type: checkpoint, checkpoint_id: "${{{{ inputs.text }}}}"}}
          - {{name: talk, type: agent, agent: talker, context: {{a: b}}}}
          - {{name: say, type: python, action: log_message, args: ["${{{{ inputs.text }}}}",
              warning]}}
          - name: tries
            type: shell
            run: cat evil.txt >&2; exit 3
            retry: {{attempts: 2}}
            continue_on_error: true
          - {{name: last, type: shell, run: 'test -e fixed || {{ cat evil.txt >&2; exit 3; }}'}}
        outputs: ${{{{ steps.list.output[0].stdout }}}}
        """,
    )
    program.run("run", "flow.yaml")
    (program.root / "more.txt").write_text(EVIL * 2)
    program.file("fixed", "")
    program.run("run", "flow.yaml")
    program.run("checkpoint", "tag", "@latest", EVIL)
    program.run("run", "flow.yaml", "-i", f"text={EVIL}2")
    return program


def _runs(program: Program) -> list[str]:
    return [ref.run for ref in Store.open(program.root / ".maverick" / "checkpoints").refs()]


LOOKS = [
    ("runs",),
    ("checkpoint", "list"),
    ("checkpoint", "log"),
    ("checkpoint", "show"),
    ("checkpoint", "show", "@latest:"),
    ("checkpoint", "show", "@latest:steps"),
    ("checkpoint", "show", "@latest:inputs"),
    ("checkpoint", "show", "@latest:workspace"),
    ("checkpoint", "diff", "NEW", "OLD"),
    ("checkpoint", "diff", "NEW", "OLD", "--stat"),
    ("checkpoint", "restore", "OLD", "--yes"),
    ("checkpoint", "undo", "--yes"),
    ("checkpoint", "gc", "--dry-run"),
    ("checkpoint", "fsck"),
    ("workflow", "list"),
    ("workflow", "show", "./flow.yaml"),
    ("workflow", "check", "./flow.yaml"),
    ("run", "flow.yaml", "--plan"),
    ("run", "--resume=OLD", "--plan", "-i", f"text={EVIL}"),
    ("run", "--resume=OLD", "-i", f"text={EVIL}3"),
    ("run", "flow.yaml"),
]
WRONG = [
    ("run", EVIL),
    ("run", f"{EVIL}.yaml"),
    ("run", "flow.yaml", "-i", EVIL),
    ("run", "flow.yaml", "-i", f"{EVIL}=1"),
    ("run", "flow.yaml", f"--{EVIL}"),
    ("run", "flow.yaml", "--inputs", EVIL),
    ("run", "flow.yaml", "--events", f"{EVIL}/x"),
    ("run", "--resume=" + EVIL),
    ("run", "--resume=OLD", "--from", EVIL),
    ("run", "--resume=OLD", "--skip", EVIL),
    (EVIL,),
    ("checkpoint", EVIL),
    ("checkpoint", "show", EVIL),
    ("checkpoint", "show", f"@latest:{EVIL}"),
    ("checkpoint", "cat", f"@latest:steps.{EVIL}"),
    ("checkpoint", "drop", EVIL),
    ("checkpoint", "export", "@latest", f"{EVIL}/x"),
    ("checkpoint", "import", EVIL),
    ("checkpoint", "restore", "OLD", EVIL, "--yes"),
    ("checkpoint", "restore", "OLD", "--to", "out" + EVIL),
    ("checkpoint", "edit", "OLD", f"inputs.{EVIL}", "--set", f"={EVIL}"),
    ("workflow", "show", EVIL),
    ("workflow", "check", EVIL),
]


@pytest.mark.parametrize(
    "command", [*LOOKS, *WRONG], ids=lambda command: ascii(" ".join(command))[1:60]
)
def test_no_command_lets_a_text_reach_the_terminal_as_it_is(
    hostile: Program, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not through its output, nor its errors; nor its JSON, if it has one."""
    monkeypatch.chdir(hostile.root)
    new, old = _runs(hostile)[0], _runs(hostile)[1]
    args = [part.replace("NEW", new).replace("OLD", old) for part in command]
    quick = Quick(hostile)

    done = quick(*args)

    _check(done.err, command)
    if command[0] != "run" or "--plan" in command:
        # Its output is a value, which a pipe gets as it is.
        _check(done.out, command)
    if (command[0] == "run" or command in LOOKS) and "undo" not in command:
        _check(quick(*args, "--json").out, command)


@pytest.mark.parametrize(
    "command",
    [
        ("run", "flow.yaml"),
        ("run", "flow.yaml", "--quiet"),
        ("run", "flow.yaml", "--json"),
        ("run", "flow.yaml", "--plan"),
        ("checkpoint", "show", "@latest:output"),
        ("checkpoint", "show", "@latest:workspace/evil.txt"),
        ("checkpoint", "log"),
    ],
    ids=" ".join,
)
def test_on_a_terminal_values_are_shown_and_colours_are_ours(
    hostile: Program, command: tuple[str, ...]
) -> None:
    out, err = _at_a_terminal(hostile, *command)

    _check(out, command, coloured=True)
    _check(DRAWING.sub("", err), command, coloured=True)
    assert "\\x1b" in out + err or "\\u" in out + err


def test_a_pipe_gets_values_as_they_are(hostile: Program) -> None:
    """What a program reads is the value, not a picture of it."""
    assert EVIL.encode() in hostile.bytes("checkpoint", "show", "@latest:workspace/evil.txt")
    assert EVIL.encode() == hostile.bytes("checkpoint", "cat", "@latest:workspace/evil.txt")
    run = hostile.bytes("run", "flow.yaml")
    assert EVIL.encode() in run


def test_the_help_of_a_workflow_of_the_project_is_shown(
    hostile: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository may bring a `fly` of its own."""
    monkeypatch.chdir(hostile.root)
    text = (hostile.root / "flow.yaml").read_text().replace("name: flow", "name: fly")
    hostile.file(".maverick/workflows/fly.yaml", text)

    done = Quick(hostile)("fly", "--help")

    _check(done.out + done.err, "help")
    assert "\\x1b" in done.out


def test_problems_of_a_file_are_shown(quick: Quick) -> None:
    """Names of fields, steps and files of a stranger's repository."""
    evil = "".join(f"\\u{ord(c):04x}" for c in EVIL)
    quick.program.file(
        "bad.yaml",
        f'version: "1.0"\nname: bad\n"k{evil}": 1\nsteps: [{{name: "{evil}", type: "{evil}"}}]',
    )

    done = quick("workflow", "check", "bad.yaml")

    assert 3 == done.code
    _check(done.err, "check")


def _events(text: str) -> Iterator[Event]:
    kinds: list[Kind] = [
        "run_started",
        "step_started",
        "step_output",
        "step_done",
        "step_retried",
        "step_failed",
    ]
    kinds += [
        "step_skipped",
        "step_recalled",
        "checkpoint_saved",
        "notice",
        "run_resumed",
        "run_finished",
    ]
    for kind in kinds:
        data = {"stream": "stdout", "text": f"{text}\n{text}", "attempt": 1}
        yield Event(event=kind, step=text, type="agent", message=text, seconds=1.0, data=data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.text(st.characters() | st.sampled_from("\x1b\r\n\x9b\u202e[]31m")))
@example(EVIL)
def test_no_event_moves_the_cursor(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Whatever an agent says, and whatever a step is called."""
    progress = Lines()
    for event in [*_events(text), *_events("other")]:
        progress(event)

    _check(capsys.readouterr().err, text)
