"""The page of a run: what it says of each step, and what it reads for that."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from kit.runs import Runs
from maverick.checkpoints import Store, existing, note, value
from maverick.checkpoints.objects.ids import ObjectId
from maverick.dsl.journal.tree import END, RunTree
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


class LongRun:
    """A run of a loop of 10,000 iterations, made by a single save, and what is read of it."""

    ITERATIONS = 10_000

    def __init__(self, runs: Runs) -> None:
        runs.flow(
            "- {name: each, type: loop, for_each: range(2), "
            "steps: [{name: one, type: python, action: give}]}"
        )
        runs.start()
        tip = runs.store.load(runs.run).checkpoint
        tree = RunTree(runs.store.snapshot(tip))
        entry, record = tree.facts_entry("each[0].one"), tree.entries["each[0].one"]
        assert entry is not None
        told = {"counts": {"done": self.ITERATIONS}, "longest": {"[7]": 90, "[8]": 80, "[9]": 70}}
        loop = {"type": "loop", "started": 1, "seconds": 9.0, "iterations": told}
        names = [f"each[{number}].one" for number in range(self.ITERATIONS)]
        runs.store.save(
            runs.run,
            {("steps", name): existing(record) for name in names},
            parent=tip,
            kind="final",
            facts={
                **{("steps", name): note(entry.note) for name in names},
                ("steps", "each"): note(json.dumps(loop)),
            },
        )
        self._root = runs.root
        self.reads: list[str] = []

    def page(self, *, folded: bool) -> RunPage:
        """Load the page from a store that was just opened; `reads` has the ids of what it read."""
        store = Store.open(self._root / ".maverick" / "checkpoints")
        read = store.objects.read

        def noting(object_id: ObjectId) -> bytes:
            self.reads.append(object_id)
            return read(object_id)

        store.objects.read = noting  # type: ignore[method-assign]
        return load_page("", store, store.load(store.refs()[0].run).checkpoint, folded=folded)


def test_the_page_of_a_long_run_reads_few_objects(runs: Runs) -> None:
    """The loop tells what became of its iterations; the longest are looked up."""
    long = LongRun(runs)

    page = long.page(folded=True)

    assert {"each": {"done": LongRun.ITERATIONS}} == page.counts
    assert ["each", "each[7].one", "each[8].one", "each[9].one"] == list(rows_of(page))
    assert len(long.reads) <= 40


def test_json_of_a_long_run_reads_each_tree_node_once(runs: Runs) -> None:
    """And no record or output."""
    long = LongRun(runs)

    steps = long.page(folded=False).to_json()["steps"]

    assert LongRun.ITERATIONS + 1 == len(steps)
    again = [object_id for object_id, count in Counter(long.reads).items() if count > 1]
    assert [] == again


def test_a_loop_tells_what_became_of_its_iterations(runs: Runs) -> None:
    """Those that failed by name, and which took longest; of few iterations all."""
    runs.flow(
        "- name: each\n"
        "  type: loop\n"
        "  for_each: range(30)\n"
        "  continue_on_error: true\n"
        "  max_concurrency: 4\n"
        "  steps: [{name: one, type: shell, run: 'test ${{ item }} != 4'}]\n"
        "- {name: two, type: loop, for_each: range(2), steps: [{name: one, type: python, "
        "action: give}]}"
    )
    runs.start()
    tree = RunTree(runs.store.load(runs.run))

    each = tree.facts_of("each")["iterations"]
    two = tree.facts_of("two")["iterations"]

    assert {"done": 29, "failed": 1} == each["counts"]
    assert ["[4]"] == each["failed"]
    assert 3 == len(each["longest"])
    assert "names" not in each
    assert (["[0]", "[1]"], {"done": 2}) == (two["names"], two["counts"])


def test_what_a_loop_recalled_keeps_its_time(runs: Runs) -> None:
    """Recalling an iteration takes no time, which would say nothing."""
    runs.flow(
        "- {name: each, type: loop, for_each: range(3), steps: [{name: one, type: shell, "
        "run: 'sleep 0.02'}, {name: two, type: python, action: unless, "
        'args: [two, "r${{ item }}"]}]}'
    )
    for number in range(2):
        (runs.root / f"r{number}").touch()
    runs.start()
    before = RunTree(runs.store.load(runs.run)).facts_of("each")["iterations"]
    (runs.root / "r2").touch()
    runs.resume()

    after = RunTree(runs.store.load(runs.run)).facts_of("each")["iterations"]

    assert before["longest"]["[0]"] == after["longest"]["[0]"]
    assert {"done": 3} == after["counts"]


@pytest.mark.parametrize(
    ("steps", "failed_at", "why"),
    [
        (
            """
- name: br
  type: branch
  on_no_match: fail
  options: [{when: "false", step: {name: x, type: shell, run: "true"}}]
""",
            "br",
            "no option of the branch holds",
        ),
        ("- {name: a, type: shell, run: 'true', when: 'inputs.n + [1]'}", "a", ""),
        (
            """
- name: lp
  type: loop
  until: "false"
  max_iterations: 2
  steps: [{name: x, type: shell, run: "true"}]
""",
            "lp",
            "until never held",
        ),
        ("- {name: hard, type: validate, fail: true, stages: ['false']}", "hard", "validation failed"),
    ],
)  # fmt: skip
def test_a_step_that_failed_before_or_around_others_tells_why(
    runs: Runs, steps: str, failed_at: str, why: str
) -> None:
    """Nothing but the run's end tells of it: it has no attempt."""
    runs.flow(steps)
    (runs.root / "flow.yaml").write_text(
        (runs.root / "flow.yaml").read_text().replace("steps:", "inputs: {n: {type: integer, default: 1}}\nsteps:", 1)
    )  # fmt: skip
    runs.start()

    page = page_of(runs)
    row = rows_of(page)[failed_at]

    assert ("failed", failed_at) == (row.status, page.failed_at)
    assert why in (row.error or "")
    assert row.error
    assert page.error_row is row


def test_a_fork_tells_its_own_executions(runs: Runs) -> None:
    """The facts that it begins with name executions of the run that it was forked from."""
    runs.flow(FLOW)
    runs.start()
    runs.resume()
    origin = runs.run
    (runs.root / "ready").touch()
    revision = f"{origin}@m-0"
    runs.resume(revision)

    page = page_of(runs)
    reasons = reasons_of(page)

    assert origin != page.run
    assert 1 == len(page.executions)
    assert page.forked_from.startswith(f"{origin} at ")
    assert "recalled" == reasons["each[0].one"]["did"]
    assert "ran" == reasons["waits"]["did"]


def test_a_checkpoint_in_the_middle_does_not_run(runs: Runs) -> None:
    """Its run is what it is now, and its time ends with it."""
    runs.flow(FLOW)
    (runs.root / "ready").touch()
    runs.start()
    checkpoint = runs.store.resolve(f"{runs.run}@m-0")

    page = load_page(str(runs.root), runs.store, checkpoint)

    assert "done" == page.status
    assert page.ended == checkpoint.created
    assert page.output is None
    assert "pending" == rows_of(page)["waits"].status


def test_a_loop_that_failed_before_is_open_while_the_run_goes_on(runs: Runs) -> None:
    """How it ended then says nothing about the execution that is under way, or was killed."""
    runs.flow(
        "- {name: each, type: loop, for_each: range(2), steps: [{name: one, type: python, "
        "action: unless, args: [one, ready]}, {name: two, type: python, action: give}]}"
    )
    runs.start()
    assert "failed" == rows_of(page_of(runs))["each"].status
    (runs.root / "ready").touch()
    runs.resume_killed_before("each[0].two")

    page = page_of(runs)
    rows = rows_of(page)

    assert "killed" == page.status
    assert "pending" == rows["each"].status
    assert ("done", "pending") == (rows["each[0].one"].status, rows["each[0].two"].status)


def test_a_step_that_failed_before_is_to_come_in_a_killed_resumption(runs: Runs) -> None:
    """It was not tried again."""
    runs.flow(
        "- {name: first, type: python, action: unless, args: [first, ready], always_run: true}\n"
    )
    runs.start()
    runs.resume_killed_before("first")

    assert "pending" == rows_of(page_of(runs))["first"].status


@pytest.mark.parametrize("length", [30, 400, 5_000])
def test_facts_never_fail_a_run(runs: Runs, length: int) -> None:
    """Keys and labels of any length: what does not fit beside a step is left out of its facts."""
    keys = [f"{number}{'x' * length}" for number in range(20)]
    runs.flow(
        "- name: keyed\n"
        "  type: loop\n"
        f"  for_each: {json.dumps(keys)}\n"
        '  key: "${{ item }}"\n'
        "  continue_on_error: true\n"
        "  steps: [{name: fails, type: shell, run: exit 1}]\n"
        f"- {{name: mark, type: checkpoint, checkpoint_id: {'L' * length}}}\n"
        "- {name: last, type: python, action: give}\n"
    )

    assert "done" == runs.start().status
    assert "done" == rows_of(page_of(runs))["last"].status


def test_an_end_that_names_a_step_and_no_error_is_shown(runs: Runs) -> None:
    """Programs save runs of their own, and an imported one may hold anything."""
    runs.flow("- {name: a, type: shell, run: exit 1}")
    runs.start()
    run = runs.run
    runs.store.save(
        run,
        {},
        facts={END: value({"step": "a"}, path="facts")},
        parent=runs.store.load(run).checkpoint,
        kind="failure",
    )

    page = page_of(runs)

    assert ("failed", "a") == (page.status, page.failed_at)
    assert "exit code 1" in (rows_of(page)["a"].error or "")
