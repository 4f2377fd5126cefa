"""Loops: rounds one after the other, or iterations as blocks of their own.

The iterations of a concurrent or keyed loop say nothing about each other; those of any other loop
are one chain (see docs/design.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.engine.blocks import Block, Unfinished, follows, last_of
from maverick.dsl.expressions import evaluate, resolve
from maverick.dsl.paths import StepPath
from maverick.dsl.processes.stop_request import Stopped
from maverick.dsl.processes.threads import run_all
from maverick.dsl.workflow.items import IterationTally, item_name
from maverick.dsl.workflow.model import LoopStep
from maverick.dsl.workflow.outcome import Result, Status, failed
from maverick.errors import ExpressionFailed, StepFailed
from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.engine.refusals import Refusals
    from maverick.dsl.engine.walk import Walk
    from maverick.dsl.expressions.expressions import Expression
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.processes.secrets import Scrubber
    from maverick.values import Value


class _Iteration(NamedTuple):
    path: StepPath
    frame: Frame
    body: Callable[[Block], Result]
    following: tuple[StepPath, ...]
    """The paths of its steps that run once something before it does."""
    is_round: bool = True
    """Whether all steps of the loop are in it, and not one."""
    about: dict[str, object] | None = None
    """What those are told who watch; None where it is no more than its step."""
    tally: IterationTally | None = None
    """Told how it ended."""

    def frame_after(self, before: Frame | None) -> Frame:
        """Give its frame, where it follows the round that had the frame *before*."""
        if before is None or not self.is_round:
            return self.frame
        return self.frame.after(before.visible.steps)


@record
class _Iterations:
    """`count` of them, each made when it is asked for."""

    count: int
    make: Callable[[int], _Iteration]
    tally: IterationTally | None = None

    def after(self, number: int) -> Iterator[_Iteration]:
        return map(self.make, range(number + 1, self.count))


def walk_loop(walk: Walk, step: LoopStep, path: StepPath, block: Block) -> Result:
    """Walk every iteration. The output is a list with what each gave."""
    limit = None  # all at once
    if step.parallel is not None:
        answer = evaluate.condition(step.parallel, block.frame)
        limit = None if evaluate.holds(step.parallel, answer) else 1
    if step.max_concurrency is not None:
        limit = resolve.count(step.max_concurrency, block.frame, "max_concurrency", minimum=1)
    if step.has_for_each or step.until is not None:
        iterations = _rounds(walk, step, path, block)
    else:
        iterations = _each_step_once(walk, step, path, block, alone=limit == 1)
    try:
        if (limit == 1 and step.key is None) or step.until is not None:
            results, remarks = _chain(walk, step, path, iterations, block)
        else:
            limit = limit or max(iterations.count, 1)
            results, remarks = _independent(walk, step, path, iterations, block, limit), []
    except (StepFailed, Stopped) as ending:
        if iterations.tally is not None and walk.recorder is not None:
            status = "failed" if isinstance(ending, StepFailed) else "interrupted"
            number = walk.recorder.standing.execution
            facts = {"type": step.kind, "status": status, "execution": number}
            facts |= iterations.tally.facts()
            walk.recorder.note_unfinished(path, facts)
        raise
    errors = sum(result.status == "failed" for result in results)
    if errors:
        remarks.append(f"{errors} of {len(results)} iterations failed")
        walk.emit("notice", path, step, message=remarks[-1])
    walk.notices.set(path, remarks, counts=step.notices and not block.quiet)
    told = iterations.tally.facts() if iterations.tally is not None else None
    return Result("done", lambda: [result.output for result in results], told)


def _rounds(walk: Walk, step: LoopStep, path: StepPath, block: Block) -> _Iterations:
    items: list[Value] | None = None
    if step.has_for_each:
        given = walk.decide(path, "for_each", step.for_each, block)
        if not isinstance(given, list):
            hint = "; `default(…, [])` makes an empty one of null" if given is None else ""
            shown = resolve.describe_value(given)
            raise ExpressionFailed(f"{step.place}: for_each has to be a list, not {shown}{hint}")
        items = given
    counts = [] if items is None else [len(items)]
    if step.until is not None:
        counts.append(resolve.count(step.max_iterations, block.frame, "max_iterations", minimum=1))
    count = min(counts)
    total = count if step.until is None else None
    running = walk.recorder is not None
    tally = IterationTally(path, walk.recall.stored_facts(path)) if running else None

    def frame(number: int) -> Frame:
        return block.frame.child(item=None if items is None else items[number], index=number)

    keys: list[str] | None = None
    if step.key is not None:
        keys = _keys(step, step.key, [frame(number) for number in range(count)], walk.tools.scrub)
    _note_known(walk, step, path, range(count) if keys is None else keys)
    if walk.refusals is not None and items is not None:
        _refuse_lost(walk, walk.refusals, step, path, block, range(count) if keys is None else keys)

    def make(number: int) -> _Iteration:
        iteration = path.item(number if keys is None else keys[number])
        following = tuple(iteration.child(each.name) for each in step.steps if follows(each))

        def body(inner: Block) -> Result:
            results = walk.walk_block(step.steps, iteration, inner)
            if step.collect == "steps":
                names = [each.name for each in step.steps]
                named = dict(zip(names, results, strict=True))
                return Result("done", lambda: {name: named[name].output for name in names})
            return last_of(step.steps, results)

        name = "" if items is None else walk.tools.scrub.text(item_name(items[number]))
        about: dict[str, object] = {"number": number + 1, "count": total, "name": name}
        return _Iteration(iteration, frame(number), body, following, about=about, tally=tally)

    return _Iterations(count, make, tally)


def _note_known(walk: Walk, step: LoopStep, path: StepPath, names: Sequence[int | str]) -> None:
    """Plan what the iterations are called, where no step before the loop can change that."""
    decided = walk.recall.records.get(f"{path}?for_each") is not None
    if decided or not resolve.is_volatile(step.for_each):
        walk.plan.note_iterations(path, names)


def _refuse_lost(
    walk: Walk,
    refusals: Refusals,
    step: LoopStep,
    path: StepPath,
    block: Block,
    names: Sequence[int | str],
) -> None:
    """Refuse a list that leaves out finished iterations; *names* are those of now."""
    record = walk.recall.records.get(f"{path}?for_each")
    items = record.load() if record is not None else None
    if not isinstance(items, list):
        return
    earlier: Sequence[int | str] = range(len(items))
    if step.key is not None:
        frames = [block.frame.child(item=item, index=number) for number, item in enumerate(items)]
        earlier = _keys(step, step.key, frames, walk.tools.scrub)
    staying = set(names)
    refusals.refuse_left_out(
        path, "for_each", (path.item(name) for name in earlier if name not in staying), block
    )


def _keys(step: LoopStep, key: Expression, frames: list[Frame], scrub: Scrubber) -> list[str]:
    keys: dict[str, int] = {}
    for number, frame in enumerate(frames):
        text = scrub.text(evaluate.as_text(evaluate.evaluate(key, frame)))
        if keys.setdefault(text, number) != number:
            raise ExpressionFailed(
                f"{step.place}: key gives {text!r} for the iterations {keys[text]} and {number}; "
                "each needs its own"
            )
    return list(keys)


def _each_step_once(
    walk: Walk, step: LoopStep, path: StepPath, block: Block, *, alone: bool
) -> _Iterations:
    shared = block.frame.child()

    def make(number: int) -> _Iteration:
        inner_step = step.steps[number]
        inner_path = path.child(inner_step.name)
        frame = shared if alone else block.frame.child()
        following = (inner_path,) if follows(inner_step) else ()

        def body(inner: Block) -> Result:
            return walk.walk_step(inner_step, inner_path, inner)

        return _Iteration(inner_path, frame, body, following, is_round=False)

    return _Iterations(len(step.steps), make)


def _chain(
    walk: Walk, step: LoopStep, path: StepPath, iterations: _Iterations, block: Block
) -> tuple[list[Result], list[str]]:
    """Walk one after the other; once a step of an iteration ran, the iterations after it run.

    Gives their results, and what is to be known of it.
    """
    results: list[Result] = []
    first: Unfinished | None = None
    held = False
    before: Frame | None = None
    inner = block.enter(step, path, block.frame)
    try:
        for number in range(iterations.count):
            iteration = iterations.make(number)
            inner.frame = before = iteration.frame_after(before)
            try:
                results.append(_attempt(walk, step, iteration, inner))
            except Unfinished as unfinished:
                chained = unfinished.chained and not walk.looking
                if chained and walk.refusals is not None:
                    later = (path for after in iterations.after(number) for path in after.following)
                    walk.refusals.refuse_behind(unfinished, later, inner)
                if step.until is not None:
                    _plan_next_round(walk, step, path, iteration, number + 1, iterations.count)
                    raise
                if chained and not walk.plan.wanted:
                    raise
                if chained:
                    walk.plan.run_rest(inner, unfinished)
                first = unfinished.pick_first(first)
                continue
            held = step.until is not None and walk.holds(iteration.path, "until", step.until, inner)
            if held:
                break
        if walk.refusals is not None and step.until is not None:
            left_out = [later.path for later in iterations.after(len(results) - 1)]
            left_out = left_out or [path.item(len(results))]
            walk.refusals.refuse_left_out(path, "until", left_out, inner)
    finally:
        block.leave(step, inner)
    if first is not None:
        raise first
    return results, _end_rounds(walk, step, path, results, held=held)


def _plan_next_round(
    walk: Walk, step: LoopStep, path: StepPath, before: _Iteration, number: int, most: int
) -> None:
    """Plan the round *number*, if there may be one: it depends on the one *before* it."""
    if number < most:
        why = f"whether there is another round depends on what {before.path} comes to"
        why += "" if step.has_for_each else f"; {most} at most (`max_iterations`)"
        walk.plan.add(step, path.item(number), "unknown", why)


def _end_rounds(
    walk: Walk, step: LoopStep, path: StepPath, rounds: list[Result], *, held: bool
) -> list[str]:
    """Fail a loop whose `until` never held, or say so where `on_exhausted` goes on."""
    if step.until is None:
        return []
    for number in range(len(rounds) - 1):  # Each was a try; the last one counts.
        walk.notices.drop(path.item(number))
    if held or not rounds:
        return []
    never = f"until never held in {len(rounds)} {'round' if len(rounds) == 1 else 'rounds'}"
    if step.on_exhausted == "continue":
        walk.emit("notice", path, step, message=f"{never}; it goes on, as `on_exhausted` says")
        return [never]
    error = StepFailed(
        f"{never}; raise `max_iterations` for more rounds, run these again with `--from '{path}'`, "
        "or go on all the same with `on_exhausted: continue`"
    )
    error.recalled = True  # Another attempt would recall the same rounds.
    raise error


def _independent(
    walk: Walk, step: LoopStep, path: StepPath, iterations: _Iterations, block: Block, limit: int
) -> list[Result]:
    """Walk each as a block of its own; what is true of one says nothing about another."""
    every = [iterations.make(number) for number in range(iterations.count)]
    alone = step.key is not None
    blocks = [
        block.enter(step, path, iteration.frame, alone=alone, chain=iteration.path)
        for iteration in every
    ]
    try:
        if walk.recorder is None:
            return _check_all(walk, step, every, blocks)
        return _run_all(walk, step, every, blocks, limit)
    finally:
        for inner in blocks:
            block.leave(step, inner)


def _run_all(
    walk: Walk, step: LoopStep, iterations: list[_Iteration], blocks: list[Block], limit: int
) -> list[Result]:
    """Run all, at most *limit* at a time; the failure that ends them names the others."""
    failures: dict[int, StepFailed] = {}

    def attempt(number: int) -> Result:
        try:
            return _attempt(walk, step, iterations[number], blocks[number])
        except StepFailed as error:
            failures[number] = error
            raise

    try:
        return run_all(len(blocks), limit, attempt)
    except StepFailed as error:
        beside = [failures[number] for number in sorted(failures) if failures[number] is not error]
        error.others = (*error.others, *beside)
        raise


def _check_all(
    walk: Walk, step: LoopStep, iterations: list[_Iteration], blocks: list[Block]
) -> list[Result]:
    """Check every iteration, also those after one that is not finished."""
    results: list[Result] = []
    stopped_by: list[Unfinished | StepFailed] = []
    for iteration, inner in zip(iterations, blocks, strict=True):
        try:
            results.append(_attempt(walk, step, iteration, inner))
        except (Unfinished, StepFailed) as error:
            stopped_by.append(error)
    if stopped_by:
        raise max(stopped_by, key=lambda error: isinstance(error, Unfinished) and error.chained)
    return results


def _attempt(walk: Walk, step: LoopStep, iteration: _Iteration, inner: Block) -> Result:
    if iteration.about is None:
        return _attempt_quietly(step, iteration, inner)
    walk.emit("iteration_started", iteration.path, step, data=iteration.about)
    try:
        return _attempt_quietly(step, iteration, inner)
    finally:
        walk.emit("iteration_ended", iteration.path, step)


def _attempt_quietly(step: LoopStep, iteration: _Iteration, inner: Block) -> Result:
    ran, clock = inner.ran, time.monotonic()

    def note(status: Status) -> None:
        if iteration.tally is not None:
            seconds = time.monotonic() - clock if inner.ran > ran else None
            iteration.tally.note(iteration.path, status, seconds)

    try:
        result = iteration.body(inner)
    except StepFailed as error:
        note("failed")
        if not step.continue_on_error:
            raise
        return failed(error)
    note("done")
    return result
