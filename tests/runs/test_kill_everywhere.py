"""A run that is killed, at whatever point, goes on where it stopped and ends as if it had not
been.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from kit.runs import Execution, Runs
from kit.shards import SHARDS, sharded, shards
from maverick.errors import NotFound, StepsDiffer
from maverick.values import Value

SEQUENTIAL = """
inputs:
  names: {type: array, default: [a, b, c]}
steps:
  - {name: first, type: python, action: do, args: [first, {n: 1}]}
  - {name: never, type: python, action: do, args: [never], when: steps.first.output.n == 2}
  - {name: made, type: python, action: make, args: [made, marker], when: not exists('marker')}
  - name: each
    type: loop
    for_each: inputs.names
    steps:
      - {name: one, type: python, action: do, args: ["each-${{ item }}", ["${{ item }}",
         "${{ index }}"]]}
      - {name: two, type: python, action: do, args: ["two-${{ item }}"], when: index != 1}
  - name: rounds
    type: loop
    until: steps.turn.output >= 2
    steps:
      - {name: turn, type: python, action: do, args: ["turn-${{ index }}", "${{ index }}"]}
  - name: choice
    type: branch
    options:
      - {when: "inputs.names[0] == 'z'", step: {name: left, type: python, action: do, args: [left]}}
      - {when: "inputs.names[0] == 'a'", step: {name: right, type: python, action: do,
         args: [right]}}
  - {name: inner, type: subworkflow, workflow: inner.yaml,
     inputs: {given: "${{ steps.right.output }}"}}
  - {name: mark, type: checkpoint, checkpoint_id: "mark-${{ steps.inner.output }}"}
  - {name: again, type: python, action: flaky, args: [again], retry: {attempts: 3}}
  - {name: broken, type: python, action: fail, args: [broken], continue_on_error: true}
  - {name: last, type: python, action: do, args: [last, "${{ steps.broken.status }}"]}
outputs:
  first: ${{ steps.first.output }}
  never: ${{ steps.never.output }}
  made: ${{ steps.made }}
  each: ${{ steps.each.output }}
  rounds: ${{ steps.rounds.output }}
  choice: ${{ steps.choice.output }}
  inner: ${{ steps.inner.output }}
  mark: ${{ steps.mark.output }}
  again: ${{ steps.again.output }}
  broken: ${{ steps.broken.status }}
  last: ${{ steps.last.output }}
"""
INNER = """
version: "1.0"
name: inner
inputs: {given: {type: string}}
steps:
  - {name: x, type: python, action: do, args: [x, "<${{ inputs.given }}>"]}
  - {name: y, type: python, action: do, args: [y, "${{ steps.x.output }}!"]}
"""
CONCURRENT = """
steps:
  - name: pairs
    type: loop
    for_each: [a, b, c]
    max_concurrency: 2
    steps:
      - {name: one, type: python, action: do, args: ["one-${{ item }}"]}
      - {name: two, type: python, action: do, args: ["two-${{ item }}", "${{ steps.one.output }}"]}
  - name: keyed
    type: loop
    for_each: [{id: x}, {id: y}]
    key: item.id
    continue_on_error: true
    steps:
      - {name: three, type: python, action: do, args: ["three-${{ item.id }}"]}
      - {name: four, type: python, action: fail, args: ["four-${{ item.id }}"],
         when: item.id == 'y'}
  - name: beside
    type: parallel
    steps:
      - {name: left, type: python, action: do, args: [left]}
      - {name: right, type: python, action: do, args: [right]}
  - {name: last, type: python, action: do, args: [last]}
outputs:
  pairs: ${{ steps.pairs.output }}
  keyed: "${{ [steps.keyed.output[0], 'broken' in steps.keyed.output[1].error] }}"
  beside: ${{ steps.beside.output }}
"""
VALIDATING = """
- name: check
  type: validate
  retry: 2
  stages: [{name: there, run: test -e marker}, {name: fine, run: "true"}]
  on_failure: {name: fix, type: python, action: make, args: [fix, marker]}
- {name: last, type: python, action: do, args: [last, "${{ steps.check.output.attempts }}"]}
"""


def _project(root: Path, workflow: str) -> Runs:
    project = Runs(root, workflow)
    project.file("inner.yaml", INNER)
    return project


def _finished(execution: Execution) -> set[str]:
    """The steps that were recorded: what a kill must not make run again."""
    return {event.step for event in execution.events if event.event == "step_done"}


def _check_every_kill(folder: Path, workflow: str, shard: int) -> int:
    """Kill at every point of *shard*. Gives the number of the first that there is not."""
    whole = _project(folder / "whole", workflow)
    expected: Value = whole.start().output
    usual = Counter(whole.log)
    number = shard
    while True:
        project = _project(folder / str(number), workflow)
        killed = project.kill_at(number)
        if not killed.killed:
            return number
        where = f"killed at {number}, after {killed.point.points[-3:]}"
        number += SHARDS
        try:
            resumed = project.resume()
        except NotFound:
            assert [] == project.log
            assert "run_started" not in " ".join(killed.point.points), where
            continue
        except Exception as error:  # noqa: BLE001 - says at which point
            pytest.fail(f"{where}: {error!r}")
        assert ("done", expected) == (resumed.status, resumed.output), where
        assert not set(resumed.executed) & _finished(killed), where
        surplus = Counter(project.log) - usual
        concurrent = 2
        assert sum(surplus.values()) <= concurrent, where
        assert all(times <= usual[name] + 1 for name, times in Counter(project.log).items()), where


RERUN = """
- {name: first, type: python, action: do, args: [first]}
- name: each
  type: loop
  for_each: [a, b]
  steps:
    - {name: one, type: python, action: do, args: ["one-${{ item }}", "old-${{ item }}"]}
- name: pairs
  type: loop
  for_each: [a, b]
  max_concurrency: 2
  steps:
    - {name: two, type: python, action: do, args: ["two-${{ item }}"],
       when: steps.first.status == 'done'}
- {name: last, type: python, action: unless, args: [last, ready]}
"""


@pytest.mark.parametrize("shard", shards(everyday=1))
def test_a_rerun_that_is_killed_anywhere_is_finished_by_a_resumption(
    tmp_path: Path, shard: int
) -> None:
    """Once the edited step ran, what follows it has to, whatever had been recorded of it before."""
    for number in count(shard, SHARDS):
        project = _project(tmp_path / str(number), RERUN)
        project.start()
        project.edit("old-", "new-")
        project.file("ready", "")
        before = Counter(project.log)
        killed = project.kill_at(number, resuming=True, policy="rerun")
        where = f"killed at {number}, after {killed.point.points[-3:]}"
        try:
            resumed = project.resume()
        except StepsDiffer:
            assert "each[0].one" not in _finished(killed), where
            resumed = project.resume(policy="rerun")
        again = Counter(project.log) - before
        assert "last" == resumed.output, where
        assert ["new-a", "new-b"] == project.value("steps/each"), where
        assert {"one-a", "one-b", "two-a", "two-b", "last"} == set(again), where
        assert not set(resumed.executed) & _finished(killed), where
        if not killed.killed:
            return


WORKFLOWS = {"sequential": SEQUENTIAL, "concurrent": CONCURRENT, "validating": VALIDATING}


@pytest.mark.parametrize(("workflow", "shard"), sharded(*WORKFLOWS))
def test_killed_anywhere_a_resumed_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, workflow: str, shard: int
) -> None:
    """Recorded steps run once, those in flight twice at most, and the output is the same."""
    assert _check_every_kill(tmp_path, WORKFLOWS[workflow], shard) > 20
