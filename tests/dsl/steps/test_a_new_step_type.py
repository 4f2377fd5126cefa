"""A type of step is its file and one line of the table: no other file of the program knows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from kit.program import Program
from maverick.dsl.steps import TYPES, load_type

FILE = """
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from maverick.dsl.workflow.model import Mention, Step
from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.serialization.fields import Common, Fields
    from maverick.dsl.work import Tools, Work


@record(kw_only=True)
class TellStep(Step):
    kind = "tell"

    text: Field
    through: str

    def mentions(self) -> Iterator[Mention]:
        yield Mention("action", self.through, "through")


def read(fields: Fields, common: Common) -> TellStep:
    return TellStep(
        **common,
        text=fields.template("text", required=True),
        through=fields.text("through", required=True),
    )


def prepare(step: TellStep, frame: Frame, tools: Tools) -> Work:
    from maverick.dsl.expressions import evaluate
    from maverick.dsl.work import Work

    action = tools.catalog.action(step.through)
    text = evaluate.as_text(evaluate.render(step.text, frame))
    return Work(
        parts={"text": text, "through": action.identity}, run=lambda _: action.function(text)
    )
"""
_RUNNING = {"agents", "catalog", "engine", "journal", "processes", "work"}
"""Packages that only running a step needs."""
FLOW = """
version: "1.0"
name: flow
inputs: {word: {type: string, default: hello}}
steps:
  - {name: told, type: tell, text: "${{ inputs.word }}", through: "voices:shout"}
  - name: many
    type: loop
    for_each: [1, 2]
    steps:
      - {name: again, text: "${{ item }} ${{ steps.told.output }}", through: "voices:shout"}
  - {name: last, type: shell, run: "test -e ready"}
outputs: ${{ steps.many.output }}
"""


@pytest.fixture
def telling(tmp_path: Path) -> Program:
    """A project, and a program that has one more type of step."""
    program = Program(tmp_path / "project")
    steps = program.own_sources() / "dsl" / "steps"
    (steps / "tell.py").write_text(FILE)
    table = (steps / "__init__.py").read_text()
    (steps / "__init__.py").write_text(
        table.replace(
            '    "shell": TypeEntry',
            '    "tell": TypeEntry("tell", said_by="through"),\n    "shell": TypeEntry',
        )
    )
    program.file(
        "voices.py",
        """
        def shout(text):
            with open("told.txt", "a") as told:
                told.write(f"{text}\\n")
            return text.upper()
        """,
    )
    program.file("flow.yaml", FLOW)
    return program


def test_it_runs_and_is_recalled(telling: Program) -> None:
    failed = telling.run("run", "flow.yaml")
    telling.file("ready", "")
    plan = telling.run("run", "flow.yaml", "--resume", "--plan", "--json")
    resumed = telling.run("run", "flow.yaml", "--resume", "--json")

    told = (telling.root / "told.txt").read_text()
    assert (1, "hello\n1 HELLO\n2 HELLO\n") == (failed.code, told), failed.err
    assert [
        ("told", "tell", "recall"),
        ("many[0].again", "tell", "recall"),
        ("many[1].again", "tell", "recall"),
        ("last", "shell", "run"),
    ] == [(step["step"], step["type"], step["action"]) for step in plan.json["steps"]]
    assert (0, ["1 HELLO", "2 HELLO"]) == (resumed.code, resumed.json["output"]), resumed.err


def test_a_change_of_its_fields_is_noticed(telling: Program) -> None:
    telling.run("run", "flow.yaml")

    telling.file("flow.yaml", FLOW.replace("${{ inputs.word }}", "bye"))
    plan = telling.run("run", "flow.yaml", "--resume", "--plan", "--json").json

    assert {"told": ["text", "definition"]} == {
        step["step"]: [change["part"] for change in step["changed"]]
        for step in plan["steps"]
        if step["changed"]
    }


def test_it_is_checked(telling: Program) -> None:
    assert (0, "ok\n") == ((done := telling.run("workflow", "check", "flow.yaml")).code, done.out)

    telling.file(
        "wrong.yaml",
        """
        version: "1.0"
        name: wrong
        steps:
          - {name: a, type: tell, text: "${{ inputs.x }}", through: whisper}
          - {name: b, type: tell, through: "voices:shout", sound: loud}
          - {name: c, type: sing}
        """,
    )
    wrong = telling.run("workflow", "check", "wrong.yaml")

    assert 3 == wrong.code
    for problem in (
        "wrong.yaml:5:38: there is no input `x`",
        "wrong.yaml:5:61: unknown action `whisper`",
        "missing field `text`: a tell step needs it",
        "unknown field `sound` in a tell step",
    ):
        assert problem in wrong.err
    (listed,) = (line for line in wrong.err.splitlines() if "unknown step type `sing`" in line)
    assert "tell" in listed.partition("there are ")[2].replace(",", "").split()


def test_it_is_shown(telling: Program) -> None:
    shown = telling.run("workflow", "show", "flow.yaml")

    assert ["told", "tell", "voices:shout"] in [line.split() for line in shown.out.splitlines()]


def test_nothing_else_has_to_be_loaded_to_read_it(telling: Program) -> None:
    """Reading a workflow costs the types that it uses, without what only running them needs."""
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            dedent("""
                import sys
                from pathlib import Path
                from maverick.dsl.serialization.loader import parse_workflow

                parse_workflow(Path("flow.yaml").read_text(), "flow.yaml")
                print(*sorted(name for name in sys.modules if name.startswith("maverick.dsl")))
                """),
        ],
        cwd=telling.root,
        env=telling.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    own = {name for name in loaded if name.startswith("maverick.dsl.steps.")}
    assert {"maverick.dsl.steps.shell", "maverick.dsl.steps.tell"} == own
    assert [] == [name for name in loaded if not _RUNNING.isdisjoint(name.split("."))]


@pytest.mark.parametrize("kind", [kind for kind, entry in TYPES.items() if entry.file])
def test_the_file_of_a_type_has_what_the_program_asks_for(kind: str) -> None:
    loaded = load_type(kind)

    assert callable(loaded.prepare)
    assert "validate" == kind or callable(loaded.read)
