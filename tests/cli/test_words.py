"""Words that people type and that are called otherwise here."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from kit.program import Quick
from maverick.cli.commands import ORDER, checkpoint, workflow
from maverick.cli.typed.words import ACTING, CHANGING, LOOKING, unknown_command

TYPED = [
    "status",
    "list",
    "ls",
    "validate",
    "restore",
    "check",
    "init",
    "help",
    "version",
    "ps",
    "start",
    "exec",
    "continue",
    "retry",
    "rerun",
    "history",
    "rollback",
    "rm",
    "delete",
    "clean",
    "prune",
    "lint",
    "test",
    "tail",
    "cancel",
    "kill",
    "stop",
    "cat",
    "create",
    "tag",
]
MEMBERS = {"workflow": workflow.ORDER, "checkpoint": checkpoint.ORDER}
COMMAND = re.compile(r"`maverick ([^`]*)`")


def words(table: object) -> list[str]:
    assert isinstance(table, dict)
    return [word for group in table for word in group.split()]


def acts(command: str) -> bool:
    """Whether a command changes something: not where it only plans, or goes into a pipe."""
    name, *rest = command.split()
    last = rest[0] if name in MEMBERS and rest else name
    return last in ACTING and "--plan" not in rest and "--dry-run" not in rest


def said(word: str) -> str:
    return unknown_command("", word, [], ORDER, ORDER)


@pytest.mark.parametrize("word", TYPED)
def test_what_people_type_is_answered_with_a_command(quick: Quick, word: str) -> None:
    done = quick(word)

    assert (2, "") == (done.code, done.out)
    if word == "help":
        assert "error: there is no command `help`: `root --help` prints this" in done.err
        return
    assert f"there is no command `{word}`: " in done.err
    assert "maverick " in done.err.partition(f"`{word}`: ")[2]


@pytest.mark.parametrize("word", [*words(LOOKING), *words(CHANGING)])
def test_every_answer_names_commands_that_there_are(word: str) -> None:
    """With nothing of it misspelt; a word is answered once, and is itself no command."""
    answer = said(word).partition(f"`{word}`: ")[2]
    commands = COMMAND.findall(answer)

    assert 1 == (words(LOOKING) + words(CHANGING)).count(word)
    assert word not in ORDER
    assert commands
    for command in commands:
        name, *rest = command.split()
        assert name in ORDER or name.startswith("--"), command
        assert name not in MEMBERS or rest[0] in MEMBERS[name], command


def slips(word: str) -> set[str]:
    """What a hurried person types for *word*: a letter left out, twice, or before the other."""
    left_out = {word[:n] + word[n + 1 :] for n in range(len(word))}
    twice = {word[:n] + word[n] + word[n:] for n in range(len(word))}
    swapped = {
        word[:n] + b + a + word[n + 2 :] for n, (a, b) in enumerate(pairwise(word)) if a != b
    }
    return {slip for slip in left_out | twice | swapped if slip}


@pytest.mark.parametrize("word", words(LOOKING))
def test_what_changes_nothing_is_never_answered_with_what_does(word: str) -> None:
    """Also where it is misspelt: a suggestion is what a hurried person runs next."""
    for typed in {word, word.upper(), *slips(word)} - {*ORDER, *words(CHANGING)}:
        acting = [command for command in COMMAND.findall(said(typed)) if acts(command)]
        assert [] == acting, f"{typed}: {acting}"


@pytest.mark.parametrize("command", ["resume", "runs", "fly", "refuel", "checkpoint", "diff"])
def test_a_misspelt_command_is_named(command: str) -> None:
    """All that a hurried person types for it, but what is a command itself, or too short to say."""
    for typed in slips(command) - {*ORDER}:
        if len(typed) > 3:
            assert f"did you mean `maverick {command}`?" in said(typed), typed


def test_the_words_of_a_group_are_answered_in_it(quick: Quick) -> None:
    assert "did you mean `maverick checkpoint list`?" in quick("checkpoint", "lits").err
    assert "`maverick checkpoint drop RUN`" in quick("checkpoint", "delete").err
    assert "`maverick workflow check FILE`" in quick("workflow", "validate", "x.yaml").err
    err = quick("workflow", "run", "a b.yaml").err
    assert "of `maverick workflow`: `maverick run 'a b.yaml'` is one of the program" in err
    assert 2 == quick("checkpoint", "xyzzy").code
    assert quick("checkpoint", "xyzzy").err.startswith("error: there is no command `xyzzy` of ")


def test_what_nobody_thought_of_is_not_guessed_at(quick: Quick) -> None:
    """Nor does it take long to say so."""
    for word in ("xyzzy", "refuse", "x" * 100_000, "\x1b[31m", "日本"):
        done = quick(word)
        assert (2, "") == (done.code, done.out)
        assert done.err.endswith("--help`\n")
        assert "\x1b" not in done.err
        assert "maverick refuel" not in done.err


@pytest.mark.parametrize(
    "asked", [["runs"], ["checkpoint"], ["checkpoint", "log"], ["fly"], []], ids=" ".join
)
def test_help_is_printed_to_whoever_asks_for_it_by_a_word(quick: Quick, asked: list[str]) -> None:
    """On standard error, as where a command is missing; and how it is typed."""
    wanted = quick(*asked, "--help").out

    for typed in (["help", *asked], *([["checkpoint", "help", *asked[1:]]] if asked[1:] else [])):
        done = quick(*typed)
        assert (2, "") == (done.code, done.out)
        assert done.err.startswith(wanted.rstrip("\n"))
        assert f"{' '.join([*asked, '--help'])}` prints this" in done.err


def test_help_on_what_is_called_otherwise_is_answered_as_the_word_is(quick: Quick) -> None:
    assert quick("status").err == quick("help", "status").err
    assert quick("checkpoint", "rm").err == quick("help", "checkpoint", "rm").err


@pytest.mark.parametrize("option", ["-V", "-v"])
def test_other_options_for_the_version_are_answered(quick: Quick, option: str) -> None:
    assert (2, True) == (quick(option).code, "`maverick --version`" in quick(option).err)


@pytest.mark.parametrize("word", ["mcp", "answer", "ask", "test"])
def test_what_is_still_to_come_is_said_to_be_no_part_of_this_version(word: str) -> None:
    assert f"there is no command `{word}`: it is not part of this version" in said(word)


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_the_file_of_an_export_is_no_option(quick: Quick, option: str) -> None:
    done = quick("checkpoint", "export", "@latest", option, "run.maverick")

    assert 2 == done.code
    assert "FILE stands without it: `maverick checkpoint export REV FILE`" in done.err


def test_an_option_that_is_an_input_is_answered_with_how_it_is_given(quick: Quick) -> None:
    """`run fly --branch-name q` says what to type instead."""
    quick.program.file(
        "greet.yaml",
        """
        version: "1.0"
        name: greet
        inputs: {who: {type: string}, rerunn: {type: string, default: ''}}
        steps: [{name: one, type: shell, run: 'true'}]
        """,
    )

    assert (
        "; use `maverick fly`, or -i branch_name=q\n"
        in quick("run", "fly", "--branch-name", "q").err
    )
    assert "; use -i 'who=a b'\n" in quick("run", "greet.yaml", "--who", "a b").err
    assert "; use -i 'who=a b'\n" in quick("run", "-i", "x=1", "greet.yaml", "--who=a b").err
    assert "; use -i who=VALUE\n" in quick("run", "greet.yaml", "--who", "--json").err
    assert "; use -i rerunn=x\n" in quick("run", "greet.yaml", "--rerunn", "x").err
    assert "; inputs are given as -i NAME=VALUE\n" in quick("run", "greet.yaml", "--zzz", "x").err
    assert "; inputs are given as -i NAME=VALUE\n" in quick("run", "nope.yaml", "--zzz", "x").err
    assert (
        "(Possible options: --base-branch, --branch-name)\n"
        in quick("fly", "--branchname", "q").err
    )
    assert 2 == quick("run", "fly", "--branch-name", "q").code


def test_a_required_input_is_named_as_the_option_that_it_is(quick: Quick) -> None:
    """`branch_name` is how the file calls it; `--branch-name` is what is typed."""
    done = quick("fly")

    assert (2, True) == (done.code, done.err.endswith("\ngive --branch-name\n"))
    assert "give --branch" not in quick("fly", "--branch-name", "q", "-i", "nope=1").err
