"""What a walk would do, found by the walk itself while it checks: step by step, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.outcome import changed_parts, in_words

if TYPE_CHECKING:
    from maverick.dsl.engine.blocks import Block, Unfinished
    from maverick.dsl.journal.recall import Recall
    from maverick.dsl.workflow.model import Step
    from maverick.dsl.workflow.outcome import Key
    from maverick.values import Value

Action: TypeAlias = Literal["recall", "run", "rerun", "skip", "unknown"]
"""`recall` takes what the run itself recorded; `rerun` is to run a step that has finished;
`unknown` depends on what is not there yet.
"""

EVERYTHING: Final = 1 << 62
"""An order that no record has: behind a step that will run, no record counts."""


class Planned(NamedTuple):
    """One step; `parts` are those of its key that changed since it was recorded."""

    step: str
    type: str
    action: Action
    why: str
    parts: tuple[str, ...] = ()
    agent: Value = None
    """Who plays the agent of the step now."""


@dataclass(slots=True, eq=False)
class Plan:
    """What the steps of a run would come to, in the order of the walk, and what would be
    refused.
    """

    steps: list[Planned] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why resuming would stop before anything runs; the first reason is the one that it would give.
    """
    artifacts: list[str] = field(default_factory=list)
    """The steps of which nothing runs, and that record files."""
    wanted: bool = True
    """False for the plan of a walk that is no planning one: it is told, and keeps nothing."""

    def add(
        self, step: Step, path: StepPath, action: Action, why: str, parts: tuple[str, ...] = ()
    ) -> None:
        """Say what becomes of a step."""
        if self.wanted:
            self.steps.append(
                Planned(step=path, type=step.kind, action=action, why=why, parts=parts)
            )

    def stands(self, step: Step, path: StepPath) -> None:
        """Note that nothing of a step runs, so that files that it made are brought back if they are
        missing.
        """
        if self.wanted and step.artifacts:
            self.artifacts.append(path)

    def rest_runs(self, block: Block, unfinished: Unfinished) -> None:
        """Note that what follows in *block* runs because *unfinished* does."""
        block.newest = block.asked = EVERYTHING
        block.because = block.because or unfinished.path

    def recalled(self, step: Step, path: StepPath, block: Block) -> None:
        """Say that the record of a step counts, though it may run all the same."""
        if step.always_run or block.always:
            self.add(step, path, "rerun", "it runs each time (`always_run`)")
        else:
            self.add(step, path, "recall", "it has finished, and nothing of it changed")
            self.stands(step, path)

    def runs(
        self,
        step: Step,
        path: StepPath,
        block: Block,
        recall: Recall,
        key: Key | None = None,
        *,
        asked: bool = False,
        agent: Value = None,
    ) -> None:
        """Say why a step runs; *key* is None where it cannot be known yet. *agent*: who plays
        it.
        """
        if not self.wanted:
            return
        record = recall.records.get(path)
        if record is None or not record.key:
            self.add(
                step,
                path,
                "run",
                "it failed before" if recall.failed_attempts(path) else "it has not run yet",
            )
            return
        parts = tuple(changed_parts(record.key, key)) if key is not None else ()
        if asked:
            why = "it was asked to run again"
        elif block.newest > record.order and not step.pure:
            why = (
                f"{block.because} before it runs"
                if block.because
                else "what stands before it ran since"
            )
        else:
            why = f"its {in_words(parts)} changed"
        self.steps.append(
            Planned(step=path, type=step.kind, action="rerun", why=why, parts=parts, agent=agent)
        )

    def waits(
        self, step: Step, path: StepPath, block: Block, recall: Recall, unfinished: Unfinished
    ) -> None:
        """Say what becomes of a step that reads what *unfinished* is to give."""
        record = recall.records.get(path)
        if record is not None and record.key and (step.pure or record.order >= block.newest):
            self.add(step, path, "unknown", f"it depends on what {unfinished.path} gives")
        else:
            self.runs(step, path, block, recall)

    def not_entered(
        self,
        step: Step,
        path: StepPath,
        block: Block,
        recall: Recall,
        unfinished: Unfinished,
        since: int,
    ) -> None:
        """Say what becomes of a step made of steps, if nothing was said of what is in it since
        *since* others.
        """
        if not self.wanted or any(it.step.startswith(path) for it in self.steps[since:]):
            return
        why = f"what is in it depends on what {unfinished.path} gives"
        if block.newest < EVERYTHING:
            self.add(step, path, "unknown", why)
        else:
            self.add(step, path, "rerun" if any(recall.records.finished(path, 0)) else "run", why)
