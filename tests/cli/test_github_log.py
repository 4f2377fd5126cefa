"""What GitHub's runner obeys of what is printed in a job: commands of our own, nothing else.

`_obeys` is how the runner reads a line (ActionCommand.cs of actions/runner), with what a comparison
may pass over that knows languages.
"""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kit.program import Program
from maverick.cli.github.job_log import GithubLog, command_line, disarmed, disarmed_json

_PASSED_OVER = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u200b-\u200f\u2060\ufe0f\ufeff]")


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def _obeys(line: str) -> bool:
    seen = _PASSED_OVER.sub("", line)
    return seen.lstrip().startswith("::") or "##[" in seen


_PIECES = st.lists(
    st.text(st.sampled_from("::##[[]ex \t\r\n\u00a0\u200b\ufeff\u2028\x1b"), max_size=8), max_size=8
)


@given(_PIECES)
@example(["  ", ":", ":error::x"])
@example(["a#", "#", "[error]x"])
@example(["x\r", "::error::x"])
def test_no_text_that_comes_in_pieces_is_obeyed(pieces: list[str]) -> None:
    """And nothing is lost but the signs that would be."""
    out = io.StringIO()
    log = GithubLog(out)
    for piece in pieces:
        log.write(piece)
    log.end()

    assert not any(map(_obeys, _lines(out.getvalue())))
    shown = out.getvalue().replace(r"\x3a", ":").replace(r"\x5b", "[")
    assert "".join(pieces) == shown


@given(_PIECES)
def test_a_text_is_disarmed_as_its_pieces_are(pieces: list[str]) -> None:
    text = "".join(pieces)

    assert not any(map(_obeys, _lines(disarmed(text))))
    assert disarmed(text) == disarmed(disarmed(text))


@given(st.recursive(st.text(st.sampled_from("#[:x\u200b ")), st.lists, max_leaves=5))
def test_json_keeps_its_value(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)

    assert value == json.loads(disarmed_json(text))
    assert not any(map(_obeys, _lines(disarmed_json(text))))


@pytest.mark.parametrize(
    "text", ["a::b", "# #[x]", "::", "std::vector", "#[derive]", "a: :", "## x"]
)
def test_what_is_not_obeyed_stays_as_it_is(text: str) -> None:
    assert (text if text != "::" else r"\x3a:") == disarmed(text)


_NAMES = st.text(min_size=1, max_size=12)


@given(_NAMES, _NAMES, _NAMES)
def test_a_command_says_exactly_what_it_is_given(data: str, file: str, title: str) -> None:
    """Whatever stands in it, the runner reads one line with these values."""
    line = command_line("error", data, file=file, line=3, title=title)

    assert 1 == len(_lines(line))
    assert (data, {"file": file, "line": "3", "title": title}) == _parsed(line)


def _parsed(line: str) -> tuple[str, dict[str, str]]:
    """Read a command as the runner does."""
    end = line.index("::", 2)
    _, _, properties = line[2:end].partition(" ")
    pairs = (each.split("=", 1) for each in properties.split(",") if each)
    return _unescaped(line[end + 2 :]), {key: _unescaped(value) for key, value in pairs}


def _unescaped(text: str) -> str:
    for escape, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escape, sign)
    return text


@given(_PIECES, _PIECES)
def test_a_command_stands_on_a_line_of_its_own(before: list[str], after: list[str]) -> None:
    """Also behind a line that has not ended; it is the only one that is obeyed."""
    out = io.StringIO()
    log = GithubLog(out)
    for piece in before:
        log.write(piece)
    log.command("group", "a step")
    for piece in after:
        log.write(piece)
    log.end()

    assert ["::group::a step"] == list(filter(_obeys, _lines(out.getvalue())))


# --- the program ----------------------------------------------------------------------------------

HOSTILE = b"::set-output name=a::b\n  ::error::e\n x ##[add-mask]e\n\xef\xbb\xbf::warning::w\na\r::debug::d\n"


def _commands(text: str) -> list[str]:
    return [line for line in _lines(text) if _obeys(line)]


@pytest.fixture
def job(program: Program) -> Program:
    """A project in a job of GitHub Actions."""
    program.environment["GITHUB_ACTIONS"] = "true"
    program.file("hostile", "").write_bytes(HOSTILE)
    return program


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"], ["--progress", "json"], ["-v"]])
def test_what_steps_print_and_give_is_not_obeyed(job: Program, options: list[str]) -> None:
    """Whatever is asked for, on either stream, from shells and actions, failed or done."""
    job.file(
        "tools.py",
        "def say():\n    print(open('hostile').read(), end='')\n    return '##[error]x'\n",
    )
    job.flow("""
        steps:
          - {name: a, type: shell, run: "cat hostile; cat hostile >&2"}
          - {name: b, type: python, action: 'tools:say'}
          - {name: c, type: shell, run: "cat hostile >&2; test -e ready"}
        outputs: ${{ steps.a.output.stdout }}
        """)
    failed = job.run("run", "flow.yaml", *options)
    job.file("ready", "")
    done = job.run("run", "flow.yaml", "--resume", *options)

    assert (1, 0) == (failed.code, done.code), failed.err + done.err
    ours = ("::group::", "::endgroup::", "::error file=flow.yaml,", "::warning ")
    for each in (failed, done):
        assert [] == _commands(each.out)
        assert [] == [line for line in _commands(each.err) if not line.startswith(ours)]
    if "--json" in options:
        assert HOSTILE.decode() == done.json["output"]


def test_names_that_people_give_are_not_obeyed(job: Program) -> None:
    """Of files, steps and labels, in listings and errors."""
    job.flow(
        """
        steps:
          - {name: a, type: checkpoint, checkpoint_id: "x ##[error]y"}
          - {name: b, type: shell, run: "true", nonsense: "::error::n"}
        """
    )
    done = job.run("workflow", "check", "flow.yaml")
    missing = job.run("run", "##[error]n.yaml")
    usage = job.run("run", "flow.yaml", "--::error::x")
    job.flow("steps: [{name: a, type: checkpoint, checkpoint_id: 'x ##[error]y'}]")
    ran = job.run("run", "flow.yaml")
    listed = [job.run("checkpoint", "log", "@latest"), job.run("checkpoint", "list", "--json")]

    assert [3, 3, 2, 0] == [it.code for it in (done, missing, usage, ran)]
    for each in (done, missing, usage, ran, *listed):
        ours = [line for line in _commands(each.out + each.err) if not line.startswith("::")]
        assert [] == ours, each


def test_what_is_printed_of_a_run_is_not_obeyed_and_files_get_every_byte(job: Program) -> None:
    job.flow("steps: [{name: a, type: shell, run: cat hostile}]")
    assert 0 == job.run("run", "flow.yaml", "--quiet").code

    shown = job.run("checkpoint", "show", "@latest:steps.a.output.stdout")
    logs = job.run("logs", "@latest")
    job.shell("maverick checkpoint show @latest:steps.a.output.stdout > file")

    assert [] == _commands(shown.out) + _commands(logs.out)
    assert HOSTILE == (job.root / "file").read_bytes()


def test_what_a_step_writes_while_somebody_follows_it_is_not_obeyed(job: Program) -> None:
    """Wherever a line is torn."""
    wait = "while [ ! -e go ]; do sleep 0.02; done"
    job.flow(
        f"steps: [{{name: a, type: shell, run: 'cat hostile; printf :; {wait}; echo :error::f'}}]"
    )
    run = job.begin("run", "flow.yaml")
    run.wait_for_line("name=a")
    told = '"$@" | { IFS= read -r line; touch begun; printf "%s\\n" "$line"; cat; }'
    logs = job.begin("logs", "-f", "@latest", "a", under=["sh", "-c", told, "-"])
    logs.wait_for(job.root / "begun")
    job.file("go", "")
    followed = logs.end()

    assert (0, 0) == (run.end().code, followed.code)
    assert "error::f" in followed.out
    assert [] == _commands(followed.out)


def test_elsewhere_nothing_is_changed(job: Program) -> None:
    job.flow("""
        steps: [{name: a, type: shell, run: cat hostile}]
        outputs: ${{ steps.a.output.stdout }}
        """)

    done = job.run("run", "flow.yaml", GITHUB_ACTIONS="false")

    assert done.out.startswith("::set-output name=a::b\n  ::error::e\n x ##[add-mask]e\n")
    assert "::group::" not in done.err


def test_an_output_that_is_printed_with_escapes_is_told(job: Program) -> None:
    job.flow("""
        steps: [{name: a, type: shell, run: cat hostile}]
        outputs: ${{ steps.a.output.stdout }}
        """)

    done = job.run("run", "flow.yaml")

    assert r"\x3a:set-output name=a::b" in done.out
    assert "`--json` and GITHUB_OUTPUT have it as it is" in done.err
