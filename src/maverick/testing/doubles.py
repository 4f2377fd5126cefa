"""Answers in the place of agents and actions, and what was asked of each."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maverick.dsl.standins import Asked
from maverick.dsl.steps.exceptions import said
from maverick.errors import NobodyStandsIn, StepFailed, UsageError
from maverick.visible import nearest

_GENERATOR = "_generator"
_OFFERED = ("name", "step", "prompt", "context", "schema", "folder")
"""What of a question a function may ask for by the names of its parameters, beside `asked`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An agent's answer, and the files that it writes: path in its folder -> text or bytes."""

    says: object = "done"
    writes: Mapping[str, str | bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an action: its arguments."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Doubles:
    """Stands in for agents by *agents* and for actions by *actions*, and keeps what they are asked.

    Each is an answer, a function that gives one, an exception that is raised, or an iterator with
    one answer after the other.
    """

    def __init__(self, agents: Mapping[str, object], actions: Mapping[str, object]) -> None:
        self._answers = dict(agents)
        self._actions = {name: self._stand_in(name, given) for name, given in actions.items()}
        self._lock = threading.Lock()
        self.asked: dict[str, list[Asked]] = {name: [] for name in agents}
        self.called: dict[str, list[Call]] = {name: [] for name in actions}
        self.failures: list[AssertionError] = []
        """What tests assert inside of answers, and does not hold."""

    @property
    def agents(self) -> frozenset[str]:
        """The names of the agents that have an answer."""
        return frozenset(self._answers)

    @property
    def actions(self) -> Mapping[str, Callable[..., object]]:
        """The functions in the place of actions."""
        return self._actions

    def check(self) -> None:
        """Raise the first of the failures."""
        if self.failures:
            raise self.failures[0]

    def answer(self, asked: Asked) -> object:
        """Give the answer to what is *asked*, having written its files.

        Raises:
            NobodyStandsIn: There is none.
            StepFailed: The answer is an exception, or raised one.
        """
        name = self._name_of(asked.name)
        with self._lock:
            self.asked[name].append(asked)
        agent = f"agent {asked.name}"
        answer = self._given(agent, self._answers[name], lambda give: _asked(give, asked))
        if not isinstance(answer, Reply):
            return answer
        for path, content in answer.writes.items():
            write_below(asked.folder, path, content)
        return answer.says

    def _name_of(self, agent: str) -> str:
        for name in (agent, f"{agent}{_GENERATOR}"):
            if name in self._answers:
                return name
        raise NobodyStandsIn(
            f"agent {agent!r} is asked, and this test gives no answer for it"
            f"{nearest(agent, self._answers)}; give one: agents={{{agent!r}: 'its answer'}}"
        )

    def _given(
        self, what: str, given: object, call: Callable[[Callable[..., object]], object]
    ) -> Any:
        """Give the answer *given*, or what it gives. Raises StepFailed."""
        try:
            if isinstance(given, Iterator):
                given = self._next(what, given)
            if isinstance(given, BaseException) or (
                isinstance(given, type) and issubclass(given, BaseException)
            ):
                raise given  # noqa: TRY301 - as a function would
            return call(given) if callable(given) else given
        except StepFailed:
            raise
        except Exception as error:
            if isinstance(error, AssertionError):
                self.failures.append(error)
            raise StepFailed(
                f"{what}: {said(error)}", causes=tuple(cls.__name__ for cls in type(error).__mro__)
            ) from error

    def _next(self, what: str, answers: Iterator[object]) -> object:
        with self._lock:
            try:
                return next(answers)
            except StopIteration:
                raise NobodyStandsIn(f"{what}: the answers of this test are used up") from None

    def _stand_in(self, name: str, given: object) -> Callable[..., object]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.called[name].append(Call(args, kwargs))
            return self._given(f"action {name}", given, lambda function: function(*args, **kwargs))

        if not inspect.isroutine(given):
            return call
        if not inspect.iscoroutinefunction(given):
            return functools.wraps(given)(call)

        @functools.wraps(given)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await call(*args, **kwargs)

        return call_async


def _asked(function: Callable[..., object], asked: Asked) -> object:
    """Call *function* with what it asks for: by their names, or the question as a whole."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # Some functions written in C have no signature.
        return function(asked)
    offered = {"asked": asked, **{name: getattr(asked, name) for name in _OFFERED}}
    args: list[object] = []
    kwargs: dict[str, object] = {}
    for each in parameters:
        if each.name in offered and each.kind is not each.POSITIONAL_ONLY:
            kwargs[each.name] = offered[each.name]
        elif each.kind is each.VAR_POSITIONAL or (
            each.default is each.empty and each.kind is not each.VAR_KEYWORD and not args
        ):
            args.append(asked)
    return function(*args, **kwargs)


def write_below(folder: Path, path: str, content: str | bytes) -> None:
    """Write the file at *path* below *folder*. Raises UsageError for one that is not below it."""
    target = Path(os.path.normpath(folder / path))
    if not target.is_relative_to(folder) or target == folder:
        raise UsageError(f"{path!r} is not inside the project; write a path below its folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        target.write_text(content, "utf-8")
