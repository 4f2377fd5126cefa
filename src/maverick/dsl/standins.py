"""Who stands in for agents and actions in tests of workflows, where no agent is to be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from maverick.values import Value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What an agent, or a generator, called `name` is asked in a step.

    `step` is the step's path, `schema` its `output_schema`, `folder` where the agent is to work.
    """

    name: str
    step: str
    prompt: str
    context: Value
    schema: Value
    folder: Path

    def __str__(self) -> str:
        return self.prompt

    def __contains__(self, text: str) -> bool:
        """Whether *text* stands in the prompt."""
        return text in self.prompt


class StandIns(Protocol):
    """Stands in for every agent, and for those actions that it knows."""

    @property
    def agents(self) -> frozenset[str]:
        """The names of the agents and generators that have an answer."""

    @property
    def actions(self) -> Mapping[str, Callable[..., object]]:
        """The actions that are called in the place of others, by the names that steps give them."""

    def answer(self, asked: Asked) -> object:
        """Give the answer: a text, or a value.

        Raises:
            NobodyStandsIn: There is none; the message says what to do.
            StepFailed: The agent fails so.
        """
