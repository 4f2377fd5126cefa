"""`generate`: a generator writes a text. An agent does where one is configured, else a function
that ships.

A text that a shipped function can write is never worth a failed run: where the agent fails, the
function writes it, and that is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from maverick.dsl.serialization.yaml_nodes import MappingNode, ScalarNode
from maverick.dsl.workflow.model import Mention, Step
from maverick.errors import NobodyStandsIn, StepFailed
from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.expressions.expressions import Field, Template
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.serialization.fields import Common, Fields
    from maverick.dsl.work import Attempt, Tools, Work
    from maverick.values import Value

ABOUT: Final[Mapping[str, str]] = {
    "generator": "Who writes the text: one that ships, or any agent.",
    "context": "What it is about: a mapping, or the name of a context builder.",
}
_FENCED = re.compile(r"\A```[^\n]*\n(.*?)\n?```\s*\Z", re.DOTALL)


@record(kw_only=True)
class GenerateStep(Step):
    """Asks a generator for text."""

    kind = "generate"

    generator: str | Template
    context: Field = None

    def mentions(self) -> Iterator[Mention]:
        yield Mention("generator", self.generator, "generator")
        yield Mention("context builder", self.context, "context")


def read(fields: Fields, common: Common) -> GenerateStep:
    """Read the fields; a `context` that is a text is the name of a context builder."""
    return GenerateStep(
        **common,
        generator=fields.template("generator", required=True) or "",
        context=fields.shaped(
            "context", (MappingNode, ScalarNode), "a mapping, or the name of a context builder"
        ),
    )


def prepare(step: GenerateStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the generator's program and model, its instructions, and the context."""
    from maverick.dsl.agents import questions  # noqa: PLC0415 - see maverick.dsl.steps
    from maverick.dsl.agents.provider import Player, provider_of  # noqa: PLC0415
    from maverick.dsl.events import Event  # noqa: PLC0415
    from maverick.dsl.expressions import resolve  # noqa: PLC0415
    from maverick.dsl.work import Work  # noqa: PLC0415

    generator = tools.catalog.generator(resolve.text(step.generator, frame, "generator"))
    plain = generator.plain
    player = None
    config = generator.config
    if config is not None:
        provider = provider_of(generator.name, config)
        player = Player(name=generator.name, provider=provider, config=config, writes=False)
    parts: dict[str, Value] = {
        "generator": generator.name,
        "agent": None if config is None else questions.identity(generator.name, config),
        "instructions": None if config is None else generator.instructions,
        "context": questions.context_key(step.context, frame, tools),
    }

    def run(attempt: Attempt) -> str:
        context = questions.context_value(step.context, attempt.frame, tools)
        if player is None:
            if plain is None:
                raise StepFailed(
                    f"generator {generator.name!r} has no agent: give it one under `agents` in "
                    "maverick.yaml"
                )
            return plain(context)
        question = questions.Question(player, generator.instructions, context)
        try:
            return _tidy(questions.ask(question, attempt, tools))
        except StepFailed as error:
            if plain is None or isinstance(error, NobodyStandsIn):
                raise
            attempt.facts["without_agent"] = str(error)
            tools.observe(
                Event(
                    event="notice",
                    step=attempt.path,
                    message=f"{error}; the text is written without an agent",
                )
            )
            return plain(context)

    return Work(parts=parts, run=run)


def _tidy(answer: Value) -> str:
    """The text itself, where it stands in a fence as a whole."""
    text = answer if isinstance(answer, str) else str(answer)
    fenced = _FENCED.match(text.strip())
    return (fenced[1] if fenced else text).strip()
