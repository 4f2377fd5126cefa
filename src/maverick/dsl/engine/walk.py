"""What the parts of the engine ask of the walk that they belong to: an `Executor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from maverick.dsl.paths import StepPath

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from maverick.dsl.engine.blocks import Block
    from maverick.dsl.engine.history import History
    from maverick.dsl.engine.notices import Notices
    from maverick.dsl.engine.plan import Plan
    from maverick.dsl.engine.reasons import Explain
    from maverick.dsl.engine.refusals import Refusals
    from maverick.dsl.engine.retries import Retries
    from maverick.dsl.events import Kind
    from maverick.dsl.expressions.expressions import Expression, Field
    from maverick.dsl.journal.recorder import Recorder
    from maverick.dsl.journal.records import Recall
    from maverick.dsl.work import Tools
    from maverick.dsl.workflow.model import Step, Workflow
    from maverick.dsl.workflow.outcome import Result
    from maverick.errors import Fault, StepFailed
    from maverick.values import Value

T = TypeVar("T")


class Walk(Protocol):
    """One pass over a workflow."""

    recall: Recall
    recorder: Recorder | None
    """None for a walk that runs and records nothing."""
    tools: Tools
    plan: Plan
    refusals: Refusals | None
    explain: Explain | None
    """Says what changed of a step that runs again."""
    looking: bool
    keep_records: bool

    @property
    def notices(self) -> Notices: ...
    def run(self, workflow: Workflow, inputs: dict[str, Value]) -> Value: ...
    def walk_workflow(self, workflow: Workflow, path: StepPath, block: Block) -> Result: ...
    def walk_block(self, steps: Sequence[Step], path: StepPath, block: Block) -> list[Result]: ...
    def walk_step(self, step: Step, path: StepPath, block: Block) -> Result: ...
    def holds(self, path: StepPath, what: str, question: Expression, block: Block) -> bool: ...
    def decide(
        self, path: StepPath, what: str, question: Field | Expression, block: Block
    ) -> Value: ...
    def run_attempts(
        self, retries: Retries, step: Step, path: StepPath, attempt: Callable[[int], T]
    ) -> T: ...
    def run_names(self, path: StepPath, attempt: int) -> dict[str, Value]: ...
    def beside(self, recorder: Recorder) -> Walk: ...
    def look(self, history: History) -> Walk: ...
    def count(self, way: Literal["ran", "recalled", "skipped", "failed"]) -> None: ...
    def tell_failed(
        self,
        path: StepPath,
        step: Step,
        error: StepFailed | Fault,
        *,
        goes_on: bool,
        seconds: float | None = None,
        attempts: int = 0,
    ) -> None: ...
    def tell(self, path: StepPath, message: str) -> None: ...
    def emit(
        self,
        event: Kind,
        path: StepPath,
        step: Step,
        *,
        seconds: float | None = None,
        message: str = "",
        data: dict[str, object] | None = None,
    ) -> None: ...
