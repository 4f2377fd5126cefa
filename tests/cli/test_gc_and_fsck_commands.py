"""`checkpoint gc` and `checkpoint fsck`."""

from __future__ import annotations

import os
import re

import pytest

from kit.program import Quick, err_at_a_terminal
from kit.stores import flip
from maverick.checkpoints import Store, blob, value
from maverick.checkpoints.disk import sealed


@pytest.fixture
def seven(quick: Quick) -> Quick:
    """A project with seven done runs and one that failed."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    for number in range(7):
        begun = store.save(
            f"works-{number}", {("inputs",): value(number)}, parent=None, group="works"
        )
        store.save(begun.run, {("output",): value(f"of {number}")}, parent=begun, kind="final")
    store.save("fails-1", {("inputs",): value(7)}, parent=None, group="fails", kind="failure")
    return quick


def _count(quick: Quick) -> int:
    return len(quick("runs", "--json").json)


def test_the_newest_five_of_a_workflow_stay_and_what_is_not_done(seven: Quick) -> None:
    done = seven("checkpoint", "gc", "--json")

    assert ["removed_objects", "removed_bytes", "kept_objects", "runs"] == list(done.json)
    assert done.json["removed_objects"] > 0
    assert 6 == _count(seven)
    assert ["run", "dropped", "checkpoints", "objects", "bytes"] == list(done.json["runs"][0])


def test_a_dry_run_prints_the_same_and_removes_nothing(seven: Quick) -> None:
    before = _count(seven)

    dry = seven("checkpoint", "gc", "--keep-last", "1", "--dry-run", "--json").json
    said = seven("checkpoint", "gc", "--keep-last", "1", "--dry-run").out

    assert before == _count(seven)
    assert said.splitlines()[-1].startswith(f"would remove {dry['removed_objects']} objects, ")
    assert dry == seven("checkpoint", "gc", "--keep-last", "1", "--json").json
    assert 2 == _count(seven)


@pytest.mark.parametrize(
    ("config", "options", "left"),
    [
        ("checkpoints: {keep_last: 2}", [], 2),
        ("checkpoints: {keep_within: 30d}", [], 7),
        ("checkpoints: {keep_last: 2, keep_within: 30d}", [], 7),
        ("checkpoints: {keep_within: 30d}", ["--keep-last", "3"], 3),
        ("checkpoints: {keep_last: 2}", ["--keep-within", "1h"], 7),
        ("", ["--keep-last", "0"], 0),
        ("", ["--keep-last", "0", "--keep-within", "14d"], 7),
    ],
)
def test_an_option_replaces_both_configured_limits(
    seven: Quick, config: str, options: list[str], left: int
) -> None:
    seven.program.file("maverick.yaml", config)

    done = seven("checkpoint", "gc", *options)

    assert (0, left + 1) == (done.code, _count(seven))


def test_one_run_alone_can_be_collected(seven: Quick) -> None:
    chosen = seven("runs", "--json").json[-1]["run"]

    done = seven("checkpoint", "gc", "--run", chosen, "--keep-last", "0")

    assert 7 == _count(seven)
    assert chosen not in seven("runs").out
    assert done.out.splitlines()[1].startswith(chosen)
    assert 10 == seven("checkpoint", "gc", "--run", "nosuch").code


def test_limits_that_are_none_exit_2(seven: Quick) -> None:
    assert 2 == seven("checkpoint", "gc", "--keep-within", "soon").code
    assert 2 == seven("checkpoint", "gc", "--keep-last", "-1").code


def test_a_whole_store_has_no_findings(seven: Quick) -> None:
    assert (0, []) == (
        seven("checkpoint", "fsck", "--json").code,
        seven("checkpoint", "fsck", "--json").json,
    )
    assert "the store is whole\n" == seven("checkpoint", "fsck", "--read-data").out
    quarantine = seven.program.root / ".maverick/checkpoints/quarantine"
    (quarantine / "former.ref").write_bytes(b"")
    told = "warning: quarantine/former.ref was set aside\nthe store is whole\n"
    assert told == seven("checkpoint", "fsck").out


def test_damage_exits_20_and_names_the_runs(seven: Quick) -> None:
    packs = seven.program.root / ".maverick/checkpoints/objects"
    for pack in packs.iterdir():
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(data)

    done = seven("checkpoint", "fsck", "--read-data", "--json")

    assert 20 == done.code
    assert ["severity", "kind", "object", "file", "runs", "message"] == list(done.json[0])
    assert {"error"} <= {it["severity"] for it in done.json}
    assert any(it["runs"] for it in done.json)
    assert 20 == seven("checkpoint", "fsck", "--read-data").code


def test_repair_says_what_it_did_and_then_the_store_is_whole(seven: Quick) -> None:
    """What was damaged is set aside, and the exit code is that of the check that follows."""
    store = seven.program.root / ".maverick/checkpoints"
    run = seven("runs", "--json").json[0]["run"]
    (store / "refs" / run).write_bytes(b"torn")

    found = seven("checkpoint", "fsck")
    assert (
        20,
        "`maverick checkpoint fsck --repair` saves what is whole, and removes nothing\n",
    ) == (
        found.code,
        found.err,
    )
    done = seven("checkpoint", "fsck", "--repair")

    assert 0 == done.code
    assert done.out.startswith(
        f"rebuilt: the ref of run {run} was rebuilt; it stands at checkpoint "
    )
    assert b"torn" in [it.read_bytes() for it in (store / "quarantine").iterdir()]
    assert run in seven("runs").out
    assert (0, []) == (
        (again := seven("checkpoint", "fsck", "--repair", "--json")).code,
        again.json["repaired"],
    )
    assert ["warning"] == [it["severity"] for it in again.json["findings"]]


def test_at_a_terminal_gc_shows_how_far_it_is_and_leaves_a_clean_line(quick: Quick) -> None:
    """The bytes copied only grow, up to all of them; where the line was, nothing stays."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    at = None
    for number in range(4):
        at = store.save("run-1", {(f"{number}",): blob(os.urandom(300_000))}, parent=at)

    text = err_at_a_terminal(quick.program, "checkpoint", "gc", NO_COLOR="1")

    drawn = text.split("\r")
    said = [int(it) for it in re.findall(r" (\d+) %", text)]
    assert "collect  looking for what is needed" in drawn[1]
    assert said == sorted(said)
    assert 100 == said[-1]
    assert "100 %  1.2 MB of 1.2 MB" in drawn[-3]
    assert ("", "") == (drawn[-2].strip(), drawn[-1])
    assert len(drawn[-3].rstrip()) <= len(drawn[-2])
    assert "\n" not in text


def test_a_gc_that_fails_leaves_a_clean_line_for_the_error(seven: Quick) -> None:
    """Else the error would begin in the middle of the bar."""
    (seven.program.root / ".maverick/checkpoints/refs/works-6").write_bytes(b"torn")

    text = err_at_a_terminal(seven.program, "checkpoint", "gc", NO_COLOR="1").replace("\r\n", "\n")
    *_, cleared, last = text.split("\r")

    assert "" == cleared.strip()
    assert last.startswith("error: the ref of run works-6 is torn")


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_without_a_person_to_see_it_gc_shows_nothing_on_its_way(seven: Quick, option: str) -> None:
    assert "" == err_at_a_terminal(seven.program, "checkpoint", "gc", option)
    assert "" == err_at_a_terminal(seven.program, "checkpoint", "gc", TERM="dumb")
    assert "" == seven.program.run("checkpoint", "gc").err


def test_what_could_not_be_written_anew_is_told(quick: Quick) -> None:
    """Else what a dry run says and what is removed contradict each other."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    content = {(name,): blob(os.urandom(999)) for name in "ab"}
    at = store.save("r", content, parent=None)
    at = store.save("r", {("b",): None}, parent=at)
    flip(store, store.load("r").entry("a").id, 100)
    store.save("r", {}, parent=at, kind="final")

    done = quick("checkpoint", "gc")

    assert (0, 1) == (done.code, done.err.count("warning: 1 pack could not be written anew"))
    assert "removed 1 object, " in done.out  # of the 4 that the table has


def test_where_files_may_not_grow_gc_says_so(seven: Quick) -> None:
    """A limit of the shell, as of a shared machine: nothing is removed, nothing is torn."""
    done = seven.program.shell("ulimit -f 0; maverick gc --keep-last 1")

    assert 1 == done.code
    assert "error: cannot collect garbage" in done.err
    assert "`ulimit -f`" in done.err
    assert 8 == _count(seven)
    assert 0 == seven("checkpoint", "fsck").code


def test_a_store_of_another_version_is_nothing_to_be_repaired(quick: Quick) -> None:
    """The refusal says what to do; a repair would be refused as well."""
    root = quick.program.root / ".maverick" / "checkpoints"
    root.mkdir(parents=True)
    (root / "format.json").write_bytes(
        sealed.seal(
            {
                "features": {"gc": [], "read": [], "write": []},
                "format": "maverick checkpoints",
                "version": 1,
            }
        )
    )

    done = quick("checkpoint", "fsck")

    assert 20 == done.code
    assert "the last commit that reads it is ea2b6a2" in done.out
    assert "--repair" not in done.out + done.err
    quick.program.flow("- {name: works, type: shell, run: 'true'}")
    for plan in ([], ["--plan"]):
        refused = quick("run", "flow.yaml", *plan)
        assert (20, True) == (refused.code, "ea2b6a2" in refused.err)


def test_what_a_run_at_work_keeps_from_being_freed_is_told(quick: Quick) -> None:
    """Nothing of a pack goes that somebody appends to: zero bytes would be no answer."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    with store, store.own("at-work"):
        store.save("at-work", {("a",): value(0)}, parent=None)
        with store.own("done"):
            at = store.save("done", {("a",): value(1)}, parent=None, group="works")
            at = store.save("done", {("a",): value(2)}, parent=at)
            store.save("done", {("a",): value(3)}, parent=at, kind="final")

        done = quick("checkpoint", "gc", "--keep-last", "1")

    assert " 2 checkpoints (bytes stay for now) " in done.out
