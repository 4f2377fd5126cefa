"""`agent`: a coding agent's program is given a prompt and a context, and answers with text or JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maverick.dsl import evaluate, fields
from maverick.dsl.steps.shell import failure, text_of
from maverick.dsl.steps.work import Attempt, Tools, Work
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.model import AgentStep
    from maverick.dsl.scope import Frame
    from maverick.dsl.values import Value


def prepare(step: AgentStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the agent's program and model, its instructions, the context and the schema."""
    name = fields.text(step.agent, frame, "agent")
    agent = tools.catalog.agent(name)
    program: dict[str, Value] = {"provider": agent.provider, "command": list(agent.command), "model": agent.model}
    instructions = tools.catalog.instructions(name)
    parts: dict[str, Value] = {
        "agent": {"name": name, **program},
        "instructions": instructions,
        "context": evaluate.key_view(step.context, frame),
        "output_schema": step.output_schema,
    }
    if agent.provider != "command":
        raise StepFailed(
            f"agent {name!r} has the provider {agent.provider!r}, which this version cannot run; give it "
            "`provider: command` and a `command` in maverick.yaml"
        )

    def run(attempt: Attempt) -> Value:
        context = evaluate.render(step.context, attempt.frame)
        limits = [seconds for seconds in (attempt.seconds, agent.timeout) if seconds is not None]
        with tempfile.TemporaryDirectory(prefix="maverick-") as made:
            folder = Path(made)
            (folder / "context.json").write_text(_json(context), "utf-8")
            output = folder / "output.json"
            done = tools.processes.run(
                agent.command,
                cwd=tools.root,
                env={
                    **tools.environment,
                    **attempt.environment,
                    "MAVERICK_AGENT": name,
                    "MAVERICK_CONTEXT": str(folder / "context.json"),
                    "MAVERICK_OUTPUT": str(output),
                },
                stdin=prompt(instructions, context).encode("utf-8", "backslashreplace"),
                timeout=min(limits, default=None),
                on_output=attempt.say,
                step=attempt.path,
            )
            if done.exit_code != 0:
                raise StepFailed(f"agent {name}: {failure(done)}")
            if output.exists():
                return _checked(_parsed(output.read_text("utf-8"), "MAVERICK_OUTPUT"), step)
        text = text_of(done.stdout).strip()
        if step.output_schema is None:
            return text
        return _checked(_parsed(text, "its standard output"), step)

    return Work(type="agent", parts=parts, run=run)


def prompt(instructions: str, context: Value) -> str:
    """What an agent is told: its instructions, and below them the context, each entry under a heading of its name."""
    if isinstance(context, dict):
        entries = [f"## {name}\n\n{_shown(value)}" for name, value in context.items()]
    else:
        entries = [] if context is None else [_shown(context)]
    return "\n\n".join([instructions.strip(), *entries]).strip() + "\n"


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"```json\n{_json(value)}\n```"


def _json(value: Value) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=repr)


def _parsed(text: str, where: str) -> Value:
    try:
        value: Value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StepFailed(f"the agent's answer is no JSON ({where}: {error}): {text[:200]!r}") from None
    return value


def _checked(answer: Value, step: AgentStep) -> Value:
    """The answer, if it is what `output_schema` asks for."""
    if step.output_schema is not None:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - only for those who give a schema

        for error in Draft202012Validator(cast("Mapping[str, Value]", step.output_schema)).iter_errors(answer):
            raise StepFailed(
                f"the agent's answer does not fit output_schema at {error.json_path}: {error.message[:300]}"
            )
    return answer
