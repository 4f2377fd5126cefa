"""What agents are told, besides their instructions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.values import Value

INTERRUPTED = (
    "You were interrupted while you worked on the task below, and part of it may be done. Look at "
    "what is there, keep what is right, complete the rest, and then answer as the task asks.\n"
    "\n"
)
_SCHEMA = (
    "## Your answer\n"
    "\n"
    "End with an answer that is JSON and nothing else: no other text, no explanation. It has to "
    "be valid for this JSON Schema:\n"
    "\n"
    "```json\n"
    "{schema}\n"
    "```"
)
_CORRECTION = (
    "Your answer is not what was asked for: {problem}.\n\nThe work itself is not to be done "
    "again. {schema}\n"
)
_EARLIER = (
    "{prompt}\n## Your answer so far\n\nYou have done this task already, and answered:\n\n"
    "{answer}\n\n{correction}"
)
_EARLIER_SHOWN = 20_000
"""Characters of an earlier answer that are shown."""


def prompt(instructions: str, context: Value, schema: Value = None) -> str:
    """What an agent is told: instructions, each entry of the context under a heading of its name,
    the schema.
    """
    if isinstance(context, dict):
        entries = [f"## {name}\n\n{_shown(value)}" for name, value in context.items()]
    else:
        entries = [] if context is None else [_shown(context)]
    asked = [] if schema is None else [_asked(schema)]
    return "\n\n".join(filter(None, [instructions.strip(), *entries, *asked])).strip() + "\n"


def correction(problem: str, schema: Value) -> str:
    """What an agent whose session goes on is told of an answer that is not what was asked for."""
    return _CORRECTION.format(problem=problem, schema=_asked(schema))


def correction_afresh(told: str, answer: str, problem: str, schema: Value) -> str:
    """The same for one that remembers nothing: what it was *told*, what it answered, and what is
    wrong with that.
    """
    shown = answer if len(answer) <= _EARLIER_SHOWN else f"{answer[:_EARLIER_SHOWN]}…"
    return _EARLIER.format(prompt=told, answer=shown, correction=correction(problem, schema))


def context_json(value: Value) -> str:
    """A value as agents see it: indented JSON; what JSON cannot say, as Python shows it."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=repr)


def _asked(schema: Value) -> str:
    if schema is None:
        return "Write JSON, and nothing else."
    return _SCHEMA.format(schema=context_json(schema))


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"```json\n{context_json(value)}\n```"
