"""The walk: one recursive pass over a workflow's steps, which is also how a run is resumed.

`block -> step -> leaf or composite`. What holds for every step at every depth (`when`, recall,
retry, `continue_on_error`, records, events) is done once, in `walk_step`, `walk_leaf` and
`_walk_composite`. Resuming is walking again from the start: at each step its key is computed and
the journal asked; what is recorded under that key is returned, what is not is run. There is no
other notion of a position.

The same walk, *checking*, runs and writes nothing: it finds out before a resumption whether a
finished step would have to run again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from maverick.dsl.engine import leaves
from maverick.dsl.engine.blocks import Block, Deadline, Unfinished, follows, is_chained, last_of
from maverick.dsl.engine.plan import Plan
from maverick.dsl.engine.retries import Retries
from maverick.dsl.events import Event, Kind
from maverick.dsl.expressions import evaluate, resolve
from maverick.dsl.expressions.expressions import Expression, Field
from maverick.dsl.expressions.scope import Frame
from maverick.dsl.journal.records import key_of
from maverick.dsl.paths import ROOT, StepPath
from maverick.dsl.processes.stop_request import Stopped
from maverick.dsl.work import Tools
from maverick.dsl.workflow.model import Step, SubworkflowStep, ValidateStep, Workflow
from maverick.dsl.workflow.outcome import Counts, Result, did_not_pass, failed
from maverick.errors import Fault, MaverickError, StepFailed
from maverick.values import Value

if TYPE_CHECKING:
    from maverick.dsl.engine.history import History
    from maverick.dsl.engine.notices import Notices
    from maverick.dsl.engine.reasons import Explain
    from maverick.dsl.engine.refusals import Refusals
    from maverick.dsl.journal.recorder import Recorder
    from maverick.dsl.journal.records import Facts, Recall

T = TypeVar("T")
Q = TypeVar("Q", Expression, Field | Expression)
_OF_LOOPS = {"for_each", "until"}
"""Decisions that do not leave out all of their step; the loop itself knows what."""


class Executor:
    """Walks a workflow for one run. `counts` tells what it did; `tools.observe` hears of it."""

    def __init__(
        self,
        recall: Recall,
        tools: Tools,
        *,
        recorder: Recorder | None = None,
        keep_records: bool = False,
        history: History | None = None,
        plan: Plan | None = None,
        explain: Explain | None = None,
    ) -> None:
        """Without a *recorder* the walk checks: it runs and writes nothing.

        *keep_records* recalls every record, whatever changed. A *history* gets the steps that have
        finished: a walk that checks goes on for it after what has not finished, to whatever is
        recorded. One that checks with a *plan* adds each step to it, and goes on after what has to
        run. *explain* says what changed of a step that runs again, for its facts.
        """
        self.counts = Counts()
        self._lock = threading.Lock()
        self._notices: Notices | None = None
        self.recall = recall
        self.tools = tools
        self.recorder = recorder
        self.looking = recorder is None and history is not None
        self.plan = plan or Plan(wanted=False)
        self.refusals: Refusals | None = None
        self.explain = explain
        self._history = history
        self.keep_records = keep_records

    def run(self, workflow: Workflow, inputs: dict[str, Value]) -> Value:
        """Walk *workflow* and give its output.

        Raises:
            StepFailed: A step failed, and none above it continues on errors; `step` is its path.
            Stopped: A stop was requested. What had finished is recorded.
        """
        if self.recorder is None and not self.keep_records:
            from maverick.dsl.engine.refusals import Refusals  # noqa: PLC0415 - running, none

            self.refusals = Refusals(self.recall, workflow, self.tools.catalog, self.plan)
        frame = Frame(
            inputs=inputs,
            env=self.tools.environment,
            run=self.run_names(ROOT, 1),
            project_root=self.tools.root,
        )
        return self.walk_workflow(
            workflow, ROOT, Block(frame, workflow.file, asked=self.recall.records.asked)
        ).output

    @property
    def notices(self) -> Notices:
        """What a person has to know of the run, once it is done. Threads share it."""
        from maverick.dsl.engine.notices import Notices  # noqa: PLC0415 - of few workflows there is any

        with self._lock:
            if self._notices is None:
                self._notices = Notices()
            return self._notices

    def told(self) -> tuple[str, ...]:
        """Give what a person has to know of the run, now that it is done."""
        return self._notices.of_run() if self._notices is not None else ()

    # --- blocks and steps -------------------------------------------------------------------------

    def walk_workflow(self, workflow: Workflow, path: StepPath, block: Block) -> Result:
        """Walk a workflow or sub-workflow whose steps stand below *path*."""
        results = self.walk_block(workflow.steps, path, block)
        if workflow.notices and self.recorder is not None:
            from maverick.dsl.engine.notices import notices_of  # noqa: PLC0415 - few workflows have any

            texts = notices_of(workflow, block.frame, self.tools.scrub)
            self.notices.set(path, texts, counts=not block.quiet)
        if not workflow.has_outputs:
            return last_of(workflow.steps, results)
        output = self.tools.scrub.value(evaluate.render(workflow.outputs, block.frame))
        return Result("done", lambda: output)

    def walk_block(self, steps: Sequence[Step], path: StepPath, block: Block) -> list[Result]:
        """Walk *steps* in order; give the result of each."""
        results, first = [], None
        for number, step in enumerate(steps):
            try:
                results.append(self.walk_step(step, path.child(step.name), block))
            except Unfinished as unfinished:
                first = unfinished.pick_first(first)
                if unfinished.chained and not self.looking:
                    later = (path.child(each.name) for each in steps[number + 1 :] if follows(each))
                    if self.refusals is not None:
                        self.refusals.refuse_behind(unfinished, later, block)
                    if not self.plan.wanted:
                        raise
                    self.plan.run_rest(block, unfinished)
                block.frame.set_step(step.name, unfinished.view())
        if first is not None:
            raise first
        return results

    def walk_step(self, step: Step, path: StepPath, block: Block) -> Result:
        """Walk one step, whatever its type; what it gave is visible to the steps after it."""
        self.tools.stop.check()
        try:
            return self._step(step, path, block)
        except Unfinished as unfinished:
            unfinished.chained = unfinished.chained and is_chained(step)
            raise
        except (MaverickError, Stopped):
            raise
        except Exception as error:
            raise self._fault(error, step, path) from error

    def _fault(self, error: Exception, step: Step, path: StepPath) -> Fault:
        """Give what ends the run, whatever goes on after errors: nobody foresaw *error*."""
        fault = Fault.of(error, step=path)
        fault.args = (self.tools.scrub.text(str(fault)),)
        self.count("failed")
        self.tell_failed(path, step, fault, goes_on=False)
        return fault

    def _step(self, step: Step, path: StepPath, block: Block) -> Result:
        record = self.recall.records.get(path)
        if record is not None and record.by_hand and not record.key:
            block.note_record(step, record.order, asked=True)
            self.count("skipped")
            self.emit("step_skipped", path, step, message="by hand")
            self.plan.add(step, path, "skip", "it was skipped by hand")
            result = Result("skipped", record.load)
        elif not self._is_wanted(step, path, block):
            self.count("skipped")
            why = f"when: {step.when.text}" if step.when is not None else ""
            self.emit("step_skipped", path, step, message=why)
            self.plan.add(step, path, "skip", "its `when` does not hold")
            result = self._conclude(path, step, Result("skipped", lambda: None))
        else:
            try:
                if step.is_composite:
                    result = self._walk_composite(step, path, block)
                else:
                    result = leaves.walk_leaf(self, step, path, block)
            except StepFailed as error:
                error.step = error.step or path
                error.args = (self.tools.scrub.text(str(error)),)
                if not step.continue_on_error:
                    raise
                result = self._conclude(path, step, failed(error))
        block.frame.set_step(step.name, result.view())
        if self._history is not None and result.status != "skipped":
            lineage = block.lineage_of(step, path)
            self._history.add(path, step, block.frame, block.file, lineage, result)
        return result

    def _is_wanted(self, step: Step, path: StepPath, block: Block) -> bool:
        """Whether the step's `when` holds."""
        try:
            return step.when is None or self.holds(path, "when", step.when, block)
        except Unfinished as unfinished:
            self.plan.add(
                step, path, "unknown", f"its `when` depends on what {unfinished.path} gives"
            )
            raise
        except StepFailed as error:
            error.step = path
            self.count("failed")
            self.tell_failed(path, step, error, goes_on=block.tolerates(error))
            raise

    def beside(self, recorder: Recorder) -> Executor:
        """Give a walk with the same tools, another *recorder* and nothing to recall."""
        return Executor(recorder, self.tools, recorder=recorder)

    def look(self, history: History) -> Executor:
        """Give a walk that runs nothing, and that tells *history* all that is recorded."""
        return Executor(self.recall, self.tools, keep_records=True, history=history)

    def _walk_composite(self, step: Step, path: StepPath, block: Block) -> Result:
        """Walk a step made of steps. It is never recalled whole; its output is kept to be shown."""
        self.emit("step_started", path, step, data={"composite": True})
        started, clock = time.time(), time.monotonic()
        planned = len(self.plan.steps)
        try:
            result = self._walk_attempts(step, path, block)
        except Unfinished as unfinished:
            self.plan.add_unentered(step, path, block, self.recall, unfinished, planned)
            raise
        except (StepFailed, Fault) as error:
            goes_on = isinstance(error, StepFailed) and block.goes_on_after(step, error)
            if not error.step:  # It failed itself, and not for a step in it.
                self.count("failed")
                if isinstance(error, StepFailed) and not (goes_on or error.recalled):
                    self._begin_anew(step, path)
            error.step = error.step or path
            took = time.monotonic() - clock
            self.tell_failed(path, step, error, goes_on=goes_on, seconds=took, composite=True)
            raise
        stands = self._stands(path, result)
        seconds = round(time.monotonic() - clock, 3)
        facts: dict[str, object] = {"started": int(started * 1000), "seconds": seconds}
        facts |= result.facts
        if step.kind == "validate":
            facts |= leaves.did_it_pass(step, result.output)
        self._conclude(path, step, result, facts)
        if stands:
            self.plan.note_standing(step, path)
        if (
            step.artifacts
            and not (stands and leaves.bring_back_artifacts(self, step, path))
            and self.recorder is not None
        ):
            from maverick.dsl.journal.keeper import take_artifacts  # noqa: PLC0415 - few steps have artifacts

            files = take_artifacts(self.recorder.store, self.tools.root, step.artifacts)
            self.recorder.keep_artifacts(path, files)
        self.emit(
            "step_done",
            path,
            step,
            seconds=time.monotonic() - clock,
            message=self._remark(step, path, result),
            data={"composite": True},
        )
        return result

    def _begin_anew(self, step: Step, path: StepPath) -> None:
        """Have a step that failed by what it recorded not recall that: it would fail forever."""
        if self.recorder is None:
            return
        if isinstance(step, ValidateStep):
            self.recorder.run_again(path, failed=True)
        else:
            self.recorder.decide_again(path)

    def _remark(self, step: Step, path: StepPath, result: Result) -> str:
        """Give what a person has to know of a step that is done, and made of steps."""
        if isinstance(step, ValidateStep):
            return did_not_pass(result.output)
        return "; ".join(self.notices.at(path)) if isinstance(step, SubworkflowStep) else ""

    def _walk_attempts(self, step: Step, path: StepPath, block: Block) -> Result:
        """Walk a composite until it succeeds; an attempt recalls what those before it finished."""
        from maverick.dsl.engine.composites import walk_composite  # noqa: PLC0415 - many workflows have none

        retries = Retries.of(step.retry, block.frame)
        before, newest, deadline = block.newest, block.newest, block.deadline

        def attempt(number: int) -> Result:
            nonlocal newest
            newest, block.newest, block.deadline = max(newest, block.newest), before, deadline
            block.deadline = Deadline.of(
                block.limit(resolve.limit(step.timeout, block.frame)), path
            )
            block.is_repeated = partial(retries.repeats, number)
            if number > 1:
                self.notices.drop(path)
            return walk_composite(self, step, path, block)

        try:
            return self.run_attempts(retries, step, path, attempt)
        finally:
            block.newest, block.deadline = max(newest, block.newest), deadline

    def _conclude(
        self, path: StepPath, step: Step, result: Result, facts: Facts | None = None
    ) -> Result:
        """Keep what became of a step that is made of steps, or did not run."""
        if self.recorder is not None and not self._stands(path, result):
            about = {"type": step.kind, **(facts or {})}
            self.recorder.note_composite(path, result.status, result.output, about)
        return result

    def _stands(self, path: StepPath, result: Result) -> bool:
        """Whether *result* is kept of the step at *path*; a step in it that runs drops it."""
        record = self.recall.records.get(path)
        if record is None or record.status != result.status:
            return False
        return result.status != "failed" or record.load() == result.output

    def run_names(self, path: StepPath, attempt: int) -> dict[str, Value]:
        """Give what `run` is in the expressions of the step at *path*; attempts count from 1."""
        key = self.recall.idempotency_key(path)
        return {"id": self.recall.run, "attempt": attempt, "idempotency_key": key}

    def run_attempts(
        self, retries: Retries, step: Step, path: StepPath, attempt: Callable[[int], T]
    ) -> T:
        """Call *attempt* as often as the step's *retries* say, with the number of the attempt."""

        def tell_failure(number: int, error: StepFailed) -> None:
            data: dict[str, object] = {
                "attempt": number,
                "of": retries.attempts,
                "wait": retries.pause(number),
            }
            self.emit("step_retried", path, step, message=str(error), data=data)

        return retries.run(self.tools.stop, attempt, tell_failure)

    # --- decisions --------------------------------------------------------------------------------

    def holds(self, path: StepPath, what: str, question: Expression, block: Block) -> bool:
        """Whether a `when`, an `until` or an option is true."""
        return evaluate.holds(
            question, self._decide(path, what, question, block, evaluate.condition)
        )

    def decide(
        self, path: StepPath, what: str, question: Field | Expression, block: Block
    ) -> Value:
        """Give what a `for_each` comes to: as recorded, unless that is out of date."""
        return self._decide(path, what, question, block, evaluate.render)

    def _decide(
        self,
        path: StepPath,
        what: str,
        question: Q,
        block: Block,
        answering: Callable[[Q, Frame], Value],
    ) -> Value:
        name = f"{path}?{what}"
        key = key_of({"question": evaluate.key_view(question, block.frame)})
        record = self.recall.records.get(name)
        if record is not None and (
            self.keep_records or (record.key == key and record.order >= block.newest)
        ):
            return record.load()
        answer = self.tools.scrub.value(answering(question, block.frame))
        if self.recorder is not None:
            self.recorder.note_decision(name, key, answer, urgent=resolve.is_volatile(question))
        elif self.refusals is not None and record is not None and record.load() != answer:
            self.refusals.refuse_left_out(path, what, () if what in _OF_LOOPS else [path], block)
        return answer

    # --- events -----------------------------------------------------------------------------------

    def emit(
        self,
        event: Kind,
        path: StepPath,
        step: Step,
        *,
        seconds: float | None = None,
        message: str = "",
        data: dict[str, object] | None = None,
    ) -> None:
        """Tell whoever watches; the checking walk is silent."""
        if self.recorder is not None:
            message = self.tools.scrub.text(message)
            self.tools.observe(
                Event(
                    event=event,
                    step=path,
                    type=step.kind,
                    seconds=seconds,
                    message=message,
                    data=data or {},
                )
            )

    def tell_failed(
        self,
        path: StepPath,
        step: Step,
        error: StepFailed | Fault,
        *,
        goes_on: bool,
        seconds: float | None = None,
        attempts: int = 0,
        composite: bool = False,
    ) -> None:
        """Tell that the step at *path* failed, or one in it.

        Unless the walk *goes_on*, the run's own error tells why, or a retry of a step around it.
        """
        failed_at = error.step or path
        data: dict[str, object] = {
            **({"attempts": attempts} if attempts else {}),
            **({"composite": True} if composite else {}),
            **({"failed_at": failed_at} if failed_at != path else {}),
            **({} if goes_on else {"fatal": True}),
        }
        self.emit("step_failed", path, step, seconds=seconds, message=str(error), data=data)

    def count(self, way: Literal["ran", "recalled", "skipped", "failed"]) -> None:
        """Count a step that went that way."""
        with self._lock:
            setattr(self.counts, way, getattr(self.counts, way) + 1)

    def tell(self, path: StepPath, message: str) -> None:
        """Tell whoever watches, the checking walk included."""
        self.tools.observe(Event(event="notice", step=path, message=self.tools.scrub.text(message)))
