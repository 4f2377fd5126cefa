"""Reads steps: what every step has, and those that are made of other steps.

A type that does something itself reads the rest of its fields in its own file of
`maverick.dsl.steps`, which is loaded when a step of it is read.
"""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

from maverick.dsl.expressions.expressions import Expression, parse_expression
from maverick.dsl.serialization.fields import (
    EXPRESSION,
    STEP,
    TRUTH,
    UNNAMED_STEP,
    Common,
    Fields,
    Inner,
    Shape,
)
from maverick.dsl.serialization.foreign_words import STEP_WORDS, TYPE_WORDS
from maverick.dsl.serialization.problems import Problems, describe
from maverick.dsl.serialization.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from maverick.dsl.workflow.inputs import truth_of
from maverick.dsl.workflow.model import (
    BranchStep,
    LoopStep,
    Option,
    Retry,
    Rollback,
    Step,
    SubworkflowStep,
    ValidateStep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maverick.dsl.expressions.expressions import Field

_TYPES: Final = import_module("maverick.dsl.steps")
"""By its name only: the types stand above what reads them, and use it."""
STEP_TYPES: tuple[str, ...] = tuple(_TYPES.TYPES)
SAID_BY: Final[dict[str, str]] = {
    entry.said_by: kind for kind, entry in _TYPES.TYPES.items() if entry.said_by
}
"""The fields that say the type of a step, and which."""
MAX_STEP_DEPTH = 50
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
NAME: Final[Shape] = {"type": "string", "pattern": f"^{_NAME.pattern}$"}
"""What a step or an input can be called."""
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


def read_name(problems: Problems, node: Node, what: str) -> str:
    """Give the name that *node* is; one that cannot be used in expressions and paths is a
    problem.
    """
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        problems.add(node, f"the name of {what} must be a text, not {describe(node)}")
        return ""
    if not _NAME.fullmatch(node.value):
        better = _UNFIT.sub("_", node.value).strip("_-")[:64]
        hint = f"; for instance `{better}`" if _NAME.fullmatch(better) else ""
        problems.add(
            node,
            f"bad name {node.value[:80]!r} of {what}: "
            f"letters, digits, `_` and `-`, at most 64, not a digit first{hint}",
        )
    return node.value


def read_block(problems: Problems, node: SequenceNode, depth: int) -> tuple[Step, ...]:
    """Give the steps of a block; their names, and those of a branch's options, differ."""
    steps: list[Step] = []
    names: dict[str, int] = {}
    for item in node.items:
        step = read_step(problems, item, depth)
        if step is None:
            continue
        for name, place in step.visible_names().items():
            if name and name in names:
                problems.add_at(
                    place, f"duplicate step name `{name}`; it stands at line {names[name]} already"
                )
            names.setdefault(name, place.line)
        steps.append(step)
    return tuple(steps)


def read_step(problems: Problems, node: Node, depth: int, *, default_name: str = "") -> Step | None:
    """Give the step that *node* describes; None where it is none.

    A step of an unknown type becomes one that has what every step has, and no type, so that its
    other mistakes are told, and what refers to it is no problem, too.
    """
    if not isinstance(node, MappingNode):
        problems.add(node, f"a step must be a mapping with `name` and `type`, not {describe(node)}")
        return None
    if depth > MAX_STEP_DEPTH:
        problems.add(node, f"steps are nested too deeply: more than {MAX_STEP_DEPTH} levels")
        return None
    fields = Fields(problems, node, "a step", words=STEP_WORDS)
    kind = _type_of(fields)
    if kind is None:
        step = Step(**_common(fields, "", default_name, depth))
        if not fields.has("type"):
            _tell_missing_type(fields)
        fields.answer_words()
        return step
    fields.what = _step_of(kind)
    step = read_fields(fields, kind, depth, default_name=default_name)
    fields.refuse_others({field: _step_of(other) for field, other in SAID_BY.items()})
    return step


def read_fields(fields: Fields, kind: str, depth: int, *, default_name: str = "") -> Step:
    """Read the fields of a step of the type *kind*."""
    common = _common(fields, kind, default_name, depth)
    if kind in _COMPOSITES:
        return _COMPOSITES[kind](fields, common, depth)
    step: Step = _TYPES.load_type(kind).read(fields, common)
    return step


def about_fields(kind: str) -> Mapping[str, str]:
    """What the fields are for that a type reads in a file of its own; see `about`."""
    about: Mapping[str, str] = (
        {} if kind in _COMPOSITES else getattr(_TYPES.load_type(kind), "ABOUT", {})
    )
    return about


def _step_of(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} step"


def _type_of(fields: Fields) -> str | None:
    """Give the type that `type` names, else the one that another field says."""
    problems = fields.problems
    value = fields.node_of("type")
    if value is None:
        return _said_type(fields)
    text = value.text if isinstance(value, ScalarNode) else ""
    if text in STEP_TYPES:
        return text
    if (meant := TYPE_WORDS.get(text.lower())) is not None:
        problems.add(value, f"`type: {text}`: here it is `type: {meant}`")
        return meant
    near = problems.suggest(text, STEP_TYPES) if text else ""
    hint = near or f"; there are {', '.join(STEP_TYPES)}"
    shown = (
        f"unknown step type `{text[:60]}`"
        if text
        else f"`type` must be a step type, not {describe(value)}"
    )
    problems.add(value, shown + hint)
    return None


def _said_type(fields: Fields) -> str | None:
    """Give the type that one of the step's fields says; None if none does, or several do."""
    given = [field for field in SAID_BY if fields.has(field)]
    return SAID_BY[given[0]] if len(given) == 1 else None


def _tell_missing_type(fields: Fields) -> None:
    """Say what a step lacks whose type neither `type` nor one other field says."""
    problems = fields.problems
    given = [field for field in fields.node.entries if field in SAID_BY]
    if given:
        first, second = given[:2]
        problems.add(
            fields.node.entries[second][0],
            f"`{first}` says that this is {_step_of(SAID_BY[first])}, `{second}` that it is "
            f"{_step_of(SAID_BY[second])}: make two steps of it",
        )
        return
    if any(map(fields.stands_in, ("type", *SAID_BY))):
        return  # What is answered says what to write.
    for key in fields.others():
        if hint := problems.suggest(key.text, SAID_BY):
            problems.add(key, f"unknown field `{key.text[:60]}` in a step{hint}")
            return
    said = ", ".join(f"`{field}`" for field in SAID_BY)
    problems.add(
        fields.node,
        f"missing field `type`: a step needs it ({', '.join(STEP_TYPES)}), or a field that says "
        f"it: {said}",
    )


def _common(fields: Fields, kind: str, default_name: str, depth: int) -> Common:
    """Read what every step has. The `retry` of a `validate` step is its own unless it is a
    mapping.
    """
    fields.node_of("type")
    name_node = fields.node_of("name", required=not default_name, shape=NAME)
    name = default_name if name_node is None else read_name(fields.problems, name_node, fields.what)
    retry_node = fields.node_of("retry", shape=Inner(_read_retry, "retry"))
    own_retry = kind == "validate" and not isinstance(retry_node, MappingNode)
    return {
        "name": name,
        "place": fields.problems.place(fields.node),
        "description": fields.free_text("description"),
        "when": fields.expression("when"),
        "requires": fields.texts("requires"),
        "retry": None if retry_node is None or own_retry else _retry(fields, retry_node),
        "timeout": fields.seconds("timeout", positive=True),
        "continue_on_error": fields.flag("continue_on_error"),
        "rollback": _rollback(fields, depth),
        "pure": fields.flag("pure"),
        "always_run": fields.flag("always_run"),
        "artifacts": fields.texts("artifacts"),
        "logs": fields.flag("logs", default=True),
        "notices": fields.flag("notices", default=True),
        "metadata": fields.free_mapping("metadata"),
        "places": fields.places(),
    }


def _retry(fields: Fields, node: Node) -> Retry | None:
    if not isinstance(node, MappingNode):
        example = node.text if isinstance(node, ScalarNode) and isinstance(node.value, int) else "3"
        fields.wrong("retry", node, f"a mapping such as {{attempts: {example}}}")
        return None
    return fields.read_inner(node, "`retry`", _read_retry)


def _read_retry(retry: Fields) -> Retry:
    return Retry(
        attempts=retry.count("attempts", 1),
        delay=retry.seconds("delay", 0),
        backoff=retry.number("backoff", 1, least=0),
        on=retry.texts("on"),
        max_delay=retry.seconds("max_delay"),
    )


def _rollback(fields: Fields, depth: int) -> Rollback | None:
    node = fields.node_of("rollback", shape={"anyOf": [{"type": "string"}, UNNAMED_STEP]})
    if node is None:
        return None
    if isinstance(node, MappingNode):
        step = read_step(fields.problems, node, depth + 1, default_name="rollback")
        return None if step is None else Rollback(step=step)
    if (
        isinstance(node, ScalarNode)
        and isinstance(node.value, str)
        and node.value.strip()
        and "${{" not in node.value
    ):
        return Rollback(action=node.value.strip())
    fields.wrong("rollback", node, "the name of an action, or a step")
    return None


def _step_in(
    fields: Fields, name: str, depth: int, *, default_name: str = "", required: bool = False
) -> Step | None:
    shape = UNNAMED_STEP if default_name else STEP
    node = fields.node_of(name, required=required, shape=shape)
    return (
        None
        if node is None
        else read_step(fields.problems, node, depth + 1, default_name=default_name)
    )


def _validate(fields: Fields, common: Common, depth: int) -> Step:
    retry = fields.node_of("retry")
    return ValidateStep(
        **common,
        stages=_stages(fields),
        again=0 if isinstance(retry, MappingNode) else fields.count("retry", 0, least=0),
        on_failure=_step_in(fields, "on_failure", depth, default_name="on_failure"),
        fail=fields.flag("fail"),
        cwd=fields.template("cwd"),
    )


def _stages(fields: Fields) -> Field:
    """Read `stages`; an entry of a list is a name or command, or a mapping `{name, run,
    timeout}`.
    """
    wanted = "a list of stages, an expression, or the name of one in maverick.yaml"
    value = fields.shaped("stages", (SequenceNode, ScalarNode), wanted, entries=_STAGE_SHAPE)
    node = fields.node_of("stages")
    if not isinstance(node, SequenceNode):
        return value
    for item in node.items:
        if isinstance(item, MappingNode):
            fields.read_inner(item, "a stage", _read_stage)
        elif not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            fields.wrong("stages", item, wanted)
    return value


def _read_stage(stage: Fields) -> None:
    stage.template("name")
    stage.template("run", required=True)
    stage.seconds("timeout", positive=True)


_STAGE_SHAPE: Final[Shape] = {"anyOf": [{"type": "string"}, Inner(_read_stage, "stage")]}


def _branch(fields: Fields, common: Common, depth: int) -> Step:
    read = partial(_read_option, depth=depth)
    node = fields.sequence("options", required=True, entries=Inner(read, "option"))
    options: list[Option] = []
    for item in node.items if node else ():
        if not isinstance(item, MappingNode):
            fields.problems.add(
                item,
                f"an option must be a mapping with `when` and `step`, not {describe(item)}",
            )
            continue
        when, step = fields.read_inner(item, "an option", read)
        if step is not None:
            options.append(Option(when=when or _unread(fields), step=step))
    branch = BranchStep(
        **common,
        options=tuple(options),
        otherwise=_step_in(fields, "else", depth),
        on_no_match=fields.word("on_no_match", ("null", "fail"), "null"),
    )
    for chosen in [option.step for option in options] + [branch.otherwise]:
        if chosen is not None and branch.name and branch.name in chosen.visible_names():
            fields.problems.add_at(
                chosen.place,
                f"duplicate step name `{branch.name}`: it is the name of the branch itself",
            )
    return branch


def _read_option(option: Fields, depth: int) -> tuple[Expression | None, Step | None]:
    when = option.expression("when", required=True)
    return when, _step_in(option, "step", depth, required=True)


def _loop(fields: Fields, common: Common, depth: int) -> Step:
    return _repeat(fields, common, depth, parallel=False)


def _parallel(fields: Fields, common: Common, depth: int) -> Step:
    return _repeat(fields, common, depth, parallel=True)


def _repeat(fields: Fields, common: Common, depth: int, *, parallel: bool) -> Step:
    block = fields.sequence("steps", required=True, entries=STEP)
    limit, side_by_side = _concurrency(fields, parallel=parallel)
    loop = LoopStep(
        **common,
        steps=() if block is None else read_block(fields.problems, block, depth + 1),
        has_for_each=fields.has("for_each"),
        for_each=_for_each(fields),
        until=fields.expression("until") or (_unread(fields) if fields.has("until") else None),
        max_iterations=fields.count("max_iterations", 30),
        max_concurrency=limit,
        parallel=side_by_side,
        key=fields.expression("key"),
        collect=fields.word("collect", ("last", "steps"), "last"),
        on_exhausted=fields.word("on_exhausted", ("fail", "continue"), "fail"),
    )
    if loop.until is not None and loop.max_concurrency != 1:
        name = next(
            (name for name in ("parallel", "max_concurrency", "type") if fields.has(name)), "until"
        )
        fields.problems.add_at(
            fields.place_of(name),
            "`until` needs one round after the other: it cannot run concurrently",
        )
    for name in ("max_iterations", "on_exhausted"):
        if fields.has(name) and not fields.has("until"):
            fields.problems.warn(
                fields.node.entries[name][0], f"`{name}` has no effect without `until`"
            )
    if not fields.has("for_each") and fields.has("key"):
        fields.problems.warn(
            fields.node.entries["key"][0], "`key` has no effect without `for_each`"
        )
    return loop


def _unread(fields: Fields) -> Expression:
    """Stand in for an expression with a problem, so that the rest of the step can be looked at."""
    return parse_expression("false", fields.problems.place(fields.node))


def _for_each(fields: Fields) -> Field | Expression:
    node = fields.node_of("for_each", shape={"type": ["array", "string"], "minLength": 1})
    if isinstance(node, SequenceNode):
        fields.problems.warn_of_numbers(node)
        return fields.problems.field(node)
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value.strip():
        return fields.problems.expression(node)
    if node is not None:
        fields.wrong("for_each", node, "a list, or an expression that gives one")
    return None


def _concurrency(fields: Fields, *, parallel: bool) -> tuple[Field, Expression | None]:
    """Give how many at a time, None for all at once; and the expression that says whether all at
    once, if one does.

    A number limits what `parallel` would run at once.
    """
    node = fields.node_of("parallel", shape={"anyOf": [TRUTH, EXPRESSION]})
    limit = fields.count("max_concurrency", None if parallel else 1)
    if node is None:
        return limit, None
    value = truth_of(node.value) if isinstance(node, ScalarNode) else None
    if value is not None:
        return (limit if fields.has("max_concurrency") else (None if value else 1)), None
    if isinstance(node, ScalarNode) and "${{" in node.text:
        condition = fields.problems.expression(node)
        return (
            (limit, None)
            if condition is None or fields.has("max_concurrency")
            else (None, condition)
        )
    fields.wrong("parallel", node, "true, false, or an expression")
    return limit, None


def _subworkflow(fields: Fields, common: Common, _depth: int) -> Step:
    common["places"] |= fields.entry_places("inputs")
    return SubworkflowStep(
        **common,
        workflow=fields.text("workflow", required=True),
        inputs=fields.shaped("inputs", (MappingNode,), "a mapping", typed=True),
        cwd=fields.template("cwd"),
    )


_COMPOSITES: dict[str, Callable[[Fields, Common, int], Step]] = {
    "subworkflow": _subworkflow,
    "validate": _validate,
    "branch": _branch,
    "loop": _loop,
    "parallel": _parallel,
}
