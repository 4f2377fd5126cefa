"""What a walk would do, found by the walk itself while it checks: step by step, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from maverick.dsl.engine.blocks import Unfinished
from maverick.dsl.engine.reasons import FAILED_BEFORE, RUNS_EACH_TIME, reason_of
from maverick.dsl.paths import StepPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maverick.dsl.engine.blocks import Block
    from maverick.dsl.journal.records import Recall
    from maverick.dsl.workflow.model import Step
    from maverick.dsl.workflow.outcome import Key
    from maverick.values import Value

PlannedAction: TypeAlias = Literal["recall", "run", "rerun", "skip", "unknown"]
"""`rerun` is to run a step that has finished; `unknown` depends on what is not there yet."""

EVERYTHING: Final = 1 << 62
"""An order that no record has: behind a step that will run, no record counts."""


class Planned(NamedTuple):
    """One step; `parts` are those of its key that changed since it was recorded."""

    step: str
    type: str
    action: PlannedAction
    why: str
    parts: tuple[str, ...] = ()
    agent: Value = None
    """Who plays the agent of the step now."""


@dataclass(slots=True, eq=False)
class Plan:
    """What would become of a run's steps, in the order of the walk, and what would be refused."""

    steps: list[Planned] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why resuming would stop before anything runs; it would give the first of these reasons."""
    artifacts: list[str] = field(default_factory=list)
    """The steps that record files, and of which nothing runs."""
    iterations: dict[StepPath, Sequence[StepPath]] = field(default_factory=dict)
    """Those that there may be of each loop that the walk came to; of a validation its attempts."""
    wanted: bool = True
    """False for a walk that plans nothing: then all that is added is dropped."""

    def add(
        self,
        step: Step,
        path: StepPath,
        action: PlannedAction,
        why: str,
        parts: tuple[str, ...] = (),
        agent: Value = None,
    ) -> None:
        if self.wanted:
            self.steps.append(Planned(path, step.kind, action, why, parts, agent))

    def note_iterations(self, path: StepPath, names: Iterable[int | str]) -> None:
        """Note what the iterations of the loop at *path* are called."""
        if self.wanted:
            self.iterations[path] = [path.item(name) for name in names]

    def note_standing(self, step: Step, path: StepPath) -> None:
        """Note that nothing of a step runs, so that its files are brought back where missing."""
        if self.wanted and step.artifacts:
            self.artifacts.append(path)

    def run_rest(self, block: Block, unfinished: Unfinished) -> None:
        """Make what follows in *block* run, because *unfinished* does."""
        block.newest = block.asked = EVERYTHING
        block.because = block.because or unfinished.path

    def add_recalled(self, step: Step, path: StepPath, block: Block) -> None:
        """Add a step whose record counts, though it may run all the same."""
        if step.always_run or block.always_run:
            self.add(step, path, "rerun", RUNS_EACH_TIME)
        else:
            self.add(step, path, "recall", "it has finished, and nothing of it changed")
            self.note_standing(step, path)

    def add_run(
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
        """Add a step that runs, and why; *key* is None where it cannot be known yet."""
        if not self.wanted:
            return
        reason = reason_of(step, path, block, recall, key, asked=asked, planned=True)
        action: PlannedAction = "rerun" if reason.reruns else "run"
        self.add(step, path, action, reason.text, reason.parts, agent)

    def add_waiting(
        self, step: Step, path: StepPath, block: Block, recall: Recall, unfinished: Unfinished
    ) -> None:
        """Add a step that reads what *unfinished* is to give."""
        record = recall.records.get(path)
        if record is not None and record.key and (step.pure or record.order >= block.newest):
            self.add(step, path, "unknown", f"it depends on what {unfinished.path} gives")
        else:
            self.add_run(step, path, block, recall)

    def validate_again(self, step: Step, first: StepPath, since: int) -> Unfinished:
        """Plan that a failed validation begins anew with its attempt *first*; give what says so.

        What was added since there were *since* steps does not stand.
        """
        del self.steps[since:]
        self.add(step, first, "rerun", FAILED_BEFORE)
        return Unfinished(first, chained=True)

    def add_unentered(
        self,
        step: Step,
        path: StepPath,
        block: Block,
        recall: Recall,
        unfinished: Unfinished,
        since: int,
    ) -> None:
        """Add a step made of steps, unless one inside it was added since there were *since*."""
        if not self.wanted or any(planned.step.startswith(path) for planned in self.steps[since:]):
            return
        why = f"what is in it depends on what {unfinished.path} gives"
        if block.newest < EVERYTHING:
            self.add(step, path, "unknown", why)
        else:
            self.add(step, path, "rerun" if any(recall.records.finished(path, 0)) else "run", why)
