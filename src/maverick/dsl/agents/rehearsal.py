"""What is said with somebody who stands in for an agent: no program is started."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

from maverick.dsl.agents.answers import Answer
from maverick.dsl.events import Event
from maverick.dsl.standins import Asked
from maverick.errors import StepFailed
from maverick.values import normalise

if TYPE_CHECKING:
    from maverick.dsl.durations import Limit
    from maverick.dsl.standins import StandIns
    from maverick.dsl.work import Attempt, Tools
    from maverick.values import Value


class Rehearsal:
    """As a `Conversation`, with one who stands in."""

    def __init__(
        self,
        stand_ins: StandIns,
        name: str,
        context: Value,
        schema: Value,
        attempt: Attempt,
        tools: Tools,
    ) -> None:
        self._stand_ins = stand_ins
        self._name = name
        self._context = context
        self._schema = schema
        self._attempt = attempt
        self._tools = tools
        self._started = time.monotonic()

    def ask(self, prompt: str, *, following: str = "") -> Answer:
        """Give the answer to *prompt*; where a program would go on, *following* stands there."""
        prompt = following or prompt
        self._attempt.keep("prompt", self._tools.scrub.text(prompt).encode("utf-8", "replace"))
        self._note_call()
        given = self._stand_ins.answer(
            Asked(
                name=self._name,
                step=self._attempt.path,
                prompt=prompt,
                context=self._context,
                schema=self._schema,
                folder=self._tools.root,
            )
        )
        answer = Answer(finished=True)
        if isinstance(given, str):
            if not given.strip():
                raise StepFailed(
                    f"agent {self._name}: its answer is empty; a program that "
                    "prints nothing fails so"
                )
            answer.set_text(given)
        else:
            answer.set_text(json.dumps(normalise(given, "answer")))
            answer.is_json = True
        return answer

    def _note_call(self) -> None:
        facts = cast(
            "dict[str, Any]",
            self._attempt.facts.setdefault("agent", {"provider": "stand-in", "called": 0}),
        )
        facts["called"] += 1

    def tell(self, message: str) -> None:
        """Tell those who watch the run."""
        text = f"agent {self._name}: {message}"
        self._tools.observe(Event(event="notice", step=self._attempt.path, message=text))

    def forget_session(self) -> None:
        """There is none."""

    def time_left(self) -> Limit | None:
        """Give how long this attempt may still take; None is for ever."""
        limit = self._attempt.limit
        return None if limit is None else limit.after(time.monotonic() - self._started)
