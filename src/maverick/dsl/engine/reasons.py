"""Why a step runs: in a plan before it does, and in its facts once it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from maverick.dsl.workflow.outcome import changed_parts, in_words

if TYPE_CHECKING:
    from maverick.dsl.engine.blocks import Block
    from maverick.dsl.journal.records import Recall
    from maverick.dsl.paths import StepPath
    from maverick.dsl.workflow.model import Step
    from maverick.dsl.workflow.outcome import Key
    from maverick.values import Value

NOT_RUN = "it had not finished yet"
FAILED_BEFORE = "it failed before"
RUNS_EACH_TIME = "it runs each time (`always_run`)"


class Reason(NamedTuple):
    """Why a step runs; `parts` are those of its key that changed since it was recorded."""

    text: str
    reruns: bool = False
    """Whether it had finished before."""
    parts: tuple[str, ...] = ()


class Rerun(NamedTuple):
    """A step that had finished and runs again: what of its key changed, and who plays its agent."""

    path: StepPath
    parts: tuple[str, ...]
    old: Key
    new: Key
    agent: Value


Explain: TypeAlias = Callable[[Rerun], "list[Value]"]
"""Gives `{part, old, new}` for each part that changed of a step that runs again."""


def reason_of(
    step: Step,
    path: StepPath,
    block: Block,
    recall: Recall,
    key: Key | None,
    *,
    asked: bool,
    planned: bool,
) -> Reason:
    """Say why the step at *path* runs, or will where that is *planned*.

    *key* is None where it cannot be known yet.
    """
    record = recall.records.get(path)
    if record is None or not record.key:
        if recall.failed_attempts(path):
            return Reason(FAILED_BEFORE)
        return Reason("it has not finished yet" if planned else NOT_RUN)
    parts = tuple(changed_parts(record.key, key)) if key is not None else ()
    if asked:
        failed = path in recall.records.failed
        text = FAILED_BEFORE if failed else "it was asked to run again"
        return Reason(text, reruns=True, parts=parts)
    if block.newest > record.order and not step.pure:
        before = f"{block.because} before it {'runs' if planned else 'ran'}"
        return Reason(
            before if block.because else "what stands before it ran since",
            reruns=True,
            parts=parts,
        )
    if not parts:
        return Reason(RUNS_EACH_TIME, reruns=True)
    return Reason(f"its {in_words(parts)} changed", reruns=True, parts=parts)
