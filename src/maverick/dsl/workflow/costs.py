"""What agents cost: calls, tokens and dollars, as far as their programs tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from maverick.noted import amount, whole_number

MICRO: Final = 1_000_000
"""Of a dollar, in which costs are stored: files that seal themselves hold integers only."""


class Costs(NamedTuple):
    """Calls of agents, tokens and dollars. None is what no program told."""

    calls: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None

    def plus(self, other: Costs) -> Costs:
        """Give both together; what only one of them tells is what it tells."""
        return Costs(
            self.calls + other.calls,
            _sum(self.tokens_in, other.tokens_in),
            _sum(self.tokens_out, other.tokens_out),
            _sum(self.usd, other.usd),
        )

    def fields(self) -> dict[str, int]:
        """Give what is told, as integers; dollars as millionths."""
        micro = None if self.usd is None else round(self.usd * MICRO)
        every = {
            "calls": self.calls or None,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "micro_usd": micro,
        }
        return {name: number for name, number in every.items() if number is not None}

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Costs:
        """Read what `fields` gave; anything else counts as not told."""
        micro = whole_number(fields.get("micro_usd"))
        return cls(
            whole_number(fields.get("calls")) or 0,
            whole_number(fields.get("tokens_in")),
            whole_number(fields.get("tokens_out")),
            None if micro is None else micro / MICRO,
        )

    @classmethod
    def of_step(cls, facts: Mapping[str, Any]) -> Costs:
        """Give what the step with *facts* has cost, in all its executions."""
        agent, before = facts.get("agent"), facts.get("spent")
        told = cls.of_agent(agent) if isinstance(agent, Mapping) else cls()
        return told.plus(cls.read(before)) if isinstance(before, Mapping) else told

    @classmethod
    def of_agent(cls, agent: Mapping[str, Any]) -> Costs:
        """Give what the calls cost of which an agent's facts tell."""
        return cls(
            whole_number(agent.get("called")) or 0,
            whole_number(agent.get("tokens_in")),
            whole_number(agent.get("tokens_out")),
            amount(agent.get("usd")),
        )


def _sum(one: Any, other: Any) -> Any:
    return one if other is None else other if one is None else one + other
