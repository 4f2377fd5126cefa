"""The pages of the reference: their expressions give what is shown, and their lists and tables leave
nothing out.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.pages import ROOT, Page
from maverick import library
from maverick.dsl.expressions import evaluate
from maverick.dsl.expressions.expressions import SourcePlace, parse_expression
from maverick.dsl.expressions.functions import FUNCTIONS
from maverick.dsl.expressions.scope import Frame
from maverick.dsl.journal import tree
from maverick.dsl.journal.tally import Standing
from maverick.dsl.serialization.steps import STEP_TYPES
from maverick.dsl.workflow.costs import Costs

LANGUAGE = Page(ROOT / "docs" / "language.md")
LIBRARY = Page(ROOT / "docs" / "library.md")
EXPRESSIONS = [
    tuple(part.strip() for part in line.split(" -> "))
    for block in Page(ROOT / "docs" / "expressions.md").blocks
    if block.language == "expressions"
    for line in block.text.splitlines()
]


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


def test_the_language_names_every_type_of_steps() -> None:
    assert [] == [name for name in STEP_TYPES if f"\n* **`{name}`** " not in LANGUAGE.text]


@pytest.mark.parametrize(
    "names",
    [
        library.ACTIONS,
        library.AGENT_PROMPTS,
        library.GENERATORS,
        library.CONTEXT_BUILDERS,
    ],
    ids=["actions", "agents", "generators", "context builders"],
)
def test_the_page_of_what_ships_names_all_there_are(names: list[str]) -> None:
    assert [] == [name for name in names if f"`{name}`" not in LIBRARY.text]


def test_every_workflow_that_ships_has_its_row() -> None:
    shipped = [
        path.stem
        for folder in (library.WORKFLOWS, library.FRAGMENTS)
        for path in folder.glob("*.yaml")
    ]

    assert [] == [name for name in shipped if f"| `{name}` |" not in LIBRARY.text]


def test_the_format_names_all_that_the_summary_of_a_ref_holds() -> None:
    full = Standing(1, 1, 1, Costs(1, 1, 1, 1.0), "e", "s", ("n",), {"w": 1}, "run at 3f2a9c000000")
    text = (ROOT / "docs" / "format.md").read_text("utf-8")
    entry = text.partition("\n* `summary`")[2].partition("\n* ")[0]

    assert len(Standing._fields) - 1 + len(Costs._fields) == len(full.fields())
    assert [] == [name for name in full.fields() if f"`{name}`" not in entry]


@pytest.mark.parametrize(
    "place",
    [
        *(tree.INPUTS, tree.DEFINITION, tree.OUTPUT, tree.FILES, tree.ABOUT_FILES, tree.ARTIFACTS),
        *(tree.RUN, tree.ASKED, tree.END, tree.EXECUTIONS, tree.NOTICES),
    ],
)
def test_the_format_names_what_stands_at_the_top_of_a_run_s_trees(place: tuple[str]) -> None:
    text = (ROOT / "docs" / "format.md").read_text("utf-8")
    section = text.partition("\n### 5.2 ")[2].partition("\n####")[0]

    assert f"`{place[0]}" in section
