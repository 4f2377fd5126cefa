"""What a workflow file means, as frozen records: the loader makes them, the executor walks them.

A *field* is a value in which strings with `${{ }}` have become `Template`s; `evaluate.render` gives
its value in a scope. Every step knows its place in the file. Steps are equal to themselves only:
comparing them would take a third of this module's import time, and nothing does.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

from maverick.dsl.expressions.expressions import Expression, Field, SourcePlace, Template
from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from maverick.values import Value


InputType = Literal["string", "integer", "float", "number", "boolean", "array", "object"]
KeepFiles: TypeAlias = bool | tuple[str, ...]
"""False, True, or globs: what a checkpoint step asks to be kept of the project's files."""


class Input(NamedTuple):
    """One declared input. `required` is False as soon as there is a default."""

    name: str
    type: InputType
    required: bool
    default: Value = None
    has_default: bool = False
    choices: tuple[Value, ...] = ()
    description: str = ""
    place: SourcePlace | None = None


class Retry(NamedTuple):
    """`attempts` counts in all; `delay * backoff ** (n - 1)` seconds between them, `max_delay` at
    most.

    `on` names what to retry. A `max_delay` of None is no limit.
    """

    attempts: Field = 1
    delay: Field = 0
    backoff: Field = 1
    on: tuple[str, ...] = ()
    max_delay: Field = None


class Rollback(NamedTuple):
    """What undoes a step: the name of an action, or a step."""

    action: str | None = None
    step: Step | None = None


MentionKind: TypeAlias = Literal[
    "action", "agent", "generator", "context builder", "validation stage", "workflow"
]


class Mention(NamedTuple):
    """Something of the project that a step names in one of its fields.

    A `name` that holds an expression is known when the step is reached.
    """

    kind: MentionKind
    name: Field
    field: str


@record(kw_only=True)
class Step:
    """What every step has, whatever its type; each type is a class of its own.

    The types that do something themselves stand in `maverick.dsl.steps`, those that are made of
    other steps below.
    """

    kind: ClassVar[str] = ""
    """The type's name; empty where the file gives none that there is."""
    is_composite: ClassVar[bool] = False
    """Whether it is made of steps."""
    is_checkpoint: ClassVar[bool] = False
    """Recording it makes a checkpoint: it undoes nothing before it, and gives nothing."""
    gives: ClassVar[tuple[str, ...]] = ()
    """The names in its output, where they are the same for every step of the type."""

    name: str
    place: SourcePlace
    description: str = ""
    when: Expression | None = None
    requires: tuple[str, ...] = ()
    retry: Retry | None = None
    timeout: Field = None
    continue_on_error: bool = False
    rollback: Rollback | None = None
    pure: bool = False
    always_run: bool = False
    artifacts: tuple[str, ...] = ()
    """Globs of files that are recorded with the output, and brought back where a recalled step's
    are missing.
    """
    logs: bool = True
    """Whether what its attempts write is kept."""
    notices: bool = True
    """Whether what it, and the steps in it, have to tell of a done run is told of the run."""
    metadata: Mapping[str, Value] = field(default_factory=dict)
    places: Mapping[str, SourcePlace] = field(default_factory=dict, compare=False, repr=False)
    """Where the value of each of the step's fields stands."""

    def mentions(self) -> Iterable[Mention]:
        """What it names of the project, its rollback aside; who does its work comes first."""
        return ()

    def arguments(self) -> tuple[Field, Field] | None:
        """What it calls its action with, by position and by name; None if it calls none."""
        return None

    def kept_files(self) -> KeepFiles | None:
        """What a checkpoint keeps of the project's files; None is what the workflow says."""
        return None

    def inside(self) -> Iterable[tuple[str, Step]]:
        """The steps that it is made of, in the order of the file.

        Each comes with what stands behind this step's path in theirs: `[]` where they may be
        repeated.
        """
        return ()

    def visible_names(self) -> dict[str, SourcePlace]:
        """The names under which its block sees it, and where each stands."""
        return {self.name: self.place}


@record(kw_only=True)
class ValidateStep(Step):
    """Runs validation stages; `again` is the language's `retry: N`, how often to validate again."""

    kind = "validate"
    is_composite = True
    gives = ("success", "passed", "stages", "attempts")

    stages: Field = None
    again: Field = 0
    on_failure: Step | None = None
    fail: bool = False
    cwd: Field = None

    def mentions(self) -> Iterator[Mention]:
        for stage in self.stages if isinstance(self.stages, list) else [self.stages]:
            if isinstance(stage, str) and len(stage.split()) == 1:
                yield Mention("validation stage", stage, "stages")

    def inside(self) -> Iterator[tuple[str, Step]]:
        if self.on_failure is not None:
            yield "[]", self.on_failure


@record(kw_only=True)
class SubworkflowStep(Step):
    """Runs another workflow; `workflow` is a name or a path relative to the calling file's folder.

    With a `cwd`, all its steps run as if that folder were the project's root.
    """

    kind = "subworkflow"
    is_composite = True

    workflow: str
    inputs: Field = None
    cwd: Field = None

    def mentions(self) -> Iterator[Mention]:
        yield Mention("workflow", self.workflow, "workflow")


class Option(NamedTuple):
    """One way of a branch."""

    when: Expression
    step: Step


@record(kw_only=True)
class BranchStep(Step):
    """Takes the first option that holds."""

    kind = "branch"
    is_composite = True

    options: tuple[Option, ...]
    otherwise: Step | None = None
    on_no_match: Literal["null", "fail"] = "null"

    def inside(self) -> Iterator[tuple[str, Step]]:
        for option in self.options:
            yield "", option.step
        if self.otherwise is not None:
            yield "", self.otherwise

    def visible_names(self) -> dict[str, SourcePlace]:
        """Its own name, and those of its options: the chosen one is seen after the branch."""
        names = {self.name: self.place}
        for _, chosen in self.inside():
            for name, place in chosen.visible_names().items():
                names.setdefault(name, place)
        return names


@record(kw_only=True)
class LoopStep(Step):
    """Repeats its steps. `max_concurrency` None means all at once (`parallel: true`, `type:
    parallel`).
    """

    kind = "loop"
    is_composite = True

    steps: tuple[Step, ...]
    for_each: Field | Expression = None
    until: Expression | None = None
    max_iterations: Field = 30
    max_concurrency: Field = 1
    parallel: Expression | None = None
    """Where an expression says whether it is all at once, else one after the other.
    `max_concurrency` is None then.
    """
    key: Expression | None = None
    collect: Literal["last", "steps"] = "last"
    on_exhausted: Literal["fail", "continue"] = "fail"
    """What becomes of it when its `until` was true after no round."""
    has_for_each: bool = False

    def inside(self) -> Iterator[tuple[str, Step]]:
        mark = "[]" if self.has_for_each or self.until is not None else ""
        for step in self.steps:
            yield mark, step


def steps_in(steps: Iterable[Step]) -> Iterator[Step]:
    """Give *steps* and every step inside them, in the order of the file, rollbacks and options
    included.
    """
    for step in steps:
        yield step
        yield from steps_in(inner for _, inner in step.inside())
        if step.rollback is not None and step.rollback.step is not None:
            yield from steps_in([step.rollback.step])


class Notice(NamedTuple):
    """What a person has to know of a run that is done: *message*, where *when* holds."""

    when: Expression | None
    message: str | Template
    place: SourcePlace


@record(kw_only=True)
class Workflow:
    """A workflow definition. `text` is the file's content, `file` its path as shown in messages."""

    name: str
    version: str
    file: str
    text: str
    description: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    on_failure: Literal["rollback", "keep"] = "rollback"
    workspace: Literal["false", "label", "step"] = "false"
    steps: tuple[Step, ...] = ()
    outputs: Field = None
    has_outputs: bool = False
    notices: tuple[Notice, ...] = ()
    metadata: Mapping[str, Value] = field(default_factory=dict)
    place: SourcePlace | None = None
