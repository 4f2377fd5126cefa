"""The page of a run: what it says of each step, and what it reads for that."""

from __future__ import annotations

from typing import Any

from kit.runs import Runs
from maverick.views import step_page
from maverick.views.page_loader import load_page
from maverick.views.run_page import RunPage, StepRow

FLOW = """
- {name: a, type: shell, run: echo a}
- name: each
  type: loop
  for_each: '[{"name": "first"}, {"title": "second"}]'
  steps:
    - {name: one, type: python, action: do, args: ["${{ item }}"]}
    - {name: mark, type: checkpoint, checkpoint_id: "m-${{ index }}"}
- {name: never, type: shell, when: "false", run: "true"}
- {name: waits, type: python, action: unless, args: [waits, ready], retry: {attempts: 2}}
- {name: last, type: loop, for_each: "[1, 2]", steps: [{name: z, type: shell, run: "true"}]}
"""


def page_of(runs: Runs) -> RunPage:
    """Give the page of the newest run."""
    return load_page(str(runs.root), runs.store, runs.store.load(runs.run).checkpoint)


def rows_of(page: RunPage) -> dict[str, StepRow]:
    return {str(row.path): row for row in page.steps}


def reasons_of(page: RunPage) -> dict[str, dict[str, Any]]:
    return {reason["path"]: reason for reason in step_page.reasons(page, page.top)}


def test_a_failed_run_says_where_why_and_what_is_to_come(runs: Runs) -> None:
    """What somebody asks of a failed night, without a look at the store."""
    runs.flow(FLOW)
    runs.start()

    page = page_of(runs)
    rows = rows_of(page)

    assert ("failed", "waits") == (page.status, page.failed_at)
    assert [
        ("a", "done"),
        ("each", "done"),
        ("each[0].one", "done"),
        ("each[0].mark", "done"),
        ("each[1].one", "done"),
        ("each[1].mark", "done"),
        ("never", "skipped"),
        ("waits", "failed"),
        ("last", "pending"),
    ] == [(path, row.status) for path, row in rows.items()]
    assert "ready is not there" in (rows["waits"].error or "")
    assert ("m-0", "m-1") == (rows["each[0].mark"].label, rows["each[1].mark"].label)
    assert 2 == rows["waits"].attempts
    assert ["first", "second"] == page.names("each")
    assert f"maverick resume {page.run}" == page.resume


def test_what_is_to_come_of_a_loop_stands_in_its_iterations(runs: Runs) -> None:
    """A step of its body has no place in the loop itself."""
    runs.flow(
        """
        - name: city
          type: loop
          for_each: [oslo, lima]
          key: item
          steps:
            - {name: read, type: shell, run: 'test ${{ item }} = oslo'}
            - {name: keep, type: shell, run: 'true'}
        """
    )
    runs.start()

    assert [
        ("city", "failed"),
        ('city["oslo"].read', "done"),
        ('city["oslo"].keep', "done"),
        ('city["lima"].read', "failed"),
        ('city["lima"].keep', "pending"),
    ] == [(path, row.status) for path, row in rows_of(page_of(runs)).items()]


def test_each_attempt_is_told(runs: Runs) -> None:
    """Also those that failed before the run was resumed."""
    runs.flow(FLOW)
    runs.start()
    (runs.root / "ready").touch()
    runs.resume()

    page = page_of(runs)
    row = rows_of(page)["waits"]
    tries = step_page.tries_of(row, step_page.logs_of(runs.store, page)(row.path))

    assert [(1, "failed"), (2, "failed"), (3, "done")] == [
        (one.number, one.status) for one in tries
    ]
    assert all(one.error and one.seconds is not None for one in tries[:2])
    assert (2, "done") == (row.execution, page.status)
    assert ["failed", "done"] == [each.status for each in page.executions]
    assert page.error is None


def test_why_names_what_changed_with_both_values_and_what_ran_before(runs: Runs) -> None:
    """The reason is kept when a step runs again, for there is no other way to know it later."""
    runs.flow(FLOW)
    runs.start()
    (runs.root / "ready").touch()
    runs.flow(FLOW.replace("echo a", "echo b"))
    runs.resume(policy="rerun")

    reasons = reasons_of(page_of(runs))

    assert "reran" == reasons["a"]["did"]
    assert [{"part": "run", "old": "echo a", "new": "echo b"}] == reasons["a"]["changes"]
    assert ("reran", "a before it ran") == (
        reasons["each[0].one"]["did"],
        reasons["each[0].one"]["because"],
    )
    assert ("ran", "it failed before") == (reasons["waits"]["did"], reasons["waits"]["because"])
    assert "skipped" == reasons["never"]["did"]
    assert "each" not in reasons


def test_what_an_execution_recalled_is_told_as_that(runs: Runs) -> None:
    """Its reason of an earlier execution says nothing about the last one."""
    runs.flow(FLOW)
    runs.start()
    (runs.root / "ready").touch()
    runs.resume()

    reasons = reasons_of(page_of(runs))

    assert "recalled" == reasons["a"]["did"] == reasons["each[1].one"]["did"]
    assert ["waits", "last[0].z", "last[1].z"] == [
        path for path, reason in reasons.items() if reason["did"] == "ran"
    ]


def test_a_killed_run_names_the_step_that_ran(runs: Runs) -> None:
    """The note of who owned it outlives the process."""
    runs.flow(FLOW)
    runs.kill_before("each[1].one")

    page = page_of(runs)

    assert "killed" == page.status
    assert "pending" == rows_of(page)["each[1].one"].status
    assert "running" not in {row.status for row in page.steps}


def test_a_run_without_facts_is_told_by_its_records(runs: Runs) -> None:
    """As one that an earlier version made, or whose facts somebody took away."""
    runs.flow(FLOW)
    (runs.root / "ready").touch()
    runs.start()
    whole = [(path, row.status) for path, row in rows_of(page_of(runs)).items()]
    tip = runs.store.load(runs.run).checkpoint
    runs.store.save(runs.run, {}, parent=tip, kind="final", facts={("steps",): None})

    page = page_of(runs)

    assert whole == [(path, row.status) for path, row in rows_of(page).items()]
    assert all(row.seconds is None for row in page.steps if row.type == "shell")
