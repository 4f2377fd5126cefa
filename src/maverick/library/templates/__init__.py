"""What `maverick new` writes: workflows that run as they are, and tests of workflows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maverick.library import WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.dsl.workflow.model import Input, Workflow

_HERE = Path(__file__).parent
_FILES: Final = {
    "shell": _HERE / "shell.yaml",
    "python": _HERE / "python.yaml",
    "agent": _HERE / "agent.yaml",
    "fly": WORKFLOWS / "fly.yaml",
}
_NAME: Final = re.compile(r"^name: .*$", re.MULTILINE)
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
TEST: Final = "test"
KINDS: Final = (*_FILES, TEST)
_EXAMPLES: Final = {
    "string": "text",
    "integer": 1,
    "float": 1.0,
    "number": 1.0,
    "boolean": True,
    "array": [],
    "object": {},
}


def schema_line(schema: str) -> str:
    """Give the comment by which editors find the schema of a file."""
    return f"# yaml-language-server: $schema={schema}\n"


def workflow_text(kind: str, name: str, schema: str) -> str:
    """Give the text of a workflow called *name*; *schema* is where its schema is, from its file."""
    text = _FILES[kind].read_text("utf-8")
    return schema_line(schema) + _NAME.sub(f"name: {name}", text, count=1)


def text_of_test(name: str, workflow: Workflow | None, agents: Iterable[str], schema: str) -> str:
    """Give the text of a test of *workflow*, of its inputs and *agents*; without one, of `validate`
    that ships.
    """
    if workflow is None:
        called, inputs = "validate", {"fix": False, "stages": ["true"]}
    else:
        called = workflow.name
        inputs = {
            declared.name: example_of(declared)
            for declared in workflow.inputs.values()
            if declared.required
        }
    answers = "".join(f"  {_key(agent)}: {{says: What it answers}}\n" for agent in sorted(agents))
    return (
        schema_line(schema)
        + f"# {name}: run by `maverick test`, in a scratch folder with the project's files.\n"
        + f"workflow: {called}    # a name, or a path from this file\n"
        + f"inputs: {json.dumps(inputs, ensure_ascii=False)}\n"
        + (
            f"agents:    # no agent is called; this is what each answers\n{answers}"
            if answers
            else ""
        )
        + "expect:\n  status: done\n"
    )


def _key(name: str) -> str:
    """Give *name* as a key of YAML."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def example_of(declared: Input) -> object:
    """Give a value that *declared* takes."""
    return declared.choices[0] if declared.choices else _EXAMPLES[declared.type]
