"""YAML text -> Workflow: every problem of a file at once, each with its line and column.

`check_workflow` gives workflow, problems and warnings; `parse_workflow` raises them. What takes
other files or the project to judge (references, actions, sub-workflows) is
`maverick.dsl.catalog.lint`'s.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from maverick.dsl.serialization.fields import STEP, Fields, Inner
from maverick.dsl.serialization.foreign_words import INPUT_TYPE_WORDS, INPUT_WORDS, WORKFLOW_WORDS
from maverick.dsl.serialization.problems import Problems, describe, with_excerpts
from maverick.dsl.serialization.steps import NAME, read_block, read_name
from maverick.dsl.serialization.yaml_nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    compose,
    plain_value,
)
from maverick.dsl.workflow.inputs import check_choice, fit
from maverick.dsl.workflow.model import Input, InputType, Notice, Workflow
from maverick.errors import Problem, WorkflowInvalid

if TYPE_CHECKING:
    from maverick.values import Value

_WORKFLOW_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"1(\.[0-9]{1,9})?")
_INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)


class Checked(NamedTuple):
    """What a file came to. `workflow` is None exactly when there are problems; both are in file
    order.

    `draft` is what could be read in spite of them, with stand-ins for what could not: enough to
    look for further problems, not to be run.
    """

    workflow: Workflow | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    draft: Workflow | None = None


def parse_workflow(text: str, file: str) -> Workflow:
    """Read a workflow from *text*; *file* is its name in messages.

    Raises WorkflowInvalid with every problem.
    """
    checked = check_workflow(text, file)
    if checked.workflow is None:
        raise WorkflowInvalid(list(checked.problems))
    return checked.workflow


def check_workflow(text: str, file: str) -> Checked:
    """Read a workflow from *text* and give it with all problems and warnings; raises nothing."""
    node, syntax = compose(text, file)
    problems = Problems(file, text)
    problems.errors += syntax
    workflow = None
    if isinstance(node, MappingNode):
        workflow = _workflow(problems, node, text)
    elif node is not None:
        problems.add(
            node, f"a workflow must be a mapping with `name` and `steps`, not {describe(node)}"
        )
    errors = with_excerpts(problems.errors, {file: text})
    warnings = with_excerpts(problems.warnings, {file: text})
    return Checked(None if errors else workflow, tuple(errors), tuple(warnings), workflow)


def _workflow(problems: Problems, node: MappingNode, text: str) -> Workflow:
    fields = Fields(problems, node, "a workflow", words=WORKFLOW_WORDS)
    workflow = read_workflow(fields, text)
    fields.refuse_others()
    return workflow


def read_workflow(fields: Fields, text: str) -> Workflow:
    """Read the fields of a workflow."""
    problems = fields.problems
    version = _version(fields)
    name = _name(fields)
    description = fields.free_text("description")
    inputs = _inputs(fields)
    on_failure: Literal["rollback", "keep"] = fields.word(
        "on_failure", ("rollback", "keep"), "rollback"
    )
    checkpoints = fields.mapping("checkpoints", shape=Inner(_read_workspace, "checkpoints"))
    workspace: Literal["false", "label", "step"] = "false"
    if checkpoints is not None:
        workspace = fields.read_inner(checkpoints, "`checkpoints`", _read_workspace)
    block = fields.sequence("steps", required=True, entries=STEP)
    return Workflow(
        name=name,
        version=version,
        file=problems.file,
        text=text,
        description=description,
        inputs=inputs,
        on_failure=on_failure,
        workspace=workspace,
        steps=() if block is None else read_block(problems, block, 1),
        outputs=fields.field("outputs"),
        has_outputs=fields.has("outputs"),
        notices=_notices(fields),
        metadata=fields.free_mapping("metadata"),
        place=problems.place(fields.node),
    )


def _read_workspace(fields: Fields) -> Literal["false", "label", "step"]:
    return fields.word("workspace", ("false", "label", "step"), "false")


def _version(fields: Fields) -> str:
    shape = {
        "anyOf": [
            {"type": "string", "pattern": f"^{_VERSION.pattern}$"},
            {"type": "number", "minimum": 1, "exclusiveMaximum": 2},
        ]
    }
    node = fields.node_of("version", required=True, shape=shape)
    if node is None:
        return ""
    if isinstance(node, ScalarNode) and _VERSION.fullmatch(node.text):
        return node.text
    shown = f"`{node.text[:40]}`" if isinstance(node, ScalarNode) and node.text else describe(node)
    fields.problems.add(
        node, f'version {shown} is not supported; this is version 1 of the language: "1.0"'
    )
    return ""


def _name(fields: Fields) -> str:
    shape = {"type": "string", "pattern": f"^{_WORKFLOW_NAME.pattern}$"}
    node = fields.node_of("name", required=True, shape=shape)
    if node is None:
        return ""
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        fields.wrong("name", node, "a text")
        return ""
    if why := why_bad_name(node.value, "a workflow"):
        fields.problems.add(node, why)
    return node.value


def why_bad_name(name: str, what: str) -> str:
    """Say why *what* cannot be called *name*, and how it could be; nothing if it can."""
    if _WORKFLOW_NAME.fullmatch(name):
        return ""
    better = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("_-0123456789")[:64]
    hint = f"; for instance `{better}`" if _WORKFLOW_NAME.fullmatch(better) else ""
    return (
        f"bad name {name[:80]!r} of {what}: "
        f"lower-case letters, digits, `_` and `-`, at most 64, a letter first{hint}"
    )


def _inputs(fields: Fields) -> dict[str, Input]:
    shape = {"propertyNames": NAME, "additionalProperties": Inner(_read_input, "input")}
    mapping = fields.mapping("inputs", shape=shape)
    if mapping is None:
        return {}
    inputs: dict[str, Input] = {}
    for name, (key, node) in mapping.entries.items():
        read_name(fields.problems, key, "an input")
        inputs[name] = _input(fields, name, node)
    return inputs


def _notices(fields: Fields) -> tuple[Notice, ...]:
    sequence = fields.sequence("notices", entries=Inner(_read_notice, "notice"))
    notices: list[Notice] = []
    for item in sequence.items if sequence is not None else ():
        if not isinstance(item, MappingNode):
            fields.problems.add(
                item, f"a notice must be a mapping with `when` and `message`, not {describe(item)}"
            )
            continue
        notices.append(fields.read_inner(item, "a notice", _read_notice))
    return tuple(notices)


def _read_notice(fields: Fields) -> Notice:
    when = fields.expression("when")
    message = fields.template("message", required=True)
    return Notice(when, message or "", fields.problems.place(fields.node))


def _input(fields: Fields, name: str, node: Node) -> Input:
    if not isinstance(node, MappingNode):
        fields.problems.add(
            node, f"an input must be a mapping such as {{type: string}}, not {describe(node)}"
        )
        return Input(name=name, type="string", required=False)
    read = partial(_read_input, name=name)
    return fields.read_inner(node, "an input", read, words=INPUT_WORDS)


def _read_input(fields: Fields, name: str = "") -> Input:
    problems, node = fields.problems, fields.node
    given = fields.node_of("type", required=True)
    kind = fields.word("type", _INPUT_TYPES, "string", others=INPUT_TYPE_WORDS)
    has_type = given is not None and isinstance(given, ScalarNode) and given.text in _INPUT_TYPES
    required = fields.flag("required", default=True)
    default_node = fields.node_of("default")
    has_default = default_node is not None
    if has_default and required and fields.has("required"):
        problems.add(
            node.entries["required"][1], "`required: true` and `default` exclude each other"
        )
    choices = _choices(fields, kind if has_type else None)
    declared = Input(
        name=name,
        type=kind,
        required=required and not has_default,
        default=_default(problems, default_node, kind) if default_node and has_type else None,
        has_default=has_default,
        choices=choices,
        description=fields.free_text("description"),
        place=problems.place(node),
    )
    if default_node is not None and has_type and declared.default is not None:
        try:
            check_choice(declared.default, declared)
        except ValueError as error:
            problems.add(default_node, f"`default`: {error}")
    return declared


def _default(problems: Problems, node: Node, kind: InputType) -> Value:
    """Give the default as the input's type has it; a null fits every type."""
    value = plain_value(node)
    if value is None:
        return None
    if not isinstance(node, ScalarNode):
        problems.warn_of_numbers(node)
    try:
        return fit(value, kind)
    except ValueError as error:
        problems.add(node, f"`default`: {error}")
        return None


def _choices(fields: Fields, kind: InputType | None) -> tuple[Value, ...]:
    """Give the choices as the input's type has them; of an unknown type there are none."""
    sequence = fields.sequence("choices")
    if kind is None:
        return ()
    choices: list[Value] = []
    for item in sequence.items if isinstance(sequence, SequenceNode) else ():
        try:
            choices.append(fit(plain_value(item), kind))
        except ValueError as error:
            fields.problems.add(item, f"`choices`: {error}")
    return tuple(choices)
