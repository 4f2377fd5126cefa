"""A problem of a file shows the line that it stands in, with a caret below."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kit.program import Program, err_at_a_terminal
from maverick.cli.terminal.excerpts import excerpt_lines
from maverick.dsl.serialization.loader import check_workflow
from maverick.dsl.serialization.problems import with_excerpts
from maverick.errors import Excerpt, Problem
from maverick.visible import columns

WRONG = 'version: "1.0"\nname: w\nsteps:\n  - name: one\n    type: shel\n    if: true\n'


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "project")


def test_each_problem_shows_its_line_with_a_caret(program: Program) -> None:
    program.file("w.yaml", WRONG)

    done = program.run("workflow", "check", "w.yaml")

    assert (
        3,
        (
            "error: 2 problems:\n"
            "w.yaml:5:11: unknown step type `shel`; did you mean `shell`?\n"
            " 5 |     type: shel\n"
            "   |           ^^^^\n"
            "w.yaml:6:5: `if`: here it is `when`\n"
            " 6 |     if: true\n"
            "   |     ^^\n"
        ),
    ) == (done.code, done.err)


def test_a_message_is_folded_at_words(program: Program) -> None:
    """A word that is broken by the terminal can neither be read nor searched for."""
    program.file("w.yaml", WRONG.replace("shel\n", "a-type-with-a-name\n"))

    wide = program.run("workflow", "check", "w.yaml").err
    narrow = err_at_a_terminal(program, "workflow", "check", "w.yaml", COLUMNS="60")
    absent = err_at_a_terminal(program, "workflow", "check", "no-such", COLUMNS="60")

    assert max(map(columns, wide.splitlines())) > 60
    assert max(map(columns, (narrow + absent).splitlines())) <= 60
    assert wide.split() == narrow.split()


def test_a_file_that_is_not_there_is_named_once(program: Program) -> None:
    for name in ("./F.yaml", "no-such"):
        assert 1 == program.run("run", name).err.count(name.removeprefix("./"))


def test_warnings_and_maverick_yaml_show_their_lines(program: Program) -> None:
    program.file("maverick.yaml", "agents:\n  a: {provider: clod}\n")
    program.file(
        "w.yaml", 'version: "1.0"\nname: w\nsteps:\n  - {name: a, run: "echo {{ index }}"}\n'
    )

    config = program.run("workflow", "check", "w.yaml")
    syntax = program.run("workflow", "check", "w.yaml", "--syntax")

    assert " 2 |   a: {provider: clod}\n   |                 ^^^^\n" in config.err
    program.file("maverick.yaml", "")
    warned = program.run("workflow", "check", "w.yaml")
    assert 0 == warned.code, syntax.err
    assert (
        ' 4 |   - {name: a, run: "echo {{ index }}"}\n   |                          ^\n'
        in warned.err
    )


def test_what_may_be_a_secret_is_not_shown(program: Program) -> None:
    """Who writes the value where its name belongs has it in no log for that."""
    program.file("maverick.yaml", "secrets: [sk-1234567890]\nagent: {}\n")

    done = program.run("workflow", "list")

    assert 3 == done.code
    assert "`secrets` must be names of environment variables" in done.err
    assert " 2 | agent: {}" in done.err
    assert "sk-1234567890" not in done.err


def test_json_and_the_messages_stay_as_they_were(program: Program) -> None:
    program.file("w.yaml", WRONG)

    checked = program.run("workflow", "check", "w.yaml", "--json")
    ran = program.run("run", "w.yaml", "--json")

    assert {"severity", "file", "line", "column", "message"} == json.loads(checked.out)[0].keys()
    assert (
        "w.yaml:5:11: unknown step type `shel`; did you mean `shell`?\n"
        "w.yaml:6:5: `if`: here it is `when`"
    ) == ran.json["error"]
    assert "error: 2 problems:\n" + ran.json["error"] + "\n" == checked.err


def test_a_line_stands_once_under_problems_of_one_place(program: Program) -> None:
    program.file(
        "w.yaml",
        'version: "1.0"\nname: w\nsteps: [{name: a, run: x, when: "inputs.b or inputs.c"}]\n',
    )

    done = program.run("workflow", "check", "w.yaml")

    assert 2 == done.err.count("there is no input")
    assert 1 == done.err.count(" 3 | ")


@pytest.mark.parametrize("width", [60, 100, 160])
def test_a_line_of_a_megabyte_is_cut_around_the_problem(width: int) -> None:
    text = f'version: "1.0"\nname: w\nsteps: [{"x" * 450_000}, *nope, {"y" * 450_000}]\n'

    (problem,) = check_workflow(text, "w.yaml").problems
    shown, caret = excerpt_lines(problem.line, problem.excerpt, width)

    assert 2_000 > len(problem.excerpt.text)
    assert width >= columns(shown) > width - 4
    assert shown.startswith(" 3 | …")
    assert shown.endswith("…")
    assert "*" == shown[caret.index("^")]


def test_tabs_wide_characters_and_escapes_do_not_move_the_caret() -> None:
    line = "é\t日本e\u0301\x1b[31m\u202e: bad"
    excerpt = Excerpt(line, line.index("bad") + 1)

    shown, caret = excerpt_lines(7, excerpt, 60)

    assert " 7 | é    日本e\u0301\\x1b[31m\\u202e: bad" == shown
    assert columns(shown[: shown.index("bad")]) == caret.index("^")
    assert caret.endswith(" ^^^")


LINES = st.text(st.characters(exclude_characters="\n\r\x85\u2028\u2029"), max_size=300)


@given(LINES, st.integers(1, 301), st.sampled_from([60, 61, 100]))
@example("", 1, 60)
@example("日" * 100, 60, 60)
def test_a_caret_stands_below_the_character_of_the_problem(
    line: str, column: int, width: int
) -> None:
    """Whatever the line holds: it fits, nothing in it is obeyed, and the caret is where it was."""
    column = min(column, len(line) + 1)
    (problem,) = with_excerpts([Problem("w", 1, column, "m")], {"w": line})

    lines = excerpt_lines(1, problem.excerpt, width) if problem.excerpt.text else ["", ""]

    assert all(columns(each) <= width for each in lines)
    assert not any("\x1b" in each or "\n" in each or "\t" in each for each in lines)
    if column <= len(line) and line[column - 1].isalnum() and line[column - 1].isascii():
        at = lines[1].index("^")
        before = next(
            n
            for n in range(len(lines[0]))
            if columns(lines[0][:n]) == at and lines[0][n] == line[column - 1]
        )
        assert before >= 0
