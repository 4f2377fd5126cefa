"""`workflow list --actions`, `--agents` and `--contexts`: what a workflow can name, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.program import Program
from maverick import library
from maverick.visible import columns


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path / "project")
    program.file(
        "tools/acts.py",
        '''
        """Actions."""
        from __future__ import annotations


        def shout(text: str, *, times: int = 2) -> str:
            """Say it
            loudly.

            More of it.
            """
            return text * times


        def plain(x): return x


        def git_branch():
            """Hides nothing: what ships goes first."""


        def _hidden(): ...
        ''',
    )
    program.file(".maverick/agents/painter.md", "You paint \x1b[31mred\x1b[0m.\n\nMore.")
    program.file(
        "maverick.yaml",
        """
        actions: [tools.acts, tools.nosuch]
        agents:
          default: {provider: codex, model: gpt-5}
          helper: {provider: command, command: [cat]}
          pr_title: {provider: none}
        """,
    )
    return program


def test_actions_have_their_signatures_and_the_first_line_of_their_docstrings(
    program: Program,
) -> None:
    done = program.run("workflow", "list", "--actions", "--json")
    rows = {row["name"]: row for row in done.json}

    assert {*library.ACTIONS, "shout", "plain"} == rows.keys()
    assert {
        "name": "shout",
        "source": "tools.acts",
        "reference": "tools.acts:shout",
        "signature": "(text: str, *, times: int = 2) -> str",
        "about": "Say it loudly.",
    } == rows["shout"]
    assert ("(x)", "") == (rows["plain"]["signature"], rows["plain"]["about"])
    assert "built in" == rows["git_branch"]["source"]
    assert all(row["about"] for row in rows.values() if row["source"] == "built in")
    assert sorted(rows) == list(rows)


def test_a_module_that_cannot_be_imported_is_told_and_the_others_are_listed(
    program: Program,
) -> None:
    done = program.run("workflow", "list", "--actions")

    assert 0 == done.code
    assert "warning: cannot import 'tools.nosuch'" in done.err
    assert "shout(text: str, *, times: int = 2) -> str\n  Say it loudly. [tools.acts]\n" in done.out


def test_agents_have_the_program_that_plays_them(program: Program) -> None:
    rows = {row["name"]: row for row in program.run("workflow", "list", "--agents", "--json").json}

    assert {
        *library.AGENT_PROMPTS,
        *library.GENERATORS,
        "default",
        "helper",
        "painter",
    } == rows.keys()
    assert {
        "name": "implementer",
        "source": "built in",
        "provider": "codex",
        "model": "gpt-5",
    } == {key: rows["implementer"][key] for key in ("name", "source", "provider", "model")}
    assert ("maverick.yaml", "command", "") == (
        rows["helper"]["source"],
        rows["helper"]["provider"],
        rows["helper"]["model"],
    )
    assert ".maverick/agents/painter.md" == rows["painter"]["source"]
    assert "none" == rows["pr_title"]["provider"]


def test_contexts_are_listed(program: Program) -> None:
    rows = program.run("workflow", "list", "--contexts", "--json").json

    assert sorted(library.CONTEXT_BUILDERS) == [row["name"] for row in rows]
    assert all(row["about"] and row["signature"] for row in rows)


def test_two_lists_at_once_are_refused(program: Program) -> None:
    done = program.run("workflow", "list", "--actions", "--agents")

    assert (2, True) == (done.code, "choose one of --actions, --agents and --contexts" in done.err)


@pytest.mark.parametrize("width", ["60", "100", "160"])
@pytest.mark.parametrize("what", [[], ["--actions"], ["--agents"], ["--contexts"]])
def test_a_list_fits_the_terminal_and_nothing_in_it_is_obeyed(
    program: Program, width: str, what: list[str]
) -> None:
    done = program.run("workflow", "list", *what, COLUMNS=width)

    assert 0 == done.code
    assert [] == [line for line in done.out.splitlines() if columns(line) > int(width)]
    assert "\x1b" not in done.out
