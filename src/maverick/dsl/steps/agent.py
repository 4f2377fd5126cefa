"""`agent`: a coding agent's program is given a prompt and a context, and answers with text or
JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from maverick.dsl.serialization.yaml_nodes import MappingNode, ScalarNode, plain_value
from maverick.dsl.workflow.model import Mention, Step
from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.expressions.expressions import Field, Template
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.serialization.fields import Common, Fields
    from maverick.dsl.work import Attempt, Tools, Work
    from maverick.values import Value


ABOUT: Final[Mapping[str, str]] = {
    "agent": "Who is asked: a name under `agents` in maverick.yaml, or one that ships.",
    "context": "What it works on: a mapping, or the name of a context builder.",
    "output_schema": "JSON Schema of the answer; without it the answer is a text.",
    "cwd": "The folder to work in, from the project's root.",
}


@record(kw_only=True)
class AgentStep(Step):
    """Asks a coding agent."""

    kind = "agent"

    agent: str | Template
    context: Field = None
    output_schema: Value = None
    cwd: Field = None

    def mentions(self) -> Iterator[Mention]:
        yield Mention("agent", self.agent, "agent")
        yield Mention("context builder", self.context, "context")


def read(fields: Fields, common: Common) -> AgentStep:
    """Read the fields; a `context` that is a text is the name of a context builder."""
    schema = fields.mapping("output_schema")
    return AgentStep(
        **common,
        agent=fields.template("agent", required=True) or "",
        context=fields.shaped(
            "context", (MappingNode, ScalarNode), "a mapping, or the name of a context builder"
        ),
        output_schema=None if schema is None else plain_value(schema),
        cwd=fields.template("cwd"),
    )


def prepare(step: AgentStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the agent's program and model, its instructions, the context and the
    schema.
    """
    from maverick.dsl.agents import questions  # noqa: PLC0415 - see maverick.dsl.steps
    from maverick.dsl.agents.provider import Player, provider_of  # noqa: PLC0415
    from maverick.dsl.agents.schemas import check_schema  # noqa: PLC0415
    from maverick.dsl.expressions import resolve  # noqa: PLC0415
    from maverick.dsl.work import Work  # noqa: PLC0415

    tools = replace(tools, root=resolve.folder(step.cwd, frame))
    name = resolve.text(step.agent, frame, "agent")
    config = tools.catalog.agent(name)
    player = Player(name=name, provider=provider_of(name, config), config=config)
    instructions = tools.catalog.instructions(name)
    if step.output_schema is not None:
        check_schema(step.output_schema)
    parts: dict[str, Value] = {
        "agent": questions.identity(name, config),
        "instructions": instructions,
        "context": questions.context_key(step.context, frame, tools),
        "output_schema": step.output_schema,
    }

    def run(attempt: Attempt) -> Value:
        context = questions.context_value(step.context, attempt.frame, tools)
        question = questions.Question(player, instructions, context, step.output_schema)
        return questions.ask(question, attempt, tools)

    return Work(parts=parts, run=run, folder=tools.root)
