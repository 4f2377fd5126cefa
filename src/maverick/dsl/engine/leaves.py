"""The steps that do something themselves: recalled where they are recorded, else run."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
    about = _about(walk, recorder, step, path, reason, key, agent)
    recorder.settle()
    return _execute(walk, recorder, step, path, block, work, key, about)


def _about(
    walk: Walk,
    recorder: Recorder,
    step: Step,
    path: StepPath,
    reason: Reason,
    key: Key,
    agent: Value,
) -> dict[str, object]:
    """Give what is noted of a step that runs, beside how that goes: its type, and why it runs.

    Without `because` it had not run yet; without `execution` it runs in the first one.
    """
    facts: dict[str, object] = {"type": step.kind}
    if recorder.standing.execution > 1:
        facts["execution"] = recorder.standing.execution
    if reason.text != NOT_RUN:
        facts["because"] = reason.text
    if reason.reruns:
        facts["reran"] = True
    record = walk.recall.records.get(path)
    if reason.parts and record is not None and walk.explain is not None:
        rerun = Rerun(path, reason.parts, record.key, key, agent)
        facts["changes"] = walk.tools.scrub.value(walk.explain(rerun))
    return facts


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


def _execute(
    walk: Walk,
    recorder: Recorder,
    step: Step,
    path: StepPath,
    block: Block,
    work: Work,
    key: Key,
    about: Mapping[str, object],
) -> Result:
    started, clock = time.time(), time.monotonic()
    walk.tools.running.begin(path, step.kind, started)
    walk.emit("step_started", path, step)
    attempts, before = 1, walk.recall.failed_attempts(path)
    facts: dict[str, object] = {}
    told, seconds = Costs(), 0.0
    spent = walk.recall.costs(path)

    def attempt(number: int) -> Value:
        nonlocal attempts
        attempts = number
        if number > 1:
            walk.tools.running.retry(path, number)
        return _attempt_logged(walk, recorder, step, path, block, work, before + number, facts)

    def noted() -> dict[str, object]:
        """What is to be kept of the step now; its costs are the run's, too."""
        nonlocal told, seconds
        seconds = round(time.monotonic() - clock, 3)
        costs = Costs.of_step(facts)
        recorder.add_costs(costs.minus(told))
        told = costs
        return {
            **about,
            **facts,
            **_player(walk, work),
            **({"label": work.label} if work.label else {}),
            **({"spent": spent.fields()} if spent.fields() else {}),
            "started": int(started * 1000),
            "seconds": seconds,
            "attempts": attempts,
        }

    def keep(status: Status, output: Value) -> None:
        record = recorder.finish(
            path,
            status,
            key,
            output,
            _normalised(walk, {**noted(), **did_it_pass(step, output)}),
            label=work.label,
            workspace=work.workspace,
            artifacts=_artifacts(walk, recorder, step) if status == "done" else None,
        )
        block.note_record(step, record.order, asked=record.asked)
        block.note_run(step, path)

    try:
        output = walk.run_attempts(Retries.of(step.retry, block.frame), step, path, attempt)
        keep("done", output)
    except StepFailed as error:
        error.step = error.step or path
        error.args = (cut(walk.tools.scrub.text(str(error)), ERROR_CHARACTERS),)
        walk.count("failed")
        took = time.monotonic() - clock
        goes_on = block.goes_on_after(step, error)
        walk.tell_failed(path, step, error, goes_on=goes_on, seconds=took, attempts=attempts)
        recorder.note_failed_attempts(path, before + attempts, _normalised(walk, noted()))
        if goes_on:
            keep("failed", {"error": str(error)})
        if step.continue_on_error:
            return failed(error)
        raise
    except Stopped:
        recorder.note_interrupted(path, _normalised(walk, noted()))
        raise
    finally:
        walk.tools.running.end(path)
    walk.count("ran")
    walk.emit(
        "step_done",
        path,
        step,
        seconds=seconds,
        message=did_not_pass(output) if step.kind == "validate" else "",
        data={"attempts": attempts},
    )
    if work.label:
        walk.emit("checkpoint_saved", path, step, message=work.label)
    return Result("done", lambda: output)


def did_it_pass(step: Step, output: Value) -> dict[str, object]:
    """Give the fact that says that a validation did not pass; nothing where it did."""
    failed = isinstance(output, dict) and output.get("success") is False
    return {"passed": False} if step.kind == "validate" and failed else {}


def _normalised(walk: Walk, facts: Mapping[str, object]) -> dict[str, object]:
    return {name: walk.tools.scrub.value(normalise(fact, name)) for name, fact in facts.items()}


def _artifacts(walk: Walk, recorder: Recorder, step: Step) -> Content | None:
    if not step.artifacts:
        return None
    from maverick.dsl.journal.keeper import take_artifacts  # noqa: PLC0415 - as above

    return take_artifacts(recorder.store, walk.tools.root, step.artifacts)


def _attempt_logged(
    walk: Walk,
    recorder: Recorder,
    step: Step,
    path: StepPath,
    block: Block,
    work: Work,
    number: int,
    facts: dict[str, object],
) -> Value:
    """Make one attempt and keep what it writes; if it does not succeed, also how it ended."""
    log = recorder.begin_log(path, keep=step.logs and walk.tools.keep_logs)
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
        output = work.run(_attempt(walk, step, path, block, number, facts, log))
        output = walk.tools.scrub.value(normalise(output, f"steps.{path}.output"))
    except StepFailed as error:
        end_log("failed", str(error), error.command_exit)
        raise
    except Stopped as stopped:
        end_log("stopped", f"interrupted by {stopped.reason}")
        raise
    except Exception as fault:  # Nobody foresaw it; what the attempt wrote until then may tell why.
        end_log("failed", f"{type(fault).__name__}: {fault}")
        raise
    if number > 1:
        end_log("done")
    else:  # The facts tell its times: equal logs are stored once.
        log.end("done")
    return output


def _player(walk: Walk, work: Work) -> dict[str, object]:
    """Give who plays the agent of a step, for those who ask later what changed."""
    player = walk.tools.scrub.value(work.parts.get("agent"))
    return (
        {"player": player}
        if player is not None and len(repr(player)) < _MOST_PLAYER_CHARACTERS
        else {}
    )


def _attempt(
    walk: Walk,
    step: Step,
    path: StepPath,
    block: Block,
    number: int,
    facts: dict[str, object],
    log: AttemptLog,
) -> Attempt:
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
        frame=block.frame.with_run(**names),
        limit=block.limit(resolve.limit(step.timeout, block.frame)),
        environment={
            "MAVERICK_RUN": walk.recall.run,
            "MAVERICK_STEP": path,
            "MAVERICK_IDEMPOTENCY_KEY": str(names["idempotency_key"]),
        },
        say=say,
        keep=log.write,
        facts=facts,
    )
