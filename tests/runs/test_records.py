"""What is recorded of a step, and when."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.runs import PointedFiles, Runs
from maverick.checkpoints.trees.codec import decode, encode
from maverick.errors import RefMoved, StoreUnwritable
from maverick.values import Value, normalise

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20)
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_seen_is_what_would_be_read(value: Value) -> None:
    """Whether a run is ever resumed makes no difference to what the next step gets."""
    seen = normalise(value)
    stored = encode(seen)

    assert repr(seen) == repr(decode(stored.data, lambda blob: stored.attachments[blob]))


def test_the_next_step_sees_plain_values(runs: Runs) -> None:
    """Whatever the action returned: the same in the run as after a resumption."""
    runs.set_actions("""
    import dataclasses, datetime, decimal, enum, pathlib, uuid

    class Colour(enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Point:
        x: int
        at: pathlib.Path

    def odd():
        return {"p": Point(1, pathlib.Path("a/b")), "t": (1, 2), "s": {"b", "a"}, "c": Colour.RED,
                "d": decimal.Decimal("1.10"), "w": datetime.date(2026, 1, 2), "u": uuid.UUID(int=1), "b": b"\\x00"}

    def types(value):
        _log(repr(value))
        return value
    """)
    runs.flow("""
    - {name: a, type: python, action: odd}
    - {name: b, type: python, action: types, args: ["${{ steps.a.output }}"]}
    """)
    runs.start()
    runs.kill_after("a")
    runs.resume(runs.run)

    first, second = runs.log
    assert first == second
    assert repr({
        "p": {"x": 1, "at": "a/b"}, "t": [1, 2], "s": ["a", "b"], "c": "red", "d": "1.10", "w": "2026-01-02",
        "u": "00000000-0000-0000-0000-000000000001", "b": b"\x00",
    }) == first  # fmt: skip


def test_what_cannot_be_stored_fails_at_its_step_and_is_named_by_its_path(runs: Runs) -> None:
    """Long before somebody tries to resume the run."""
    runs.set_actions("""
    import socket

    def fetch():
        with socket.socket() as conn:
            return {"rows": [1, 2, 3, {"conn": conn}]}
    """)
    runs.flow("""
    - {name: fetch, type: python, action: fetch}
    - {name: b, type: python, action: do, args: [b]}
    """)

    failed = runs.start()

    assert ("failed", ["fetch"]) == (failed.status, failed.executed)
    assert "steps.fetch.output.rows[3].conn: cannot store a socket" in failed.error


def test_every_finished_step_is_saved_as_it_finishes(runs: Runs) -> None:
    """One checkpoint a step, beside those of the run's begin and end."""
    runs.flow("""
    - {name: a, type: python, action: do, args: [a]}
    - {name: mark, type: checkpoint, checkpoint_id: "after ${{ steps.a.output }}"}
    - {name: b, type: python, action: do, args: [b]}
    """)

    done = runs.start()

    history = [(each.kind, each.label, each.step) for each in runs.store.history(runs.run)][::-1]
    assert [
        ("auto", "", ""), ("auto", "", "a"), ("label", "after a", "mark"), ("auto", "", "b"), ("final", "", "b"),
    ] == history  # fmt: skip
    assert "b" == done.output


@pytest.mark.parametrize(("failing", "kind"), [(True, "failure"), (False, "pause")])
def test_failures_and_pauses_make_checkpoints_of_their_own(
    runs: Runs, failing: bool, kind: str
) -> None:
    """They say why a run stopped."""
    runs.flow(f"- {{name: a, type: shell, run: {'exit 3' if failing else 'sleep 6000'}}}")
    execution = runs.start() if failing else runs.stop_at("a")

    assert ("failed" if failing else "paused") == execution.status
    assert kind == runs.store.ref(runs.run).kind


def test_a_block_s_output_is_that_of_its_last_step_that_is_no_checkpoint(runs: Runs) -> None:
    """A checkpoint at the end changes nothing."""
    runs.flow("""
    - name: each
      type: loop
      for_each: [1, 2]
      steps:
        - {name: a, type: python, action: give, args: ["${{ item }}"]}
        - {name: mark, type: checkpoint, checkpoint_id: "m${{ item }}"}
    - {name: end, type: checkpoint}
    """)

    assert [1, 2] == runs.start().output


def test_the_idempotency_key_is_the_same_over_all_attempts(runs: Runs) -> None:
    """Those after a failure, a kill or a retry: whatever the attempts did is one effect."""
    runs.flow("""
    - {name: a, type: shell, run: 'echo "key $MAVERICK_IDEMPOTENCY_KEY" >> log; test -e ready',
       retry: {attempts: 2}}
    """)
    runs.start()
    runs.resume()
    runs.file("ready", "")
    runs.resume()

    keys = [line for line in runs.log if line.startswith("key ")]
    assert (5, 1) == (len(keys), len(set(keys)))


def test_the_idempotency_key_is_in_the_scope_too(runs: Runs) -> None:
    """The same text as in the environment of the step's processes."""
    runs.flow("""
    - name: a
      type: shell
      env: {KEY: "${{ run.idempotency_key }}"}
      run: test "$KEY" = "$MAVERICK_IDEMPOTENCY_KEY" -a -n "$KEY"
    """)

    assert "done" == runs.start().status


def test_a_step_that_was_recorded_has_a_new_idempotency_key(runs: Runs) -> None:
    """Running it again is meant to have another effect."""
    runs.flow("""
    - {name: a, type: shell, run: 'echo "key $MAVERICK_IDEMPOTENCY_KEY" >> log'}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.edit("echo", "true; echo")
    runs.resume(policy="rerun")

    one, other = (line for line in runs.log if line.startswith("key "))
    assert one != other


def test_a_fork_has_idempotency_keys_of_its_own(runs: Runs) -> None:
    """What it does is done beside what the run did that it comes from."""
    runs.flow("""
    - {name: a, type: python, action: do, args: [a]}
    - {name: b, type: shell, run: 'echo "key $MAVERICK_IDEMPOTENCY_KEY" >> log'}
    """)
    runs.start()
    forked = runs.resume(f"{runs.run}~2")

    one, other = (line for line in runs.log if line.startswith("key "))
    assert one != other
    assert ["b"] == forked.executed


def test_two_steps_have_different_idempotency_keys(runs: Runs) -> None:
    """Iterations of a loop, too."""
    runs.flow("""
    - name: each
      type: loop
      for_each: [1, 2, 3]
      steps:
        - {name: a, type: python, action: give, args: ["${{ run.idempotency_key }}"]}
    """)

    output = runs.start().output
    assert isinstance(output, list)
    assert 3 == len(set(map(str, output)))


TWO = """
- {name: a, type: python, action: do, args: [a]}
- {name: b, type: python, action: do, args: [b]}
"""


class _Full:
    """Makes saves fail once *step* is to be recorded."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException], step: str
    ) -> None:
        from maverick.checkpoints import Store  # noqa: PLC0415

        save = Store.save

        def saving(store: Store, *args: object, **kwargs: object) -> object:
            if kwargs.get("reason") == step:
                raise error()
            return save(store, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(Store, "save", saving)


def test_a_step_that_could_not_be_saved_has_failed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is told to be done or saved that is not; it runs again when there is space."""
    runs.flow("""
    - {name: a, type: python, action: do, args: [a]}
    - {name: mark, type: checkpoint, continue_on_error: true}
    - {name: b, type: python, action: do, args: [b]}
    """)
    with monkeypatch.context() as patch:
        _Full(patch, lambda: StoreUnwritable("the disk is full"), "mark")
        failed = runs.start()

    assert ("failed", "the disk is full") == (failed.status, failed.error)
    told = [event.event for event in failed.events if event.step == "mark"]
    assert "step_done" not in told
    assert "checkpoint_saved" not in told
    assert ["a"] == runs.log
    assert ["mark", "b"] == runs.resume().executed


def test_a_run_that_another_process_advanced_is_left_alone(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop, never overwrite: exit 11."""
    runs.flow("- {name: a, type: python, action: do, args: [a], continue_on_error: true}")
    _Full(monkeypatch, lambda: RefMoved("advanced by another process"), "a")

    with pytest.raises(RefMoved) as error:
        runs.start()
    assert 11 == error.value.exit_code


def test_a_disk_that_fills_up_is_told_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whichever change to the store: the run fails with the reason, and is resumed when there is
    space.
    """
    left = 0

    def full(_self: object, operation: str) -> None:
        nonlocal left
        left -= operation in {"create", "write", "rename"}
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for number in range(1, 60):
        runs = Runs(tmp_path / str(number), TWO)
        runs.start()  # The store is there.
        left = number
        with monkeypatch.context() as patch:
            patch.setattr(PointedFiles, "before", full)
            try:
                failed = runs.start()
            except StoreUnwritable:  # Before there was a run.
                continue
        if failed.status == "done":
            return
        assert "the disk is full" in failed.error
        assert "done" == runs.resume().status
    pytest.fail("it never succeeded")
