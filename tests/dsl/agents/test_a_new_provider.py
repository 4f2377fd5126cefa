"""A program that can play an agent is one file: nothing else of the program knows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit.program import Program
from maverick.dsl.agents.provider import load_provider
from maverick.dsl.catalog.config import provider_names

FILE = """
from maverick.dsl.agents.provider import Provider, Setting


def read(line, answer):
    answer.begun = answer.finished = True
    answer.session = line.text("session")
    answer.set_text(line.text("said"))
    return f"{line.text('said')}\\n"


PROVIDER = Provider(
    name="parrot",
    command=("parrot", "--json"),
    model_flag="--voice",
    settings=(Setting(option="perch", flag="--perch", default="left", values=("left", "right")),),
    reader=read,
    package="@birds/parrot",
)
"""
PARROT = """#!/bin/sh
read -r first
echo "$@" > words
echo "{\\"session\\": \\"s1\\", \\"said\\": \\"$first\\"}"
"""
FLOW = """
version: "1.0"
name: flow
steps: [{name: ask, type: agent, agent: bird, context: {task: Sing}}]
"""


@pytest.fixture
def talking(tmp_path: Path) -> Program:
    """A project whose agent is played by a program that this maverick knows."""
    program = Program(tmp_path / "project")
    agents = program.own_sources() / "dsl" / "agents"
    (agents / "providers" / "parrot.py").write_text(FILE)
    program.file("flow.yaml", FLOW)
    program.file("maverick.yaml", "agents: {bird: {provider: parrot, model: grey}}\n")
    program.file(".maverick/agents/bird.md", "Polly!\n")
    program.environment["PATH"] = f"{program.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return program


def test_it_plays_an_agent(talking: Program) -> None:
    talking.file("bin/parrot", PARROT).chmod(0o755)

    done = talking.run("run", "flow.yaml", "--json")

    assert (0, "Polly!") == (done.code, done.json["output"]), done.err
    assert "--json --perch left --voice grey\n" == (talking.root / "words").read_text()


def test_where_it_is_not_installed_that_is_told_with_how_to_get_it(talking: Program) -> None:
    done = talking.run("run", "flow.yaml")

    assert 1 == done.code
    assert "`npm install -g @birds/parrot`" in done.err


def test_its_options_are_known(talking: Program) -> None:
    talking.file("bin/parrot", PARROT).chmod(0o755)
    talking.file("maverick.yaml", "agents: {bird: {provider: parrot, options: {perch: top}}}\n")

    done = talking.run("run", "flow.yaml")

    assert "agent 'bird': option 'perch' has to be one of left, right" in done.err


def test_messages_list_it(talking: Program) -> None:
    talking.file("maverick.yaml", "agents: {bird: {provider: owl}}\n")

    done = talking.run("run", "flow.yaml")

    assert (
        "`provider` must be claude, codex, gemini, opencode, copilot, parrot, command or none"
        in done.err
    )


@pytest.mark.parametrize("name", provider_names())
def test_the_file_of_a_provider_is_named_as_it(name: str) -> None:
    assert name == load_provider(name).name
