"""What has to be on this machine before a workflow may start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from maverick.dsl.processes.programs import is_there
from maverick.dsl.workflow.model import (
    Mention,
    Step,
    SubworkflowStep,
    Workflow,
    steps_in,
)
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog


def require_programs(workflow: Workflow, catalog: Catalog, environment: Mapping[str, str]) -> None:
    """Check the programs that all steps require, sub-workflows included, and those of their agents.

    An agent that an expression names is not known before its step begins.

    Raises:
        StepFailed: Some are not there; names all of them, with the steps that ask for them. Or an
            agent is configured in a way that cannot work.
    """
    needed: dict[str, list[str]] = {}
    playing: dict[str, list[str]] = {}
    for step in all_steps(workflow, catalog):
        for program in step.requires:
            needed.setdefault(program, []).append(step.name)
        for mention in step.mentions():
            if (missing := _missing_agent(mention, catalog, environment)) is not None:
                playing.setdefault(missing, []).append(step.name)
    root = catalog.root
    problems = [f"{why} ({_needed_by(steps)})" for why, steps in playing.items()]
    if gone := {
        program: steps
        for program, steps in needed.items()
        if not is_there(program, root, environment)
    }:
        named = "; ".join(
            f"{program} (for {', '.join(dict.fromkeys(steps))})" for program, steps in gone.items()
        )
        problems.append(
            f"programs that the workflow requires are not on PATH: {named}; install them and try "
            "again"
        )
    if problems:
        raise StepFailed("\n".join(problems))


def _missing_agent(
    mention: Mention, catalog: Catalog, environment: Mapping[str, str]
) -> str | None:
    """Say what is missing of the agent that a step asks; None if nothing is or it asks none."""
    if catalog.stand_ins is not None:
        return None
    match mention:
        case Mention("agent", str(name)):
            config = catalog.agent(name)
        case Mention("generator", str(name)) if (
            played := catalog.generator(name).config
        ) is not None:
            config = played
        case _:
            return None
    from maverick.dsl.agents.provider import missing, provider_of  # noqa: PLC0415 - only for workflows with agents

    provider = provider_of(name, config)
    program = provider.argv(config)[0]
    return None if is_there(program, catalog.root, environment) else missing(provider, config)


def _needed_by(steps: list[str]) -> str:
    names = list(dict.fromkeys(steps))
    return f"needed by step{'s' if len(names) > 1 else ''} {', '.join(names)}"


def all_steps(workflow: Workflow, catalog: Catalog) -> Iterator[Step]:
    """Yield every step of *workflow* at any depth, and of the workflows it calls (each once)."""
    done: set[str] = set()

    waiting = [workflow]
    while waiting:
        current = waiting.pop()
        if current.file in done:
            continue
        done.add(current.file)
        for step in steps_in(current.steps):
            yield step
            called = (
                catalog.find_workflow(step.workflow, current.file)
                if isinstance(step, SubworkflowStep)
                else None
            )
            if called is not None:
                waiting.append(called)


def keeps_files(workflow: Workflow, steps: Iterable[Step]) -> bool:
    """Whether any checkpoint of a run of *workflow*, which comes to *steps*, keeps files."""
    choices = {step.kept_files() for step in steps}
    return workflow.workspace != "false" or not choices <= {None, False, ()}
