"""What a step asks of an agent, and the answer: text, or the value that a schema describes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from maverick.dsl.agents import schemas
from maverick.dsl.agents.conversation import Conversation
from maverick.dsl.agents.prompts import correction, correction_afresh, prompt
from maverick.dsl.agents.schemas import AnswerWrong, parse
from maverick.dsl.catalog.scene import Scene
from maverick.dsl.expressions import evaluate
from maverick.dsl.processes.last_words import failure
from maverick.dsl.processes.programs import python_command
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from maverick.dsl.agents.provider import Player
    from maverick.dsl.agents.rehearsal import Rehearsal
    from maverick.dsl.catalog.config import AgentConfig
    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.work import Attempt, Tools
    from maverick.values import Value


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and of whom. With a schema (JSON Schema) the answer is the value that it
    describes.
    """

    player: Player
    instructions: str
    context: Value
    schema: Value = None


def ask(question: Question, attempt: Attempt, tools: Tools) -> Value:
    """The agent's answer. One that is not what the schema asks for may be corrected once.

    Raises:
        StepFailed: It gave none, or a wrong one twice.
    """
    schema = question.schema
    told = prompt(question.instructions, question.context, schema)
    if not told.strip() and question.player.provider.reader is not None:
        name = question.player.name
        raise StepFailed(
            f"agent {name} is asked nothing: it has no instructions (.maverick/agents/{name}.md), "
            "no context"
        )
    conversation = _conversation(question, told, attempt, tools)
    answer = conversation.ask(told)
    if schema is None and not answer.is_json:
        return answer.text.strip()
    check = partial(_check_apart, conversation, attempt, tools)
    try:
        return parse(answer.text, schema, whole=answer.is_json, check=check)
    except AnswerWrong as wrong:
        problem = str(wrong)
    conversation.tell(f"its answer is not what was asked for, and it is asked once more: {problem}")
    answer = conversation.ask(
        correction_afresh(told, answer.text, problem, schema), following=correction(problem, schema)
    )
    try:
        return parse(answer.text, schema, whole=answer.is_json, check=check)
    except AnswerWrong as wrong:
        conversation.forget_session()
        raise StepFailed(
            f"agent {question.player.name}: its answer is not what was asked for, also when asked "
            f"again: {wrong}"
        ) from None


def _conversation(
    question: Question, told: str, attempt: Attempt, tools: Tools
) -> Conversation | Rehearsal:
    stand_ins = tools.catalog.stand_ins
    if stand_ins is None:
        return Conversation(question.player, question.context, told, attempt, tools)
    from maverick.dsl.agents.rehearsal import Rehearsal  # noqa: PLC0415 - in tests of workflows

    name, context, schema = question.player.name, question.context, question.schema
    return Rehearsal(stand_ins, name, context, schema, attempt, tools)


def _check_apart(
    conversation: Conversation | Rehearsal, attempt: Attempt, tools: Tools, text: str, schema: Value
) -> None:
    """Check an answer, the JSON *text*, where the step's timeout and a signal can stop it: a slow
    pattern cannot be.
    """
    limit = conversation.time_left()
    try:
        done = tools.processes.run(
            python_command(schemas.__name__),
            cwd=tools.root,
            env={**tools.environment, **attempt.environment},
            stdin=schemas.request(text, schema),
            timeout=limit,
            step=attempt.path,
        )
    except StepTimeout:
        raise StepTimeout(
            f"checking an answer against output_schema took longer than {limit}"
        ) from None
    if done.exit_code != 0:
        raise StepFailed(f"an answer could not be checked against output_schema: {failure(done)}")
    schemas.conclude(done.stdout)


def identity(name: str, config: AgentConfig) -> Value:
    """What of an agent's configuration makes the key: who plays it, not how long it may take or
    what it may do.
    """
    return {
        "name": name,
        "provider": config.provider,
        "command": list(config.command),
        "model": config.model,
    }


def context_key(context: Field, frame: Frame, tools: Tools) -> Value:
    """What of `context` makes the key: of a builder, what it gives."""
    if isinstance(context, str):
        return context_value(context, frame, tools)
    return evaluate.key_view(context, frame)


def context_value(context: Field, frame: Frame, tools: Tools) -> Value:
    """What `context` comes to; a plain text is the name of a context builder."""
    if isinstance(context, str):
        return tools.catalog.build_context(context, Scene.of(frame))
    return evaluate.render(context, frame)
