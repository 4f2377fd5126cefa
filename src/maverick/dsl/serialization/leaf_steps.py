"""Reads the steps that do one thing: python, shell, agent, generate, subworkflow, checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from maverick.dsl.expressions.expressions import Expression, Template
from maverick.dsl.expressions.nodes import Access, Call, Choice, Literal, Name, Node
from maverick.dsl.serialization.report import as_written
from maverick.dsl.serialization.yaml_nodes import MappingNode, ScalarNode, SequenceNode
from maverick.dsl.workflow.inputs import truth_of
from maverick.dsl.workflow.model import (
    AgentStep,
    CheckpointStep,
    GenerateStep,
    PythonStep,
    ShellStep,
    SubworkflowStep,
    Workspace,
)

if TYPE_CHECKING:
    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.serialization.fields import Fields

Common: TypeAlias = dict[str, Any]
"""The keyword arguments that every step's record takes."""

_CONTEXT = "a mapping, or the name of a context builder"
_UNQUOTED = (
    "an unquoted expression in a shell script: use `${{ quote(…) }}`, or hand the value over in "
    "`env`"
)
# What these give cannot change what a shell script does.
_HARMLESS_CALLS = frozenset({"quote", "len", "int", "float", "bool", "exists", "hash"})


def read_python(fields: Fields, common: Common) -> PythonStep:
    """Read the fields of a `python` step. The places of its keyword arguments are known as
    `kwargs.NAME`.
    """
    _place_entries(fields, common, "kwargs")
    return PythonStep(
        **common,
        action=fields.text("action", required=True),
        args=fields.shaped("args", (SequenceNode,), "a list"),
        kwargs=fields.shaped("kwargs", (MappingNode,), "a mapping"),
    )


def read_shell(fields: Fields, common: Common) -> ShellStep:
    """Read the fields of a `shell` step."""
    run = fields.template("run", required=True)
    if isinstance(run, Template):
        _warn_unquoted(fields, run)
    return ShellStep(
        **common,
        run=run,
        shell=fields.shaped("shell", (ScalarNode, SequenceNode), "a command such as `bash -eu`"),
        cwd=fields.template("cwd"),
        env=_environment(fields),
        stdin=fields.field("stdin"),
        grace=fields.seconds("grace"),
        parse=fields.word("parse", ("text", "json", "lines"), "text"),
    )


def _environment(fields: Fields) -> Field:
    """Give the variables; a number or a boolean is the text that it is in the file."""
    given = fields.node_of("env")
    if isinstance(given, MappingNode):
        entries = {name: (key, as_written(node)) for name, (key, node) in given.entries.items()}
        for _, node in entries.values():
            fields.report.warn_of_numbers(node)
        return fields.report.field(replace(given, entries=entries))
    return fields.shaped("env", (MappingNode,), "a mapping")


def _warn_unquoted(fields: Fields, run: Template) -> None:
    for part in run.parts:
        if isinstance(part, Expression) and not _is_harmless(part.node):
            fields.report.warn_at(part.place, _UNQUOTED)


def _is_harmless(node: Node) -> bool:
    match node:
        case Call(function, _):
            return function.name in _HARMLESS_CALLS
        case Access(Name("run"), _) | Name("index") | Literal():
            return True
        case Choice(_, then, otherwise):
            return _is_harmless(then) and _is_harmless(otherwise)
        case _:
            return False


def read_agent(fields: Fields, common: Common) -> AgentStep:
    """Read the fields of a `agent` step."""
    schema = fields.mapping("output_schema")
    return AgentStep(
        **common,
        agent=fields.template("agent", required=True) or "",
        context=fields.shaped(
            "context", (MappingNode, ScalarNode), "a mapping, or the name of a context builder"
        ),
        output_schema=None if schema is None else fields.report.value(schema),
        cwd=fields.template("cwd"),
    )


def read_generate(fields: Fields, common: Common) -> GenerateStep:
    """Read the fields of a `generate` step."""
    return GenerateStep(
        **common,
        generator=fields.template("generator", required=True) or "",
        context=fields.shaped(
            "context", (MappingNode, ScalarNode), "a mapping, or the name of a context builder"
        ),
    )


def read_subworkflow(fields: Fields, common: Common) -> SubworkflowStep:
    """Read the fields of a `subworkflow` step. The places of its inputs are known as
    `inputs.NAME`.
    """
    _place_entries(fields, common, "inputs")
    return SubworkflowStep(
        **common,
        workflow=fields.text("workflow", required=True),
        inputs=fields.shaped("inputs", (MappingNode,), "a mapping", typed=True),
        cwd=fields.template("cwd"),
    )


def _place_entries(fields: Fields, common: Common, field: str) -> None:
    given = fields.node.entries.get(field)
    if given and isinstance(given[1], MappingNode):
        for name, (key, _) in given[1].entries.items():
            common["places"][f"{field}.{name}"] = fields.report.place(key)


def read_checkpoint(fields: Fields, common: Common) -> CheckpointStep:
    """Read the fields of a `checkpoint` step."""
    label = fields.template("checkpoint_id")
    if (common["name"] if label is None else label) == "latest":
        # Others are known when the step is reached.
        node = fields.node_of("checkpoint_id") or fields.node
        text = (
            "a label cannot be `latest`, which stands for a run's newest checkpoint; give another "
            "`checkpoint_id`"
        )
        fields.report.problem(node, text)
    return CheckpointStep(**common, checkpoint_id=label, workspace=_workspace(fields))


def _workspace(fields: Fields) -> Workspace | None:
    node = fields.node_of("workspace")
    if node is None:
        return None
    if isinstance(node, ScalarNode):
        value = truth_of(node.value)
        if value is not None:
            return value
    elif isinstance(node, SequenceNode) and all(
        isinstance(item, ScalarNode) and isinstance(item.value, str) and item.value
        for item in node.items
    ):
        return fields.texts("workspace")
    fields.wrong("workspace", node, "true, false, or a list of globs")
    return None
