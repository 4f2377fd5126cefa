"""JSON Schema of workflow files, of `maverick.yaml` and of tests of workflows, for editors.

Of the first two nothing is listed here: the readers of the loader are run with a `Fields` that
notes which fields they ask for and how, so that the schema has what the loader takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from maverick.dsl.catalog import about
from maverick.dsl.catalog.config import read_config
from maverick.dsl.serialization.fields import EXPRESSION, TRUTH, Fields, Inner
from maverick.dsl.serialization.loader import read_workflow
from maverick.dsl.serialization.problems import Problems
from maverick.dsl.serialization.steps import SAID_BY, STEP_TYPES, about_fields, read_fields
from maverick.dsl.serialization.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from maverick.dsl.workflow.inputs import TRUTHS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from maverick.dsl.expressions.expressions import Expression, Field, Template
    from maverick.dsl.serialization.fields import Shape
    from maverick.values import Value

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SOLE_EXPRESSION: Final = {"type": "string", "pattern": r"^\s*\$\{\{[\s\S]*\}\}\s*$"}
_DURATION: Final = {
    "type": "string",
    "pattern": r"^\s*[0-9]{1,12}(\.[0-9]{1,9})?\s*[smhdw]?\s*$",
}
_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}
_WORD: Final = {"type": ["string", "number", "boolean"], "minLength": 1}
_FREE: Final = {"^x-": True}
_MEANS: Final[Mapping[str, object]] = {"true": True, "false": False, "null": None}
"""What YAML makes of words."""

_Text = TypeVar("_Text", bound=str)


def workflow_schema() -> dict[str, Any]:
    """What a workflow file may hold."""
    kinds = {f"{kind}_step": _step_schema(kind) for kind in STEP_TYPES}
    return {
        "$schema": _DIALECT,
        "title": "maverick workflow",
        "description": "A workflow of maverick.",
        **_of_fields(lambda fields: read_workflow(fields, ""), about.WORKFLOW),
        "$defs": {
            "step": {"allOf": [{"$ref": "#/$defs/unnamed_step"}, {"required": ["name"]}]},
            "unnamed_step": _any_step(),
            **kinds,
            "truth": _truth(),
        },
    }


def config_schema() -> dict[str, Any]:
    """What `maverick.yaml` may hold."""
    return {
        "$schema": _DIALECT,
        "title": "maverick.yaml",
        "description": "What a project says of its agents, stages, actions, secrets, checkpoints.",
        **_of_fields(read_config, about.CONFIG, fixed=True),
        "type": ["object", "null"],
        "$defs": {"truth": _truth()},
    }


def schema_of_tests() -> dict[str, Any]:
    """What a file of `.maverick/tests` may hold."""
    names = {"type": "array", "items": {"type": "string"}}
    contains = {"type": "object", "properties": {"contains": {"type": "string"}}}
    steps = {"type": "object", "properties": dict.fromkeys(("ran", "skipped", "failed"), names)}
    expect = {
        "status": {"type": "string", "description": "What the run ends as: done, failed, waiting."},
        "output": {"description": "What the run gives."},
        "steps": {**steps, "description": "Paths of steps, by what became of them."},
        "files": {
            "type": "object",
            "additionalProperties": {"anyOf": [contains, {"type": "null"}]},
            "description": "Path -> `{contains: TEXT}`, or null for a file that is not there.",
        },
        "asks": {
            "type": "object",
            "additionalProperties": contains,
            "description": "Agent -> `{contains: TEXT}` of what it is asked.",
        },
    }
    answer = {
        "type": "object",
        "properties": {
            "says": {"description": "What the agent answers."},
            "writes": {"type": "object", "description": "Path -> text of files that it writes."},
        },
        "additionalProperties": False,
    }
    properties = {
        "workflow": {"type": "string", "description": "A name, or a path from this file."},
        "inputs": {"type": "object", "description": "What it is given."},
        "replay": {"type": "string", "description": "A run (.mav) whose agents' answers count."},
        "agents": {
            "type": "object",
            "additionalProperties": answer,
            "description": "Agent -> what it answers; no agent is called.",
        },
        "actions": {"type": "object", "description": "Action -> its output; it is not called."},
        "files": {"type": "object", "description": "Path -> text of files in the folder."},
        "expect": {
            "type": "object",
            "properties": expect,
            "additionalProperties": False,
            "description": "What has to come of it.",
        },
    }
    return {
        "$schema": _DIALECT,
        "title": "test of a maverick workflow",
        "type": "object",
        "properties": properties,
        "required": ["workflow"],
        "patternProperties": _FREE,
        "additionalProperties": False,
    }


def _truth() -> dict[str, Any]:
    """A boolean, or one of the words for one, whatever their case."""
    words = ("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in TRUTHS)
    return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"^({'|'.join(words)})$"}]}


def _any_step() -> dict[str, Any]:
    """A step: its type is the one that `type` names, else the one that a field says.

    So a step has the problems of its own type, and of no other.
    """
    by_type = [
        _if({"properties": {"type": {"const": kind}}, "required": ["type"]}, kind)
        for kind in STEP_TYPES
    ]
    by_field = [
        _if({"required": [field], "not": {"required": ["type"]}}, kind)
        for field, kind in SAID_BY.items()
    ]
    return {
        "type": "object",
        "properties": {"type": {"enum": list(STEP_TYPES), "description": about.STEP["type"]}},
        "anyOf": [{"required": [field]} for field in ("type", *SAID_BY)],
        "allOf": by_type + by_field,
    }


def _if(condition: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"if": condition, "then": {"$ref": f"#/$defs/{kind}_step"}}


def _step_schema(kind: str) -> dict[str, Any]:
    own = about.STEPS.get(kind) or about_fields(kind)
    if kind == "parallel":
        own = about.STEPS["loop"]
    described = {**about.STEP, **own}

    def read(fields: Fields) -> None:
        fields.word("type", [kind], kind)
        read_fields(fields, kind, 1, default_name="any")

    return {"title": f"{kind} step", **_of_fields(read, described)}


def _of_fields(
    read: Callable[[Fields], object], described: Mapping[str, str], *, fixed: bool = False
) -> dict[str, Any]:
    """Give the schema of a mapping whose fields *read* asks for."""
    recorder = _Recorder(fixed=fixed)
    read(recorder)
    properties = {
        name: {**schema, **({"description": described[name]} if name in described else {})}
        for name, schema in recorder.schemas.items()
    }
    return {
        "type": "object",
        "properties": properties,
        **({"required": recorder.required} if recorder.required else {}),
        "patternProperties": _FREE,
        "additionalProperties": False,
    }


class _Recorder(Fields):
    """Notes what is asked for, and answers as if nothing were there."""

    def __init__(self, *, fixed: bool) -> None:
        super().__init__(Problems("", ""), MappingNode(1, 1, {}, 1, 1), "it", fixed=fixed)
        self.fixed = fixed
        self.schemas: dict[str, dict[str, Any]] = {}
        self.required: list[str] = []

    def note(self, name: str, *shapes: Shape, required: bool = False) -> None:
        """Note that the field may be one of *shapes*, or what it could be noted as before."""
        before = self.schemas.get(name, {})
        known = [*before.get("anyOf", [before] if before else [])]
        known += [each for each in map(self._resolved, shapes) if each and each not in known]
        self.schemas[name] = known[0] if len(known) == 1 else ({"anyOf": known} if known else {})
        if required and name not in self.required:
            self.required.append(name)

    def _resolved(self, shape: Any) -> Any:
        """Give a shape as JSON Schema: what is inside is read in its turn."""
        match shape:
            case Inner(read, key):
                return _of_fields(read, about.INNER[key], fixed=self.fixed)
            case dict():
                return {name: self._resolved(value) for name, value in shape.items()}
            case list() | tuple():
                return [self._resolved(item) for item in shape]
            case _:
                return shape

    def _or_expression(self) -> list[Shape]:
        return [] if self.fixed else [EXPRESSION]

    def node_of(self, name: str, *, required: bool = False, shape: Shape = None) -> Node | None:
        self.note(name, shape, required=required)
        return None

    def optional(self, name: str, *, shape: Shape = None) -> Node | None:
        self.note(name, shape, {"type": "null"})
        return None

    def optional_mapping(self, name: str, *, shape: Shape = None) -> MappingNode | None:
        self.note(name, {"type": "null"})
        return self.mapping(name, shape=shape)

    def mapping(self, name: str, *, shape: Shape = None) -> MappingNode | None:
        given = shape if isinstance(shape, Inner) else {"type": "object", **(shape or {})}
        self.note(name, given)
        return None

    def sequence(
        self, name: str, *, required: bool = False, entries: Shape = None
    ) -> SequenceNode | None:
        self.note(name, _list_of(entries, least=1), required=required)
        return None

    def text(self, name: str, *, required: bool = False, pattern: str = "") -> str:
        fixed = {"not": EXPRESSION, **({"pattern": f"^{pattern}$"} if pattern else {})}
        self.note(name, {"type": "string", **_least(required), **fixed}, required=required)
        return ""

    def template(self, name: str, *, required: bool = False) -> str | Template | None:
        self.note(name, {"type": "string", **_least(required)}, required=required)
        return None

    def free_text(self, name: str) -> str:
        self.note(name, _SCALAR)
        return ""

    def free_mapping(self, name: str) -> dict[str, Value]:
        self.note(name, {"type": "object"})
        return {}

    def flag(self, name: str, *, default: bool = False) -> bool:
        self.note(name, TRUTH)
        return default

    def word(
        self,
        name: str,
        words: Sequence[_Text],
        default: _Text,
        *,
        others: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> _Text:
        values: list[object] = list(words)
        self.note(name, {"enum": values + [_MEANS[word] for word in words if word in _MEANS]})
        return default

    def texts(self, name: str) -> tuple[str, ...]:
        self.note(name, _WORD, _list_of(_WORD))
        return ()

    def field(self, name: str) -> Field:
        self.note(name)
        return None

    def shaped(
        self,
        name: str,
        kinds: tuple[type[Node], ...],
        wanted: str,  # noqa: ARG002
        *,
        typed: bool = False,  # noqa: ARG002
        entries: Shape = None,
    ) -> Field:
        shapes: dict[type[Node], Shape] = {
            MappingNode: {"type": "object"},
            SequenceNode: _list_of(entries),
            ScalarNode: {"type": "string"},
        }
        sole = [] if ScalarNode in kinds else [_SOLE_EXPRESSION]
        self.note(name, *(shapes[kind] for kind in kinds), *sole, {"type": "null"})
        return None

    def count(self, name: str, default: int | None, *, least: int = 1) -> Field:
        self.note(name, {"type": "integer", "minimum": least}, *self._or_expression())
        return default

    def number(self, name: str, default: float, *, least: float) -> Field:
        self.note(name, {"type": "number", "minimum": least}, *self._or_expression())
        return default

    def seconds(self, name: str, default: float | None = None, *, positive: bool = False) -> Field:
        number = {"type": "number", ("exclusiveMinimum" if positive else "minimum"): 0}
        self.note(name, number, _DURATION, *self._or_expression())
        return default

    def expression(self, name: str, *, required: bool = False) -> Expression | None:
        self.note(name, _WORD, required=required)
        return None


def _list_of(entries: Shape, *, least: int = 0) -> dict[str, Any]:
    return {
        "type": "array",
        **({"items": entries} if entries is not None else {}),
        **({"minItems": least} if least else {}),
    }


def _least(required: bool) -> dict[str, int]:
    return {"minLength": 1} if required else {}
