"""The guide to workflows: its files and commands in order, its expressions, and that its tables
leave nothing out.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from maverick import library
from maverick.dsl.expressions import evaluate
from maverick.dsl.expressions.expressions import SourcePlace, parse_expression
from maverick.dsl.expressions.functions import FUNCTIONS
from maverick.dsl.expressions.scope import Frame
from maverick.dsl.serialization.steps import STEP_TYPES

GUIDE = Path(__file__).parents[2] / "docs" / "workflows.md"
TEXT = GUIDE.read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+) ?([^\n]*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
EXPRESSIONS = [
    tuple(part.strip() for part in line.split(" -> "))
    for kind, _, text in BLOCKS
    if kind == "expressions"
    for line in text.splitlines()
]


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{
            f"GIT_{who}_{what}": "ada@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }


def test_what_is_typed_gives_what_is_shown(tmp_path: Path) -> None:
    """From the first step to a fly that is resumed, in one folder, as a newcomer would."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "maverick.yaml").touch()
    environment = _environment(tmp_path / "home")
    for kind, about, text in BLOCKS:
        if kind == "console":
            for command, shown in _commands(text):
                done = subprocess.run(
                    ["sh", "-c", command],
                    cwd=project,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert (about == "fails") == (done.returncode != 0), (
                    f"{command}\n{done.stdout}\n{done.stderr}"
                )
                assert not shown or shown == done.stdout, command
        elif about:
            path = project / about
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")


def _commands(block: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ (.*)\n?", block, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("expression", "value"), EXPRESSIONS)
def test_expressions_give_what_is_shown(expression: str, value: str, tmp_path: Path) -> None:
    inputs = {"name": "Ada", "tags": ["a", "b"], "none": None}

    answer = evaluate.evaluate(
        parse_expression(expression, SourcePlace("guide", 1, 1)), Frame(inputs, {}, {}, tmp_path)
    )

    assert json.loads(value) == answer


def test_every_function_has_an_example() -> None:
    used = " ".join(expression for expression, _ in EXPRESSIONS)

    assert [] == [name for name in FUNCTIONS if f"{name}(" not in used]


@pytest.mark.parametrize(
    "names",
    [
        STEP_TYPES,
        library.ACTIONS,
        library.AGENT_PROMPTS,
        library.GENERATORS,
        library.CONTEXT_BUILDERS,
    ],
    ids=["step types", "actions", "agents", "generators", "context builders"],
)
def test_the_reference_names_all_there_are(names: list[str]) -> None:
    reference = TEXT.partition("# Reference\n")[2]

    assert [] == [name for name in names if f"`{name}`" not in reference]


def test_every_workflow_that_ships_is_in_the_reference() -> None:
    shipped = [
        path.stem
        for folder in (library.WORKFLOWS, library.FRAGMENTS)
        for path in folder.glob("*.yaml")
    ]

    assert [] == [name for name in shipped if f"| `{name}` |" not in TEXT]


def test_every_link_leads_to_a_heading() -> None:
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert set() == set(re.findall(r"\]\(#([^)]+)\)", TEXT)) - anchors
