"""`generate`: a generator writes a text. An agent does where one is configured, else a function
that ships.

A text that a shipped function can write is never worth a failed run: where the agent fails, the
function writes it, and that is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maverick.dsl.agents.conversation import Player
from maverick.dsl.agents.providers import provider_of
from maverick.dsl.events import Event
from maverick.dsl.expressions import resolve
from maverick.dsl.steps.agent import Question, ask, context_key, context_value, identity
from maverick.dsl.work import Attempt, Tools, Work
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.workflow.model import GenerateStep
    from maverick.values import Value

_FENCED = re.compile(r"\A```[^\n]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def prepare(step: GenerateStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the generator's program and model, its instructions, and the context."""
    generator = tools.catalog.generator(resolve.text(step.generator, frame, "generator"))
    plain = generator.plain
    player = None
    if generator.config is not None:
        provider = provider_of(generator.name, generator.config)
        player = Player(
            name=generator.name, provider=provider, config=generator.config, writes=False
        )
    parts: dict[str, Value] = {
        "generator": generator.name,
        "agent": None if generator.config is None else identity(generator.name, generator.config),
        "instructions": None if generator.config is None else generator.instructions,
        "context": context_key(step.context, frame, tools),
    }

    def run(attempt: Attempt) -> str:
        context = context_value(step.context, attempt.frame, tools)
        if player is None:
            if plain is None:
                raise StepFailed(
                    f"generator {generator.name!r} has no agent: give it one under `agents` in "
                    "maverick.yaml"
                )
            return plain(context)
        try:
            return _tidy(ask(Question(player, generator.instructions, context), attempt, tools))
        except StepFailed as error:
            if plain is None:
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

    return Work(type="generate", parts=parts, run=run)


def _tidy(answer: Value) -> str:
    """The text itself, where it stands in a fence as a whole."""
    text = answer if isinstance(answer, str) else str(answer)
    fenced = _FENCED.match(text.strip())
    return (fenced[1] if fenced else text).strip()
