"""A rollback that was interrupted is finished; a run that is killed anywhere around it ends right."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from kit.rollbacks import BROKEN, done, project, undone
from kit.runs import Runs
from kit.shards import SHARDS, shards, share

# --- interrupted rollbacks ------------------------------------------------------------------------


def test_a_rollback_that_was_interrupted_is_finished_first(tmp_path: Path) -> None:
    """Nobody knows how far it came."""
    runs = project(tmp_path, done("a"), done("b"), done("c"), BROKEN)
    number = 0
    while True:
        killed = runs.kill_at(number)
        if "undo b" in runs.log:
            break
        number += 1
        (tmp_path / "log").unlink(missing_ok=True)
    assert killed.killed
    before = len(runs.log)
    runs.file("ready", "")
    resumed = runs.resume()

    assert ["undo b", "b", "c", "work"] == runs.log[before:]
    assert (["a"], "done") == (resumed.recalled, resumed.status)
    assert ["rolled back"] == resumed.notices


def test_an_interrupted_rollback_that_fails_is_reported(tmp_path: Path) -> None:
    """The step stays done, and the run goes on."""
    runs = project(tmp_path, done("a", "undo_badly"), BROKEN)
    number = 0
    while "undo a" not in runs.log:
        runs.kill_at(number)
        number += 1
    runs.file("ready", "")
    (tmp_path / "log").unlink()
    resumed = runs.resume()

    assert resumed.outcome is not None
    assert "done" == resumed.status
    assert resumed.outcome.rollback_errors[0].startswith("a: OSError")
    assert ["undo a", "work"] == runs.log


@pytest.mark.parametrize(
    "old", [", rollback: undo}", "{name: a, type: python, action: do, args: [a], rollback: undo}"]
)
def test_a_rollback_that_is_gone_since_it_was_interrupted_is_told(tmp_path: Path, old: str) -> None:
    """Half undone is not done: the step runs again."""
    runs = project(tmp_path, done("a"), "{name: b, type: python, action: do, args: [b]}", BROKEN)
    number = 0
    while "undo a" not in runs.log:
        runs.kill_at(number)
        number += 1
    runs.file("ready", "")
    (tmp_path / "log").unlink()
    runs.edit(
        old,
        "}"
        if old.startswith(",")
        else "{name: other, type: python, action: do, args: [other], pure: true}",
    )
    resumed = runs.resume(policy="rerun")

    assert "done" == resumed.status
    assert [True] == ["interrupted" in notice for notice in resumed.notices]
    assert ("a" if old.startswith(",") else "other") in runs.log
    assert "work" == runs.log[-1]


def test_a_stop_while_rolling_back_pauses_the_run(tmp_path: Path) -> None:
    """Resuming finishes the rollback that was under way, and does not leave it half done."""
    runs = project(
        tmp_path,
        done("a"),
        "{name: b, type: shell, run: 'true', rollback: {type: shell, run: 'echo undo b >> log; "
        "test -e ready'}}",
        BROKEN,
    )
    paused = runs.stop_at("b.rollback")

    assert "paused" == paused.status
    assert "step work" in paused.error
    runs.file("ready", "")
    assert "done" == runs.resume().status
    assert ["b"] == undone(runs)[:1]


EVERYWHERE = """
steps:
  - {name: kept, type: python, action: put, args: [kept], rollback: take}
  - {name: mark, type: checkpoint}
  - {name: a, type: python, action: put, args: [a], rollback: take}
  - name: each
    type: loop
    for_each: [x, y]
    rollback: take_all
    steps:
      - {name: one, type: python, action: put, args: ["one-${{ item }}"], rollback: take}
      - {name: mark, type: checkpoint, checkpoint_id: m, when: item == 'x'}
      - {name: two, type: python, action: put, args: ["two-${{ item }}"], rollback: take}
  - {name: sub, type: subworkflow, workflow: inner.yaml}
  - {name: work, type: python, action: unless, args: [work, ready]}
outputs: ["${{ steps.kept.output }}", "${{ steps.a.output }}", "${{ steps.each.output }}", "${{ steps.sub.output }}"]
"""
EFFECTS = """
def put(name):
    _log(f"+{name}")
    (LOG.parent / "effects").mkdir(exist_ok=True)
    (LOG.parent / "effects" / name).touch()
    return name


def take(name, output=None):
    _log(f"-{name}")
    (LOG.parent / "effects" / name).unlink(missing_ok=True)


def take_all(output):
    _log(f"-{output}")
"""
INNER = """
version: "1.0"
name: inner
steps:
  - {name: x, type: python, action: put, args: [x], rollback: take}
  - {name: y, type: python, action: put, args: [y]}
"""
ALL = {"kept", "a", "one-x", "two-x", "one-y", "two-y", "x", "y"}
KEPT = {"kept", "a", "one-x", "y"}
"""What stays after a failure: what is behind a checkpoint, and what has no rollback."""


def _everywhere(root: Path) -> Runs:
    runs = Runs(root, EVERYWHERE, actions=EFFECTS)
    runs.file("inner.yaml", INNER)
    return runs


def _effects(runs: Runs) -> set[str]:
    return {path.name for path in (runs.root / "effects").glob("*")}


@pytest.mark.parametrize("shard", shards())
def test_a_failing_run_that_is_killed_anywhere_ends_right(tmp_path: Path, shard: int) -> None:
    """Every rollback that began is finished, at least once; the resumption redoes what was undone,
    and no more.
    """
    whole = _everywhere(tmp_path / "whole")
    failing = whole.start()
    assert "failed" == failing.status
    taken = {line for line in whole.log if line.startswith("-")}
    assert _effects(whole) == KEPT
    assert {"-two-x", "-one-y", "-two-y", "-x", "-['two-x', 'two-y']"} == taken
    points = failing.point.points
    first = points.index("step_started sub")  # test_kill_everywhere has what is before.
    for number in share(shard, range(first, len(points))):
        runs = _everywhere(tmp_path / str(number))
        killed = runs.kill_at(number)
        assert killed.killed
        where = f"killed at {number}, after {killed.point.points[-3:]}"
        again = runs.resume()
        assert "failed" == again.status, where
        assert _effects(runs) == KEPT, where
        assert taken <= set(runs.log), where
        runs.file("ready", "")
        resumed = runs.resume()
        expected = ["kept", "a", ["two-x", "two-y"], "y"]
        assert ("done", expected) == (resumed.status, resumed.output), where
        assert ALL == _effects(runs), where


@pytest.mark.parametrize("shard", shards(everyday=1))
def test_a_resumption_that_is_killed_anywhere_ends_right(tmp_path: Path, shard: int) -> None:
    """After a run failed and was rolled back, killing the resumption costs the step in flight, as
    ever.
    """
    for number in count(shard, SHARDS):
        runs = _everywhere(tmp_path / str(number))
        runs.start()
        if number % 2 == 0:
            runs.file("ready", "")
        killed = runs.kill_at(number, resuming=True)
        where = f"killed at {number}, after {killed.point.points[-3:]}"
        runs.file("ready", "")
        resumed = runs.resume()
        assert ("done", ["kept", "a", ["two-x", "two-y"], "y"]) == (
            resumed.status,
            resumed.output,
        ), where
        assert ALL == _effects(runs), where
        if not killed.killed:
            return
