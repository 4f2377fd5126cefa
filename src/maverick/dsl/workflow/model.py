"""What a workflow file means, as frozen records: the loader makes them, the executor walks them.

A *field* is a value in which strings with `${{ }}` have become `Template`s; `evaluate.render` gives
its value in a scope. Every step knows its place in the file. Steps are equal to themselves only:
comparing them would take a third of this module's import time, and nothing does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from maverick.dsl.expressions.expressions import Expression, Field, Place, Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from maverick.values import Value


InputType = Literal["string", "integer", "float", "number", "boolean", "array", "object"]
Workspace: TypeAlias = bool | tuple[str, ...]
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
    place: Place | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaseStep:
    """What every step has."""

    name: str
    place: Place
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
    metadata: Mapping[str, Value] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)
    """Where the value of each of the step's fields stands."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PythonStep(BaseStep):
    """Calls a Python function."""

    action: str
    args: Field = None
    kwargs: Field = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShellStep(BaseStep):
    """Runs a script in a shell. `shell` None is `bash -euo pipefail`, else `sh -eu`."""

    run: Field
    shell: Field = None
    cwd: Field = None
    env: Field = None
    stdin: Field = None
    grace: Field = None
    """Seconds from the first signal to SIGKILL when it is stopped; None is what maverick.yaml says.
    """
    parse: Literal["text", "json", "lines"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AgentStep(BaseStep):
    """Asks a coding agent."""

    agent: str | Template
    context: Field = None
    output_schema: Value = None
    cwd: Field = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenerateStep(BaseStep):
    """Asks a generator for text."""

    generator: str | Template
    context: Field = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValidateStep(BaseStep):
    """Runs validation stages; `again` is the language's `retry: N`, how often to validate again."""

    stages: Field = None
    again: Field = 0
    on_failure: Step | None = None
    fail: bool = False
    cwd: Field = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubworkflowStep(BaseStep):
    """Runs another workflow; `workflow` is a name or a path relative to the calling file's folder.

    With a `cwd`, all its steps run as if that folder were the project's root.
    """

    workflow: str
    inputs: Field = None
    cwd: Field = None


class Option(NamedTuple):
    """One way of a branch."""

    when: Expression
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BranchStep(BaseStep):
    """Takes the first option that holds."""

    options: tuple[Option, ...]
    otherwise: Step | None = None
    on_no_match: Literal["null", "fail"] = "null"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoopStep(BaseStep):
    """Repeats its steps. `max_concurrency` None means all at once (`parallel: true`, `type:
    parallel`).
    """

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckpointStep(BaseStep):
    """Makes a labelled checkpoint. `workspace` None means what the workflow's `checkpoints` say."""

    checkpoint_id: Field = None
    workspace: Workspace | None = None


Step: TypeAlias = (
    PythonStep
    | ShellStep
    | AgentStep
    | GenerateStep
    | ValidateStep
    | SubworkflowStep
    | BranchStep
    | LoopStep
    | CheckpointStep
)


def visible_names(step: Step) -> dict[str, Place]:
    """Give the names under which the block sees *step*: its own, and those of a branch's
    options.
    """
    names = {step.name: step.place}
    if isinstance(step, BranchStep):
        chosen = [option.step for option in step.options] + (
            [step.otherwise] if step.otherwise else []
        )
        for option in chosen:
            names |= {
                name: place for name, place in visible_names(option).items() if name not in names
            }
    return names


def steps_in(steps: Iterable[Step]) -> Iterator[Step]:
    """Give *steps* and every step inside them, in the order of the file, rollbacks and options
    included.
    """
    for step in steps:
        yield step
        match step:
            case BranchStep():
                yield from steps_in(option.step for option in step.options)
                yield from steps_in([step.otherwise] if step.otherwise else [])
            case LoopStep():
                yield from steps_in(step.steps)
            case ValidateStep():
                yield from steps_in([step.on_failure] if step.on_failure else [])
            case _:
                pass
        if step.rollback is not None and step.rollback.step is not None:
            yield from steps_in([step.rollback.step])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
    metadata: Mapping[str, Value] = field(default_factory=dict)
    place: Place | None = None
