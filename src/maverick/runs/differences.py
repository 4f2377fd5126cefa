"""What changed of a run's steps between what it recorded and what there is now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, Final

from maverick.dsl.catalog.outline import Outlined, outline
from maverick.dsl.catalog.references import expressions_in
from maverick.dsl.expressions.expressions import Expression, Template
from maverick.dsl.paths import StepPath
from maverick.dsl.serialization.loader import parse_workflow
from maverick.errors import WorkflowInvalid
from maverick.values import same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.dsl.engine.plan import Planned
    from maverick.dsl.engine.reasons import Rerun
    from maverick.dsl.journal.tree import RunTree
    from maverick.dsl.workflow.model import Step
    from maverick.runs.prepare import Prepared
    from maverick.values import Value

_HASH_CHARACTERS: Final = 12
_LONGEST_VALUE: Final = 200
"""Of a value that is kept of what changed, in characters of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A part of a step's key, an input, or its definition that changed since it was recorded.

    `known` says that `old` and `new` are; `diff` is a unified diff of texts.
    """

    part: str
    known: bool = False
    old: Value = None
    new: Value = None
    diff: str = ""


class Differences:
    """Compares what a checkpoint recorded with what there is now."""

    def __init__(self, tree: RunTree, prepared: Prepared) -> None:
        self._tree = tree
        self._definition_then = tree.definition
        self._workflow = prepared.workflow
        self._outline = outline(prepared.workflow, prepared.catalog)
        self._recorded = prepared.recorded
        self._inputs = prepared.inputs
        self._before: dict[str, dict[str, Outlined]] = {}

    def of(self, planned: Planned) -> Iterator[Changed]:
        """Yield what changed of a step that has finished."""
        if not planned.parts:
            return
        outlined = self._outlined(planned.step)
        for part in planned.parts:
            old = self._agent(planned.step) if part == "agent" else None
            if old is not None:
                yield Changed(part=part, known=True, old=old, new=planned.agent)
            else:
                yield Changed(part=part)
        if outlined is not None:
            diff = self._definition(outlined)
            if diff:
                yield Changed(part="definition", diff=diff)
            yield from self._inputs_read(outlined)

    def _outlined(self, path: str) -> Outlined | None:
        pattern = StepPath(path).pattern
        # An attempt of a validate step has no pattern of its own.
        return self._outline.get(pattern) or self._outline.get(pattern.removesuffix("[]"))

    def explain(self, rerun: Rerun) -> list[Value]:
        """Give `{part, old, new}` for each part that changed of a step that runs again.

        Where the values are not known, as of an action's source, they are the beginnings of their
        hashes.
        """
        outlined = self._outlined(rerun.path)
        before = self._recorded_step(outlined) if outlined is not None else None
        changes: list[Value] = []
        for part in rerun.parts:
            old: Value = rerun.old.get(part, "")[:_HASH_CHARACTERS] or None
            new: Value = rerun.new.get(part, "")[:_HASH_CHARACTERS] or None
            player = self._agent(rerun.path) if part == "agent" else None
            if player is not None:
                old, new = player, rerun.agent
            elif outlined is not None and before is not None:
                then = _written(getattr(before.step, part, None))
                now = _written(getattr(outlined.step, part, None))
                if then != now:
                    old, new = then, now
            changes.append({"part": part, "old": _short(old), "new": _short(new)})
        if outlined is not None:
            changes += [
                {"part": changed.part, "old": _short(changed.old), "new": _short(changed.new)}
                for changed in self._inputs_read(outlined)
            ]
        return changes

    def _agent(self, path: str) -> Value:
        agent: Value = self._tree.facts_of(path).get("player")
        return agent

    def _inputs_read(self, outlined: Outlined) -> Iterator[Changed]:
        if outlined.workflow is not self._workflow:
            return
        read: dict[str, None] = {}
        for name in outlined.step.__dataclass_fields__:
            for expression in expressions_in(getattr(outlined.step, name)):
                read.update(
                    (str(path[1]), None)
                    for path in expression.reads
                    if path[0] == "inputs" and len(path) > 1
                )
        for name in read:
            old, new = self._recorded.get(name), self._inputs.get(name)
            if not same(old, new):
                yield Changed(part=f"inputs.{name}", known=True, old=old, new=new)

    def _definition(self, outlined: Outlined) -> str:
        """Give how the recorded lines of a step differ; empty if they do not or are unknown."""
        before = self._recorded_step(outlined)
        if before is None:
            return ""
        old = step_lines(before.step, before.workflow.text)
        new = step_lines(outlined.step, outlined.workflow.text)
        return "\n".join(list(unified_diff(old, new, "recorded", "now", lineterm=""))[2:])

    def _recorded_step(self, outlined: Outlined) -> Outlined | None:
        file = outlined.workflow.file
        if file not in self._before:
            self._before[file] = self._outline_recorded(file)
        return self._before[file].get(outlined.inside)

    def _outline_recorded(self, file: str) -> dict[str, Outlined]:
        text = self._definition_then.get(file)
        if text is None:
            return {}
        try:
            workflow = parse_workflow(text, file)
        except WorkflowInvalid:
            return {}
        return outline(workflow, None)


def _written(field: Any) -> Value:
    """Give a field of a step as it stands in the file."""
    match field:
        case Template() | Expression():
            return field.text
        case dict():
            return {str(name): _written(value) for name, value in field.items()}
        case list() | tuple():
            return [_written(value) for value in field]
        case str() | int() | float() | None:
            return field
        case _:
            return str(field)


def _short(value: Value) -> Value:
    """Give *value*, or the beginning of it as JSON where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def step_lines(step: Step, text: str) -> list[str]:
    """Give the lines of a step: its first one, and those after it that are indented more."""
    lines = text.splitlines()
    first = step.place.line - 1
    while first > 0 and lines[first].strip() and not lines[first].lstrip().startswith("-"):
        first -= 1
    indent = len(lines[first]) - len(lines[first].lstrip())
    last = first + 1
    while last < len(lines) and (
        not lines[last].strip() or len(lines[last]) - len(lines[last].lstrip()) > indent
    ):
        last += 1
    while not lines[last - 1].strip():
        last -= 1
    return [line[min(indent, len(line) - len(line.lstrip())) :] for line in lines[first:last]]
