"""`show`, `logs` and `why` as people and programs read them."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Sequence

import pytest

from kit.pages import ROOT
from kit.program import Program, Quick
from maverick.views.run_page import AgentUse

FLOW = """
- {name: says, type: shell, run: "echo on stdout; echo on stderr >&2"}
- {name: each, type: loop, for_each: range(30), steps: [{name: one, type: shell, run: "true"}]}
- {name: fails, type: shell, retry: {attempts: 2}, run: "echo FAILED test_x; echo noise >&2; exit 3"}
- {name: after, type: shell, run: "true"}
"""
STEP_KEYS = [
    "path", "type", "status", "label", "started", "seconds", "attempts", "error", "reused_from",
    "assumed", "agent",
]  # fmt: skip
RUN_KEYS = [
    "run", "project", "workflow", "status", "started", "ended", "seconds", "inputs", "output",
    "error", "failed_at", "waiting", "notices", "resume", "steps", "totals",
]  # fmt: skip
TRY_KEYS = ["number", "started", "seconds", "status", "exit_code", "error"]
TOTALS_KEYS = ["seconds", "calls", "tokens_in", "tokens_out", "usd"]
WHY_KEYS = ["path", "did", "because", "changes"]
LOG_KEYS = ["path", "attempt", "stdout", "stderr", "prompt", "left_out"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A run whose third step failed."""
    program = Program(tmp_path_factory.mktemp("original") / "project")
    program.flow(FLOW)
    assert 1 == program.run("run", "flow.yaml").code
    return program


@pytest.fixture
def failed(original: Program, quick: Quick) -> Quick:
    quick.program.copy_of(original)
    return quick


def test_the_page_of_a_failed_run_has_why_and_what_to_do(failed: Quick) -> None:
    """Somebody with five minutes needs no other command."""
    lines = failed("show").out.splitlines()

    assert "failed" in lines[0]
    fails = next(number for number, line in enumerate(lines) if line.startswith("✗ fails"))
    assert "attempt 2" in lines[fails]
    assert ["  │ exit code 3: noise", "  │ stderr:", "  │   noise", "  │ stdout:"] == lines[
        fails + 1 : fails + 5
    ]
    assert any(line.startswith("· after") for line in lines)
    assert lines[-2].startswith("logs: maverick logs ")
    assert lines[-1].startswith("resume: maverick resume ")


def test_a_long_loop_is_folded_and_all_unfolds_it(failed: Quick) -> None:
    """The three that took longest are shown, the others counted."""
    folded = failed("show").out
    unfolded = failed("show", "--all").out

    assert "30 iterations: 30 done" in folded
    assert folded.count("✓ one") == 3
    assert unfolded.count("✓ one") == 30


@pytest.mark.parametrize("columns", [60, 100, 160])
def test_no_line_is_wider_than_the_terminal(failed: Quick, columns: int) -> None:
    """A line that wraps cannot be read."""
    out = failed("show", COLUMNS=str(columns)).out

    assert max(map(len, out.splitlines())) <= columns


def test_json_has_the_keys_of_the_contract(failed: Quick) -> None:
    """Scripts read them."""
    page = failed("show", "--json").json
    step = failed("show", "fails", "--json").json

    assert RUN_KEYS == list(page)
    assert all(list(one) == STEP_KEYS for one in page["steps"])
    assert [*STEP_KEYS, "output", "because", "tries"] == list(step)
    assert TRY_KEYS == list(step["tries"][0])
    assert [3, 3] == [one["exit_code"] for one in step["tries"]]
    assert TOTALS_KEYS == list(page["totals"])
    assert ("failed", "fails") == (page["status"], page["failed_at"])
    assert all(list(one) == LOG_KEYS for one in failed("logs", "--json").json)


@pytest.mark.parametrize(
    "keys", [RUN_KEYS, STEP_KEYS, AgentUse._fields, TOTALS_KEYS, TRY_KEYS, WHY_KEYS, LOG_KEYS]
)
def test_the_page_of_the_command_line_names_the_keys(keys: Sequence[str]) -> None:
    """Who writes a script looks there."""
    page = " ".join((ROOT / "docs" / "cli.md").read_text("utf-8").split())

    assert f"`{{{', '.join(keys)}}}`" in page


def test_why_has_a_reason_for_each_step(failed: Quick) -> None:
    """Steps that are made of steps run because those in them do."""
    reasons = failed("why", "--json").json

    assert ["says", "each[0].one"] == [reason["path"] for reason in reasons][:2]
    assert "fails" == reasons[-1]["path"]
    assert all(list(one) == WHY_KEYS for one in reasons)


def test_logs_give_what_a_step_wrote_byte_for_byte(failed: Quick) -> None:
    """In a pipe nothing is added to it."""
    assert "on stdout\non stderr\n" == failed("logs", "says").out
    assert "on stderr\n" == failed("logs", "says", "--stream", "stderr").out
    assert "FAILED test_x\nnoise\n" == failed("logs", "fails", "--attempt", "1").out


def test_logs_of_several_steps_name_the_step_of_each_line(failed: Quick) -> None:
    """Else nobody could tell whose line it is."""
    assert [
        "says | on stdout",
        "says | on stderr",
        "fails | FAILED test_x",
        "fails | noise",
    ] == failed("logs").out.splitlines()


@pytest.mark.parametrize("command", ["show", "logs", "why"])
def test_a_step_that_is_not_there_is_said_with_the_nearest(failed: Quick, command: str) -> None:
    """Exit code 10, as for all that is not there."""
    run = failed("runs", "--json").json[0]["run"]

    ended = failed(command, run, "fail")

    assert 10 == ended.code
    assert "did you mean `fails`?" in ended.err


@pytest.mark.parametrize("command", ["show", "logs", "why"])
def test_a_word_too_many_is_refused(failed: Quick, command: str) -> None:
    done = failed(command, "flow@latest", 'each["a', 'b"].one')

    assert (2, "") == (done.code, done.out)
    assert 'no place for b"].one; a path with blanks in it is one word if it is quoted' in done.err


def test_an_attempt_that_is_not_there_is_said(failed: Quick) -> None:
    """And how many there were can be seen."""
    assert 10 == failed("logs", "fails", "--attempt", "7").code
    assert 2 == failed("logs", "fails", "--stream", "both_of_them").code


def test_a_path_in_a_revision_prints_what_is_there(failed: Quick) -> None:
    """As `checkpoint show` does."""
    assert '"on stdout' in failed("show", "@latest:steps.says.output", "--json").out


def test_the_commands_that_a_step_names_can_be_typed(quick: Quick, program: Program) -> None:
    """Whatever is in the key of its iteration."""
    program.file("acts.py", "def many():\n    print('hi')\n    return list(range(50))\n")
    program.flow("""
    - name: each
      type: loop
      for_each: ["it's: \\"it\\""]
      key: ${{ item }}
      steps: [{name: one, type: python, action: 'acts:many'}]
    """)
    assert 0 == quick("run", "flow.yaml").code
    path = next(row["path"] for row in quick("show", "--json").json["steps"] if "." in row["path"])

    page = quick("show", path).out
    shown = re.search(r"or maverick (.*)\)", page)
    logs = re.search(r"logs: maverick (.*)", page)

    assert shown is not None
    assert logs is not None
    assert "49" in quick(*shlex.split(shown[1])).out
    assert "hi\n" == quick(*shlex.split(logs[1])).out


def test_what_an_agent_was_given_can_be_read(quick: Quick, program: Program) -> None:
    """Else nobody could say why it answered what it did."""
    (program.root / "maverick.yaml").write_text(
        "agents: {helper: {provider: command, command: [sh, -c, 'cat >/dev/null; echo yes']}}\n"
    )
    program.flow("- {name: asks, type: agent, agent: helper, context: {question: is it so}}")
    assert 0 == quick("run", "flow.yaml").code

    assert "is it so" in quick("logs", "asks", "--prompt").out
    assert "yes\n" == quick("logs", "asks").out
    assert "command" == quick("show", "asks", "--json").json["agent"]["provider"]


# --- what a terminal shows ------------------------------------------------------------------------

LONG = "the third of the four checks that were made did not come to what was expected of it"
WIDE = f"""
- name: fails
  type: shell
  run: |
    echo '{LONG}, {"x" * 90}' >&2
    exit 3
- {{name: each, type: loop, for_each: [1], steps: [{{name: one, type: shell, run: "true"}}]}}
"""


def _words(text: str) -> str:
    """*text* without what folding adds to it."""
    return "".join(word for word in text.split() if word != "│")


@pytest.fixture
def wide(quick: Quick, program: Program) -> Quick:
    """A run that failed with a line longer than a terminal is wide."""
    program.flow(WIDE)
    assert 1 == quick("run", "flow.yaml").code
    return quick


@pytest.mark.parametrize("words", [["show"], ["show", "fails"]])
@pytest.mark.parametrize("width", [60, 100, 160])
def test_an_error_is_folded_not_cut(wide: Quick, words: list[str], width: int) -> None:
    """It is what a person looks for; a script that failed is read, too."""
    out = wide(*words, COLUMNS=str(width)).out

    assert max(map(len, out.splitlines())) <= width
    assert _words(f"{LONG}, {'x' * 90}") in _words(out)
    if len(words) > 1:
        assert _words(f"echo '{LONG}, {'x' * 90}' >&2") in _words(out)


def test_all_shows_the_lines_of_an_error_that_were_left_out(quick: Quick, program: Program) -> None:
    """What is left out is said, and how to see it."""
    program.flow("- {name: fails, type: shell, run: 'seq 1000 1100 >&2; seq 2000 2100; exit 3'}")
    quick("run", "flow.yaml")

    cut = quick("show").out
    whole = quick("show", "--all").out

    error = quick("show", "fails", "--json").json["error"].splitlines()
    left_out = len(error) - 24 + 1
    assert f"({left_out} lines left out; --all shows them)" in cut
    assert "left out" not in whole
    assert all(f"│ {line}" in whole for line in error)


def test_a_step_shows_its_whole_reason(quick: Quick, program: Program) -> None:
    """Both values of what changed, on a narrow terminal as well."""
    program.file(
        "flow.yaml",
        """
version: "1.0"
name: flow
inputs: {text: {type: string}}
steps:
  - {name: a, type: shell, run: "${{ inputs.text }}"}
  - {name: b, type: shell, run: "exit 3"}
""",
    )
    quick("run", "flow.yaml", "-i", f"text=: {LONG}")
    quick("resume", "-i", f"text=: again {LONG}", "--change-inputs", "--rerun")

    for words in (["why"], ["show", "a"]):
        out = quick(*words, COLUMNS="60").out
        assert max(map(len, out.splitlines())) <= 60
        assert _words(f": {LONG} -> : again {LONG}") in _words(out)


def test_a_notice_is_folded(quick: Quick, program: Program) -> None:
    """As whatever a person has to know."""
    program.file(
        "flow.yaml",
        'version: "1.0"\nname: flow\nsteps: [{name: a, type: shell, run: "true"}]\n'
        f'notices: [{{when: "${{{{ true }}}}", message: "{LONG}"}}]\n',
    )
    quick("run", "flow.yaml")

    out = quick("show", COLUMNS="60").out

    assert max(map(len, out.splitlines())) <= 60
    assert _words(f"notice: {LONG}") in _words(out)


def test_why_of_a_first_execution_is_one_line(quick: Quick, program: Program) -> None:
    """That no step had run yet goes without saying; --all, a step and JSON say it."""
    program.flow(
        "- {name: a, type: shell, run: 'true'}\n- {name: b, type: shell, run: 'true'}\n"
        "- {name: c, type: shell, when: false, run: 'true'}"
    )
    quick("run", "flow.yaml")

    head, *others = quick("why").out.splitlines()

    assert head == "first execution: 2 steps ran (--all shows each)"
    assert ["c: its `when` does not hold"] == [line.split(None, 1)[1] for line in others]
    assert 3 == len(quick("why", "--all").out.splitlines()) == len(quick("why", "--json").json)
    assert "a: it had not finished yet" in quick("why", "a").out


def test_a_step_that_is_made_of_steps_has_no_reason(failed: Quick) -> None:
    """Those in it have."""
    assert "had not run" not in failed("show", "each").out
    assert "it ran because it had not finished yet" in failed("show", "says").out


def test_a_folded_loop_says_what_is_shown_of_it(failed: Quick) -> None:
    """Three of thirty, without a word why these."""
    assert "30 done (below: the longest; --all shows each)" in failed("show", COLUMNS="100").out


def test_times_are_those_of_the_persons_clock_with_their_zone(program: Program) -> None:
    """As in `runs` and `log`; JSON has UTC."""
    program.flow("- {name: a, type: shell, run: 'true'}")
    program.run("run", "flow.yaml")
    started = program.run("show", "--json").json["started"]
    hour, rest = int(started[11:13]), started[13:19]

    for words in (["show"], ["show", "a"], ["checkpoint", "show"]):
        assert re.search(
            rf"\d{{4}}-\d\d-\d\d {(hour + 5) % 24:02}:\d\d:\d\d NPT\b",
            program.run(*words, TZ="NPT-5").out,
        )
    assert f"{(hour + 5) % 24:02}{rest} NPT" in program.run("show", TZ="NPT-5").out


def test_a_run_that_was_changed_by_hand_says_how(failed: Quick) -> None:
    """As the list of runs does."""
    assert 0 == failed("checkpoint", "fork", "@latest~1", "--as", "second").code
    forked = failed("show", "--json").json["error"]
    assert 0 == failed("checkpoint", "edit", "second", "steps.says.output", "--set", "=1").code
    edited = failed("show", "--json").json["error"]

    assert re.fullmatch(r"forked from \S+ at \w+", forked)
    assert "edited steps.says.output" == edited
    assert any(line.endswith(f"  {edited}") for line in failed("runs", COLUMNS="").out.splitlines())


def test_a_killed_run_says_when_it_was_last_saved(quick: Quick, program: Program) -> None:
    """When it was killed nobody has noted."""
    program.flow("""
    - {name: quick, type: shell, run: "true"}
    - {name: waits, type: shell, run: "touch begun; test ! -e fails; sleep 600"}
    """)
    program.begin("run", "flow.yaml").wait_for(program.root / "begun").signal(signal.SIGKILL).end()

    head = quick("show").out.splitlines()[0]

    assert re.fullmatch(r"flow  killed, last saved \d+s ago, [\d.]+ m?s into the run", head)
    program.file("fails", "")
    assert 1 == program.run("resume").code  # What is left of the killed step is stopped.
