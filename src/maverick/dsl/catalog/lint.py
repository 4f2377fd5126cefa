"""What is wrong with a workflow that reads well: names that nothing answers to, cycles of
sub-workflows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, cast

from maverick.dsl.catalog.references import check_references, expressions_in
from maverick.dsl.serialization.loader import Checked, check_workflow
from maverick.dsl.serialization.problems import with_excerpts
from maverick.dsl.workflow.inputs import check_choice, fit
from maverick.dsl.workflow.model import (
    Mention,
    SubworkflowStep,
    steps_in,
)
from maverick.errors import Problem, StepFailed, WorkflowInvalid
from maverick.visible import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from maverick.dsl.expressions.expressions import Field, SourcePlace
    from maverick.dsl.workflow.model import MentionKind, Step, Workflow
    from maverick.values import Value

BUILT_IN = "<built in>/"
"""How the files of workflows that ship begin. Their calls are looked at by tests, so that no run
has to load them.
"""
_ADVICE = {
    "action": "; name `module:function`, or a function of a module under `actions` in "
    "maverick.yaml",
    "agent": "; declare it under `agents` in maverick.yaml",
    "validation stage": "; declare it under `validation.stages` in maverick.yaml",
}


class Lookup(Protocol):
    """What a project has. Names are asked for as they stand in the file.

    What cannot be found out (a module that cannot be imported) is raised as StepFailed, and
    reported as a problem.
    """

    def has(self, kind: MentionKind, name: str) -> bool:
        """Whether there is such a thing: of stages also a program of that name, of actions also
        `module:function`.
        """

    def wrong_arguments(
        self, action: str, args: Sequence[object] | None, kwargs: Mapping[str, object] | None
    ) -> Iterable[tuple[str, str]]:
        """Say what is wrong with calling an action so; see `Action.wrong_arguments`."""

    def find_workflow(self, name: str, from_file: str) -> Workflow | None:
        """Give the workflow of that name, or at that path from *from_file*'s folder; raises
        WorkflowInvalid.
        """

    def names(self, kind: MentionKind) -> Iterable[str]:
        """Give the names that there are, for suggestions."""


def lint(workflow: Workflow, lookup: Lookup | None = None) -> list[Problem]:
    """Give all problems of *workflow* and of every sub-workflow it leads to, by file and line.

    Without *lookup* nothing outside the file is looked at.
    """
    linter = _Linter(lookup)
    linter.check_all(workflow)
    texts = {each.file: each.text for each in linter.workflows.values()}
    return with_excerpts(linter.problems, texts)


def _identity(workflow: Workflow) -> str:
    return os.path.realpath(workflow.file)


def check_text(text: str, file: str, lookup: Lookup | None = None) -> Checked:
    """Read a workflow from *text* and lint it: all its problems at once, those of what could be
    read included.
    """
    checked = check_workflow(text, file)
    if checked.draft is None:
        return checked
    problems = tuple(sorted({*checked.problems, *lint(checked.draft, lookup)}))
    return checked._replace(problems=problems, workflow=None if problems else checked.workflow)


class _Linter:
    def __init__(self, lookup: Lookup | None) -> None:
        self.lookup = lookup
        self.problems: list[Problem] = []
        self.workflows: dict[str, Workflow] = {}
        self.unknown: set[str] = set()
        self.calls: dict[str, list[tuple[str, SourcePlace]]] = {}

    def add_problem(self, place: SourcePlace, message: str) -> None:
        self.problems.append(Problem(place.file, place.line, place.column, message))

    def check_all(self, workflow: Workflow) -> None:
        waiting = [workflow]
        self.workflows[_identity(workflow)] = workflow
        while waiting:
            caller = waiting.pop()
            calls = self.calls.setdefault(_identity(caller), [])
            self.problems += check_references(caller)
            if self.lookup is None:
                continue
            for step in steps_in(caller.steps):
                self.check_names(step, self.lookup)
                if not caller.file.startswith(BUILT_IN):
                    self.check_arguments(step, self.lookup)
                called = self.called_by(step, caller, self.lookup)
                if called is None:
                    continue
                calls.append((_identity(called), step.places.get("workflow", step.place)))
                if _identity(called) not in self.workflows:
                    self.workflows[_identity(called)] = called
                    waiting.append(called)
        self.check_cycles(_identity(workflow))

    def check_names(self, step: Step, lookup: Lookup) -> None:
        """Look up what *step* names, but for the workflow that it runs."""
        if step.rollback is not None and step.rollback.action is not None:
            self.check_name(step, Mention("action", step.rollback.action, "rollback"), lookup)
        for mention in step.mentions():
            if mention.kind != "workflow":
                self.check_name(step, mention, lookup)

    def check_arguments(self, step: Step, lookup: Lookup) -> None:
        """Look at how many arguments the action gets and how they are called; what they are is not
        known yet.
        """
        given = step.arguments()
        action = next((each.name for each in step.mentions() if each.kind == "action"), None)
        if given is None or not isinstance(action, str) or not action or action in self.unknown:
            return
        args, kwargs = ([] if given[0] is None else given[0], {} if given[1] is None else given[1])
        place = step.places.get(
            "kwargs", step.places.get("args", step.places.get("action", step.place))
        )
        try:
            for name, message in lookup.wrong_arguments(
                action,
                args if isinstance(args, list) else None,
                kwargs if isinstance(kwargs, dict) else None,
            ):
                self.add_problem(step.places.get(f"kwargs.{name}", place), message)
        except StepFailed as error:
            self.add_problem(step.places.get("action", step.place), str(error))

    def check_name(self, step: Step, mention: Mention, lookup: Lookup) -> None:
        kind, name = mention.kind, mention.name
        if not isinstance(name, str) or not name:
            return
        place = step.places.get(mention.field, step.place)
        try:
            is_known = lookup.has(kind, name)
        except StepFailed as error:
            self.unknown.add(name)
            self.add_problem(place, str(error))
            return
        if not is_known:
            self.unknown.add(name)
            hint = nearest(name, lookup.names(kind)) or _ADVICE.get(kind, "")
            self.add_problem(place, f"unknown {kind} `{name}`{hint}")

    def called_by(self, step: Step, caller: Workflow, lookup: Lookup) -> Workflow | None:
        """Give the workflow that *step* runs, after a look at the inputs it hands over."""
        if not isinstance(step, SubworkflowStep) or not step.workflow:
            return None
        place = step.places.get("workflow", step.place)
        try:
            called = lookup.find_workflow(step.workflow, caller.file)
        except WorkflowInvalid as error:
            self.problems += error.problems
            return None
        if called is None:
            hint = nearest(step.workflow, lookup.names("workflow"))
            self.add_problem(place, f"unknown workflow `{step.workflow}`{hint}")
            return None
        self.check_inputs(step, called)
        return called

    def check_inputs(self, step: SubworkflowStep, called: Workflow) -> None:
        given = step.inputs if step.inputs is not None else {}
        if not isinstance(given, dict):
            return
        place = step.places.get("inputs", step.place)
        for name, value in given.items():
            where = step.places.get(f"inputs.{name}", place)
            if name not in called.inputs:
                hint = (
                    nearest(name, called.inputs) or f"; it has {', '.join(called.inputs) or 'none'}"
                )
                self.add_problem(where, f"the workflow `{called.name}` has no input `{name}`{hint}")
            elif next(expressions_in(value), None) is None:
                self.check_constant(called, name, value, where)
        for name, declared in called.inputs.items():
            if declared.required and name not in given:
                self.add_problem(
                    place,
                    f"the workflow `{called.name}` needs the input `{name}` ({declared.type})",
                )

    def check_constant(self, called: Workflow, name: str, value: Field, place: SourcePlace) -> None:
        declared = called.inputs[name]
        if value is None and not declared.required:
            return
        try:
            check_choice(fit(cast("Value", value), declared.type), declared)
        except ValueError as error:
            self.add_problem(
                place,
                f"the input `{name}` ({declared.type}) of the workflow `{called.name}`: {error}",
            )

    def check_cycles(self, root: str) -> None:
        """Report each call that leads back to a workflow which is being walked."""
        trail = [root]
        pending = [iter(self.calls[root])]
        done: set[str] = set()
        while pending:
            for called, place in pending[-1]:
                if called in trail:
                    cycle = (*trail[trail.index(called) :], called)
                    names = [self.workflows[file].name for file in cycle]
                    self.add_problem(place, f"a cycle of sub-workflows: {' -> '.join(names)}")
                elif called not in done:
                    trail.append(called)
                    pending.append(iter(self.calls.get(called, ())))
                    break
            else:
                done.add(trail.pop())
                pending.pop()
