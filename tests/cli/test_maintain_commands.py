"""`checkpoint gc` and `checkpoint fsck`."""

from __future__ import annotations

import pytest

from kit_program import Quick
from maverick.checkpoints import Store, value


@pytest.fixture
def seven(quick: Quick) -> Quick:
    """A project with seven done runs and one that failed."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    for number in range(7):
        begun = store.save(f"works-{number}", {("inputs",): value(number)}, parent=None, group="works")
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
def test_an_option_replaces_both_configured_limits(seven: Quick, config: str, options: list[str], left: int) -> None:
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
    assert (0, []) == (seven("checkpoint", "fsck", "--json").code, seven("checkpoint", "fsck", "--json").json)
    assert "the store is whole\n" == seven("checkpoint", "fsck", "--read-data").out


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

    assert 20 == seven("checkpoint", "fsck").code
    done = seven("checkpoint", "fsck", "--repair")

    assert 0 == done.code
    assert done.out.startswith(f"rebuilt: the ref of run {run} was rebuilt; it stands at checkpoint ")
    assert b"torn" in [it.read_bytes() for it in (store / "quarantine").iterdir()]
    assert run in seven("runs").out
    assert (0, []) == ((again := seven("checkpoint", "fsck", "--repair", "--json")).code, again.json["repaired"])
    assert ["warning"] == [it["severity"] for it in again.json["findings"]]
