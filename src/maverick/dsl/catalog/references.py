"""What each expression of a workflow may name: inputs, steps, loops.

A step sees the steps before it in its own block and in the blocks around it. A branch's chosen step
is seen after the branch; the steps inside a loop are seen by each other and by its `until`, not
outside; concurrent steps do not see each other; a rollback and a validate step's `on_failure` see
the step they belong to.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypeAlias

from maverick.dsl.expressions.expressions import Expression, Template
from maverick.dsl.workflow.model import BranchStep, LoopStep, Step, steps_in
from maverick.errors import Problem
from maverick.values import key_path
from maverick.visible import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.dsl.expressions.expressions import NamePath, SourcePlace
    from maverick.dsl.workflow.model import Workflow

_MANY_PROBLEMS = 20
_MISTYPED = 0.8
"""How alike a name and a known one are where the one is taken for the other, mistyped."""
_RUN_NAMES = ("id", "attempt", "idempotency_key")
_STEP_NAMES = ("output", "status")
_MEANS_STATUS = frozenset({"conclusion", "outcome", "state"})
"""What other systems call the status of a step."""
_Loops: TypeAlias = tuple[LoopStep, ...]
"""Those around an expression, innermost last."""
_LOOP_NAMES = ("item", "index", "parent", "previous")
_NOT_FIELDS = frozenset({"place", "places", "key", "until"})
"""What holds no expressions; and those of a loop that see something else than its others."""


def expressions_in(value: object) -> Iterator[Expression]:
    """Give the expressions that stand in a field, at any depth."""
    match value:
        case Expression():
            yield value
        case Template():
            yield from value.expressions
        case list() | tuple():
            for item in value:
                yield from expressions_in(item)
        case dict():
            for item in value.values():
                yield from expressions_in(item)
        case _:
            pass


def check_references(workflow: Workflow) -> list[Problem]:
    """Give a problem for each name in an expression that is not there, or not there yet."""
    checker = _Checker(workflow)
    top = _Sight(None, _places(workflow.steps), _gifts(workflow.steps))
    checker.check_block(workflow.steps, top, ())
    top.current = {}
    for expression in expressions_in([workflow.outputs, *workflow.notices]):
        checker.check_expression(expression, top, ())
    return checker.problems


def _places(steps: Iterable[Step]) -> dict[str, SourcePlace]:
    places: dict[str, SourcePlace] = {}
    for step in steps:
        places |= step.visible_names()
    return places


def _shown(steps: Iterable[Step]) -> Iterator[Step]:
    """Give *steps*, and those of a branch's options, which its block sees."""
    for step in steps:
        yield step
        if isinstance(step, BranchStep):
            yield from _shown(chosen for _, chosen in step.inside())


def _gifts(steps: Iterable[Step]) -> dict[str, Step]:
    """Give the steps whose outputs have names that are known: step name -> step."""
    gifts: dict[str, Step] = {}
    twice: set[str] = set()
    for step in _shown(steps):
        if step.name in gifts:
            twice.add(step.name)
        gifts[step.name] = step
    return {name: step for name, step in gifts.items() if step.gives and name not in twice}


@dataclass(slots=True)
class _Sight:
    """A block while it is walked: the steps it has, those seen so far, and the one at hand."""

    outer: _Sight | None
    places: dict[str, SourcePlace] = field(default_factory=dict)
    gifts: dict[str, Step] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    current: dict[str, SourcePlace] = field(default_factory=dict)
    concurrent: bool = False

    def chain(self) -> Iterator[_Sight]:
        """This block and those around it."""
        block: _Sight | None = self
        while block is not None:
            yield block
            block = block.outer


def _sight_behind(step: Step, block: _Sight) -> _Sight:
    """Give what a step of *step*'s own sees: *step* itself, too."""
    return _Sight(block, gifts=_gifts([step]), seen={step.name})


class _Checker:
    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.problems: list[Problem] = []
        self.inside = {
            name: loop.name
            for loop in steps_in(workflow.steps)
            if isinstance(loop, LoopStep)
            for name in _places(loop.steps)
        }

    def check_block(self, steps: Iterable[Step], block: _Sight, loops: _Loops) -> None:
        for step in steps:
            block.current = step.visible_names()
            self.check_step(step, block, loops)
            if not block.concurrent:
                block.seen |= block.current.keys()
        block.current = {}

    def check_step(self, step: Step, block: _Sight, loops: _Loops) -> None:
        for name in _field_names(step):
            for expression in expressions_in(getattr(step, name)):
                self.check_expression(expression, block, loops)
        if isinstance(step, LoopStep):
            self.check_loop(step, block, loops)
        else:
            for mark, inner in step.inside():
                self.check_step(inner, _sight_behind(step, block) if mark else block, loops)
        if step.rollback is not None and step.rollback.step is not None:
            self.check_step(step.rollback.step, _sight_behind(step, block), loops)

    def check_loop(self, step: LoopStep, block: _Sight, loops: _Loops) -> None:
        iterates = step.has_for_each or step.until is not None
        inner = _Sight(
            block,
            _places(step.steps),
            _gifts(step.steps),
            concurrent=not iterates and step.max_concurrency != 1,
        )
        if iterates:
            loops = (*loops, step)
        if step.key is not None:
            self.check_expression(step.key, block, loops)
        self.check_block(step.steps, inner, loops)
        if step.until is not None:
            self.check_expression(step.until, inner, loops)

    def check_expression(self, expression: Expression, block: _Sight, loops: _Loops) -> None:
        for path in expression.names:
            match path[0]:
                case "inputs" if len(path) > 1:
                    message = self.input_message(str(path[1]))
                case "steps" if len(path) > 1:
                    message = self.step_message(path, block)
                case "item" | "index" | "parent" | "previous":
                    message = _loop_message(path, loops)
                case "run" if len(path) > 1 and path[1] not in _RUN_NAMES:
                    message = f"there is no `run.{path[1]}`; there are {', '.join(_RUN_NAMES)}"
                case _:
                    message = ""
            if message:
                place = expression.place
                self.problems.append(Problem(place.file, place.line, place.column, message))

    def input_message(self, name: str) -> str:
        if name in self.workflow.inputs:
            return ""
        hint = nearest(name, self.workflow.inputs) or "; declare it under `inputs`"
        return f"there is no input `{name}`{hint}"

    def step_message(self, path: NamePath, block: _Sight) -> str:
        name = str(path[1])
        if any(name in around.seen for around in block.chain()):
            if len(path) > 2 and path[2] not in _STEP_NAMES:
                return f"a step has `output` and `status`, not `{path[2]}`{_better(path)}"
            return _output_message(path, block)
        for around in block.chain():
            if name in around.current:
                return f"step `{name}` has no output yet: this expression stands inside it"
            if name in around.places:
                if around.concurrent:
                    return (
                        f"step `{name}` runs at the same time; concurrent steps do not see each "
                        "other"
                    )
                return f"step `{name}` comes later, at line {around.places[name].line}"
        return self.unseen_message(name, block)

    def unseen_message(self, name: str, block: _Sight) -> str:
        if name in self.inside:
            loop = self.inside[name]
            return (
                f"step `{name}` stands inside `{loop}` and is not seen outside it; use "
                f"`steps.{loop}.output`"
            )
        if len(self.problems) >= _MANY_PROBLEMS:  # Suggestions take their time.
            return f"there is no step `{name}`"
        names = {other for around in block.chain() for other in (*around.seen, *around.places)}
        return f"there is no step `{name}`{nearest(name, names)}"


def _better(path: NamePath) -> str:
    """Suggest what a path means whose third part is neither `output` nor `status`."""
    given, rest = str(path[2]), path[3:]
    if given in _MEANS_STATUS:
        meant: NamePath = (*path[:2], "status")
    elif len(nearest(given, ["output"], likeness=_MISTYPED)):
        meant = (*path[:2], "output", *rest)
    elif len(nearest(given, ["status"], likeness=_MISTYPED)):
        meant = (*path[:2], "status")
    else:
        meant = (*path[:2], "output", given, *rest)
    return f"; did you mean `{path_text(meant)}`?"


def path_text(path: NamePath) -> str:
    """Give *path* as it is written in an expression."""
    return "".join([str(path[0]), *map(key_path, path[1:])])


def _output_message(path: NamePath, block: _Sight) -> str:
    """Say what is wrong with what a path names in the output of a step, as far as it is known."""
    seen = next(around for around in block.chain() if path[1] in around.seen)
    step = seen.gifts.get(str(path[1]))
    if step is None or len(path) < 4 or path[2] != "output" or not isinstance(path[3], str):
        return ""
    known = (*step.gives, "error") if step.continue_on_error else step.gives
    if path[3] in known:
        return ""
    hint = nearest(path[3], known) or f"; it has {', '.join(known)}"
    return f"the output of the {step.kind} step `{step.name}` has no `{path[3]}`{hint}"


def _field_names(step: Step) -> list[str]:
    return [declared.name for declared in fields(step) if declared.name not in _NOT_FIELDS]


def _loop_message(path: NamePath, loops: _Loops) -> str:
    """Say what is wrong with `item`, `index`, `previous` or `parent.….item` where *loops* stand
    around it, innermost last.
    """
    if not loops:
        return f"`{path[0]}` stands outside a loop"
    around = list(loops)
    position = 0
    while position < len(path) and path[position] == "parent":
        around.pop()
        position += 1
        if not around:
            loop = "one loop stands" if len(loops) == 1 else f"{len(loops)} loops stand"
            return f"`{'.'.join(['parent'] * position)}` leads outside: only {loop} around it"
    name = path[position] if position < len(path) else None
    if name == "previous":
        return _previous_message(path[position + 1 :], around[-1])
    if name == "item" and not around[-1].has_for_each:
        outer = ".".join(["parent"] * (position + 1))
        hint = f"; `{outer}.item` is that of the loop around it" if len(around) > 1 else ""
        return f"the loop `{around[-1].name}` has no `for_each`, and so no `item`{hint}"
    if name is not None and name not in _LOOP_NAMES:
        return f"`parent` has {', '.join(_LOOP_NAMES)}, not `{name}`"
    return ""


def _previous_message(path: NamePath, loop: LoopStep) -> str:
    """Say what is wrong with what follows `previous` in *loop*."""
    at_once = loop.max_concurrency is None and loop.parallel is None
    limit = loop.max_concurrency
    if loop.until is None and (
        loop.key is not None or at_once or (isinstance(limit, int) and limit != 1)
    ):
        return f"the iterations of `{loop.name}` do not follow each other: there is no `previous`"
    names = _places(loop.steps)
    if path and path[0] not in names:
        return f"the loop `{loop.name}` has no step `{path[0]}`{nearest(str(path[0]), names)}"
    if len(path) > 1 and path[1] not in _STEP_NAMES:
        return (
            f"a step has `output` and `status`, not `{path[1]}`; did you mean "
            f"`previous.{path[0]}.output.{path[1]}`?"
        )
    return ""
