"""The steps that do something themselves: recalled where they are recorded, else run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from maverick.dsl.engine.blocks import Block, Unfinished
from maverick.dsl.engine.reasons import NOT_RUN, Reason, Rerun, reason_of
from maverick.dsl.engine.retries import Retries
from maverick.dsl.events import Decoding
from maverick.dsl.expressions import resolve
from maverick.dsl.journal.logs import ERROR_CHARACTERS, AttemptLog
from maverick.dsl.journal.records import key_of
from maverick.dsl.paths import StepPath
from maverick.dsl.processes.child import StreamName
from maverick.dsl.processes.last_words import cut
from maverick.dsl.processes.stop_request import Stopped
from maverick.dsl.steps import prepare
from maverick.dsl.work import Attempt, Work
from maverick.dsl.workflow.costs import Costs
from maverick.dsl.workflow.model import Step
from maverick.dsl.workflow.outcome import (
    Key,
    Record,
    Result,
    Status,
    changed_parts,
    did_not_pass,
    error_of,
    failed,
)
from maverick.errors import StepFailed
from maverick.values import Value, normalise

if TYPE_CHECKING:
    from maverick.checkpoints import Content
    from maverick.dsl.engine.walk import Walk
    from maverick.dsl.journal.recorder import Recorder

_MOST_PLAYER_CHARACTERS = 800


def walk_leaf(walk: Walk, step: Step, path: StepPath, block: Block) -> Result:
    """Recall the step at *path*, or run and record it."""
    try:
        work = prepare(step, block.frame, walk.tools)
        key = key_of({"type": step.kind, **work.parts})
    except StepFailed as error:
        walk.plan.add(step, path, "run", f"it would fail: {error}")
        if walk.recorder is None:
            raise Unfinished(path, chained=True) from None
        walk.count("failed")
        walk.emit("step_started", path, step)
        walk.tell_failed(path, step, error, goes_on=block.goes_on_after(step, error))
        raise
    except Unfinished as unfinished:
        # It reads what another step is to give, and may find that nothing changed.
        walk.plan.add_waiting(step, path, block, walk.recall, unfinished)
        raise Unfinished(path, chained=walk.recall.records.get(path) is None) from None
    record, again = walk.recall.records.get(path), walk.recall.records.again.get(path)
    if again is not None and not walk.looking:
        block.note_record(step, again, asked=True)
    elif record is not None and record.key and _is_recallable(walk, step, path, record, key, block):
        block.note_record(step, record.order, asked=record.asked)
        walk.plan.add_recalled(step, path, block)
        return _recall(walk, step, path, record)
    agent = work.parts.get("agent")
    walk.plan.add_run(step, path, block, walk.recall, key, asked=again is not None, agent=agent)
    recorder = walk.recorder
    if recorder is None:
        raise Unfinished(path, chained=True)
    reason = reason_of(step, path, block, walk.recall, key, asked=again is not None, planned=False)
    recorder.settle()
    return _Leaf(walk, recorder, step, path, block, work, key, reason).run()


def _is_recallable(
    walk: Walk, step: Step, path: StepPath, record: Record, key: Key, block: Block
) -> bool:
    if step.always_run or block.always_run:
        # It runs each time; what follows is judged by what it gave last.
        return walk.recorder is None
    if walk.keep_records:
        return True
    if not step.pure and record.order < block.newest:
        # Something before it ran since: it is to run again, if it was not asked for already.
        return False
    changed = changed_parts(record.key, key)
    if changed and walk.refusals is not None and record.order >= block.asked:
        walk.refusals.refuse_changed(path, changed)
    return not changed


def _recall(walk: Walk, step: Step, path: StepPath, record: Record) -> Result:
    walk.count("recalled")
    walk.emit("step_recalled", path, step)
    result = Result(record.status, record.load)
    if record.status == "failed" and not step.continue_on_error:
        error = StepFailed(error_of(result), step=path)
        error.recalled = True
        raise error
    bring_back_artifacts(walk, step, path)
    return result


def bring_back_artifacts(walk: Walk, step: Step, path: StepPath) -> bool:
    """Write those files of a recalled step that are missing; False if none are recorded."""
    kept = walk.recall.artifacts(path) if step.artifacts else None
    if kept is None:
        return False
    if walk.recorder is not None:
        from maverick.dsl.journal.keeper import bring_back  # noqa: PLC0415 - few steps have artifacts

        for name in bring_back(walk.recorder.store, kept, walk.tools.root):
            walk.tell(path, f"brought back {name}")
    return True


class _Leaf:
    """A step that runs: its attempts, and what is noted of them."""

    def __init__(
        self,
        walk: Walk,
        recorder: Recorder,
        step: Step,
        path: StepPath,
        block: Block,
        work: Work,
        key: Key,
        reason: Reason,
    ) -> None:
        self._walk = walk
        self._recorder = recorder
        self._step = step
        self._path = path
        self._block = block
        self._work = work
        self._key = key
        self._about = self._known_before(reason)
        self._failed_before = walk.recall.failed_attempts(path)
        self._spent_before = walk.recall.costs(path).fields()
        self._started = time.time()
        self._seconds = 0.0
        """How long its attempts took."""
        self._attempts = 1
        self._facts: dict[str, object] = {}
        """What the attempts themselves note."""

    def _known_before(self, reason: Reason) -> dict[str, object]:
        """Give what is noted of the step, beside how it goes: its type, and why it runs.

        Without `because` it had not finished yet; without `execution` it runs in the first one.
        """
        walk, execution = self._walk, self._recorder.standing.execution
        facts: dict[str, object] = {"type": self._step.kind}
        if execution > 1:
            facts["execution"] = execution
        if reason.text != NOT_RUN:
            facts["because"] = reason.text
        if reason.reruns:
            facts["reran"] = True
        record = walk.recall.records.get(self._path)
        if reason.parts and record is not None and walk.explain is not None:
            agent = self._work.parts.get("agent")
            rerun = Rerun(self._path, reason.parts, record.key, self._key, agent)
            facts["changes"] = walk.tools.scrub.value(walk.explain(rerun))
        player = walk.tools.scrub.value(self._work.parts.get("agent"))
        if player is not None and len(repr(player)) < _MOST_PLAYER_CHARACTERS:
            facts["player"] = player  # For those who ask later what changed.
        if self._work.label:
            facts["label"] = self._work.label
        return facts

    def run(self) -> Result:
        """Run the step and record what came of it."""
        walk, step, path = self._walk, self._step, self._path
        walk.tools.running.begin(path, step.kind, self._started)
        walk.emit("step_started", path, step)
        try:
            output = self._run_attempts()
            self._keep("done", output)
        except StepFailed as error:
            self._note_failure(error)
            if step.continue_on_error:
                return failed(error)
            raise
        except Stopped:
            self._recorder.note_interrupted(path, self._noted())
            raise
        finally:
            walk.tools.running.end(path)
        walk.count("ran")
        walk.emit(
            "step_done",
            path,
            step,
            seconds=self._seconds,
            message=did_not_pass(output) if step.kind == "validate" else "",
            data={"attempts": self._attempts},
        )
        if self._work.label:
            walk.emit("checkpoint_saved", path, step, message=self._work.label)
        return Result("done", lambda: output)

    def _run_attempts(self) -> Value:
        clock = time.monotonic()
        try:
            retries = Retries.of(self._step.retry, self._block.frame)
            return self._walk.run_attempts(retries, self._step, self._path, self._attempt)
        finally:
            self._seconds = round(time.monotonic() - clock, 3)
            self._recorder.add_costs(Costs.of_step(self._facts))

    def _keep(self, status: Status, output: Value) -> None:
        """Record the outcome, durably."""
        work = self._work
        record = self._recorder.finish(
            self._path,
            status,
            self._key,
            output,
            {**self._noted(), **did_it_pass(self._step, output)},
            label=work.label,
            workspace=work.workspace,
            artifacts=self._take_artifacts() if status == "done" else None,
        )
        self._block.note_record(self._step, record.order, asked=record.asked)
        self._block.note_run(self._step, self._path)

    def _take_artifacts(self) -> Content | None:
        if not self._step.artifacts:
            return None
        from maverick.dsl.journal.keeper import take_artifacts  # noqa: PLC0415 - as above

        return take_artifacts(self._recorder.store, self._walk.tools.root, self._step.artifacts)

    def _note_failure(self, error: StepFailed) -> None:
        """Tell and note that the step failed; record it where the walk goes on all the same."""
        walk, path = self._walk, self._path
        error.step = error.step or path
        error.args = (cut(walk.tools.scrub.text(str(error)), ERROR_CHARACTERS),)
        walk.count("failed")
        goes_on = self._block.goes_on_after(self._step, error)
        walk.tell_failed(
            path, self._step, error, goes_on=goes_on, seconds=self._seconds, attempts=self._attempts
        )
        failed_attempts = self._failed_before + self._attempts
        self._recorder.note_failed_attempts(path, failed_attempts, self._noted())
        if goes_on:
            self._keep("failed", {"error": str(error)})

    def _noted(self) -> dict[str, object]:
        """Give what is to be kept of the step, once its attempts are over."""
        noted = {
            **self._about,
            **self._facts,
            **({"spent": self._spent_before} if self._spent_before else {}),
            "started": int(self._started * 1000),
            "seconds": self._seconds,
            "attempts": self._attempts,
        }
        scrub = self._walk.tools.scrub
        return {name: scrub.value(normalise(fact, name)) for name, fact in noted.items()}

    def _attempt(self, number: int) -> Value:
        """Make one attempt and keep what it writes; if it does not succeed, also how it ended."""
        walk, step, path = self._walk, self._step, self._path
        self._attempts = number
        if number > 1:
            walk.tools.running.retry(path, number)
        number += self._failed_before
        log = self._recorder.begin_log(path, keep=step.logs and walk.tools.keep_logs)
        started, clock = time.time(), time.monotonic()

        def end_log(status: str, why: str = "", exit_code: int | None = None) -> None:
            how: dict[str, object] = {"started": int(started * 1000)}
            how["seconds"] = round(time.monotonic() - clock, 3)
            if why:
                how["error"] = walk.tools.scrub.text(why)[:ERROR_CHARACTERS]
            if exit_code is not None:
                how["exit_code"] = exit_code
            log.end(status, **how)

        try:
            output = self._work.run(self._context(number, log))
            output = walk.tools.scrub.value(normalise(output, f"steps.{path}.output"))
        except StepFailed as error:
            end_log("failed", str(error), error.command_exit)
            raise
        except Stopped as stopped:
            end_log("stopped", f"interrupted by {stopped.reason}")
            raise
        except Exception as fault:  # Nobody foresaw it; what was written until then may tell why.
            end_log("failed", f"{type(fault).__name__}: {fault}")
            raise
        if number > 1:
            end_log("done")
        else:  # The facts tell its times: equal logs are stored once.
            log.end("done")
        return output

    def _context(self, number: int, log: AttemptLog) -> Attempt:
        """Give what the attempt *number* may use."""
        walk, step, path, frame = self._walk, self._step, self._path, self._block.frame
        names = walk.run_names(path, number)
        tell = Decoding(
            lambda stream, text: walk.emit(
                "step_output", path, step, data={"stream": stream, "text": text}
            )
        )

        def say(stream: StreamName, data: bytes) -> None:
            log.write(stream, data)
            tell(stream, data)

        return Attempt(
            path=path,
            frame=frame.with_run(**names),
            limit=self._block.limit(resolve.limit(step.timeout, frame)),
            environment={
                "MAVERICK_RUN": walk.recall.run,
                "MAVERICK_STEP": path,
                "MAVERICK_IDEMPOTENCY_KEY": str(names["idempotency_key"]),
            },
            say=say,
            keep=log.write,
            facts=self._facts,
        )


def did_it_pass(step: Step, output: Value) -> dict[str, object]:
    """Give the fact that says that a validation did not pass; nothing where it did."""
    failed = isinstance(output, dict) and output.get("success") is False
    return {"passed": False} if step.kind == "validate" and failed else {}
