"""The JSON Schemas take what the loader takes, and every field in them says what it is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from maverick import library
from maverick.dsl.catalog import about
from maverick.dsl.catalog.config import parse_config
from maverick.dsl.catalog.schema import config_schema, workflow_schema
from maverick.dsl.serialization.foreign_words import INPUT_WORDS, STEP_WORDS, WORKFLOW_WORDS
from maverick.dsl.serialization.loader import check_workflow
from maverick.dsl.serialization.yaml_nodes import compose, plain_value
from maverick.dsl.steps import TYPES
from maverick.errors import WorkflowInvalid

ROOT = Path(__file__).parents[3]
WORKFLOWS = Draft202012Validator(workflow_schema())
CONFIGS = Draft202012Validator(config_schema())
HEAD = 'version: "1.0"\nname: w\nsteps:\n'


def value_of(text: str) -> Any:
    node, problems = compose(text, "w.yaml")
    assert node is not None, problems
    return plain_value(node)


def shipped() -> list[Path]:
    return [*library.WORKFLOWS.glob("*.yaml"), *library.FRAGMENTS.glob("*.yaml")]


def documented() -> Iterator[str]:
    """The blocks of YAML on the pages."""
    for page in [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]:
        yield from re.findall(
            r"^```yaml[^\n]*\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
    for file in (ROOT / "examples").rglob("*.y*ml"):
        yield file.read_text("utf-8")


def written_in_tests() -> Iterator[str]:
    """The texts in the test suite that may be workflows, or the steps of one."""
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = dedent(node.value).strip("\n") + "\n"
                if text.startswith("- ") or "steps:" in text:
                    yield text if "steps:" in text and "version:" in text else HEAD + text


def complaints(validator: Draft202012Validator, value: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def test_the_schemas_are_schemas() -> None:
    Draft202012Validator.check_schema(workflow_schema())
    Draft202012Validator.check_schema(config_schema())


@pytest.mark.parametrize("file", shipped(), ids=lambda file: file.stem)
def test_what_ships_fits(file: Path) -> None:
    assert [] == complaints(WORKFLOWS, value_of(file.read_text("utf-8")))


def test_every_valid_workflow_and_configuration_of_the_documentation_fits() -> None:
    workflows = configs = 0
    for text in documented():
        if check_workflow(text, "w.yaml").workflow is not None:
            workflows += 1
            assert [] == complaints(WORKFLOWS, value_of(text)), text
        elif "steps:" not in text and any(line[:1] not in "# \n" for line in text.splitlines(True)):
            try:
                parse_config(text)
            except WorkflowInvalid:
                continue
            configs += 1
            assert [] == complaints(CONFIGS, value_of(text)), text
    assert workflows > 10
    assert configs > 2


def test_every_valid_workflow_of_the_test_suite_fits() -> None:
    count = 0
    for text in written_in_tests():
        if check_workflow(text, "w.yaml").workflow is not None:
            count += 1
            assert [] == complaints(WORKFLOWS, value_of(text)), text
    assert count > 250


BROKEN = {
    "no version": "name: w\nsteps: [{name: a, run: x}]\n",
    "another version": 'version: "2.0"\nname: w\nsteps: [{name: a, run: x}]\n',
    "no steps": 'version: "1.0"\nname: w\n',
    "a bad name": HEAD.replace("name: w", "name: My Flow") + "- {name: a, run: x}\n",
    "an unknown key": HEAD + "- {name: a, run: x}\nfoo: 1\n",
    "a bad on_failure": HEAD + "- {name: a, run: x}\non_failure: stop\n",
    "a bad input type": HEAD + "- {name: a, run: x}\ninputs: {a: {type: int}}\n",
    "a bad input name": HEAD + "- {name: a, run: x}\ninputs: {a b: {type: string}}\n",
    **{
        step: f"{HEAD}- {step}\n"
        for step in (
            "just text",
            "{name: a}",
            "{run: x}",
            "{name: 1st, run: x}",
            "{name: a, type: shel, run: x}",
            "{name: a, type: shell}",
            "{name: a, run: 5}",
            "{name: a, run: x, action: m:f}",
            "{name: a, run: x, if: true}",
            "{name: a, run: x, pure: 3}",
            "{name: a, run: x, retry: 3}",
            "{name: a, run: x, retry: {attempts: 0}}",
            "{name: a, run: x, timeout: soon}",
            "{name: a, run: x, timeout: 0}",
            "{name: a, run: x, parse: xml}",
            "{name: a, action: '${{ x }}'}",
            "{name: a, action: m:f, kwargs: text}",
            "{name: a, action: m:f, args: {a: 1}}",
            "{name: a, agent: b, context: [1]}",
            "{name: a, stages: 3}",
            "{name: a, stages: [{name: b}]}",
            "{name: a, options: []}",
            "{name: a, options: [{when: true}]}",
            "{name: a, options: [{when: true, step: {run: x}}]}",
            "{name: a, steps: []}",
            "{name: a, steps: [{name: b}]}",
            "{name: a, steps: [{name: b, run: x}], for_each: 3}",
            "{name: a, steps: [{name: b, run: x}], max_concurrency: 0}",
            "{name: a, steps: [{name: b, run: x}], collect: all}",
            "{name: a, type: checkpoint, workspace: src}",
            "{name: a, run: x, rollback: {type: shell}}",
        )
    },
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_for_the_loader_is_so_for_an_editor(name: str) -> None:
    assert check_workflow(BROKEN[name], "w.yaml").problems
    assert complaints(WORKFLOWS, value_of(BROKEN[name]))


@pytest.mark.parametrize(
    "text",
    [
        "agents: {a: {model: x}}",
        "agents: {a: {provider: clod}}",
        "agents: [a]",
        "validation: {stages: {a: {}}}",
        "secrets: ['a b']",
        "github: {repo: nowhere}",
        "checkpoints: {keep_last: -1}",
        "processes: {grace: soon}",
        "agent: {}",
    ],
)
def test_a_broken_configuration_is_so_for_an_editor(text: str) -> None:
    with pytest.raises(WorkflowInvalid):
        parse_config(text)
    assert complaints(CONFIGS, value_of(text))


def undescribed(schema: Any, path: str) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            if isinstance(field, dict) and "description" not in field:
                yield f"{path}.{name}"
        for name, inner in schema.items():
            yield from undescribed(inner, f"{path}.{name}" if name != "properties" else path)
    elif isinstance(schema, list):
        for inner in schema:
            yield from undescribed(inner, path)


def test_every_field_says_what_it_is_for() -> None:
    """A new field needs a line in `catalog/about.py`, or in `ABOUT` of the file of its type."""
    found = {*undescribed(_plain(workflow_schema()), ""), *undescribed(config_schema(), "")}

    assert set() == found


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out the conditions by which the type of a step is told."""
    step = schema["$defs"]["unnamed_step"]
    return {
        **schema,
        "$defs": {**schema["$defs"], "unnamed_step": {"properties": step["properties"]}},
    }


def test_nothing_is_described_that_is_no_field() -> None:
    """What a reader no longer asks for leaves the descriptions, too."""
    schema, config = workflow_schema(), config_schema()
    fields = {kind: schema["$defs"][f"{kind}_step"]["properties"].keys() for kind in TYPES}

    assert about.WORKFLOW.keys() == schema["properties"].keys()
    assert about.CONFIG.keys() == config["properties"].keys()
    for kind, names in fields.items():
        assert about.STEP.keys() <= names, kind
    for kind, own in about.STEPS.items():
        assert (about.STEP.keys() | own.keys()) == fields[kind], kind
    assert fields["loop"] == fields["parallel"]


def test_a_word_of_another_system_that_is_read_as_a_field_is_no_field() -> None:
    """Else a file that is right would be complained of."""
    schema = workflow_schema()
    fields = {name for kind in TYPES for name in schema["$defs"][f"{kind}_step"]["properties"]}
    inputs = about.INNER["input"].keys()

    assert set() == fields & {name for name, word in STEP_WORDS.items() if word.same}
    assert set() == STEP_WORDS.keys() & {entry.said_by for entry in TYPES.values()}
    assert set() == WORKFLOW_WORDS.keys() & schema["properties"].keys()
    assert set() == INPUT_WORDS.keys() & inputs
    meant = {word.field for word in STEP_WORDS.values() if word.field}
    assert meant <= fields
    assert {word.field for word in WORKFLOW_WORDS.values() if word.field} <= schema[
        "properties"
    ].keys()
    assert {word.field for word in INPUT_WORDS.values() if word.field} <= inputs
