"""The program in a project on a file system whose locks may not keep out other hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.program import Quick
from kit.stores import on_a_network_disk

FLOW = """\
    steps:
      - {name: a, type: shell, run: echo one}
      - {name: b, type: shell, run: 'test -e go && echo two'}
"""


@pytest.fixture
def failed(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> Quick:
    """A project there, with a run that failed at its second step."""
    on_a_network_disk(monkeypatch)
    quick.program.flow(FLOW)
    assert 1 == quick("run", "flow.yaml").code
    return quick


def _store_of(quick: Quick) -> Path:
    return quick.program.root / ".maverick" / "checkpoints"


@pytest.mark.parametrize(
    ("args", "action"),
    [(("gc",), "collect garbage"), (("fsck", "--repair"), "repair the store")],
)
def test_gc_and_repair_refuse_with_exit_2_the_reason_and_the_way_out(
    failed: Quick, args: tuple[str, ...], action: str
) -> None:
    """With --json, too; nothing is changed."""
    packs = sorted((_store_of(failed) / "objects").iterdir())
    said = (
        f"cannot {action} ({_store_of(failed)}): locks on this file system may not keep out what "
        "other hosts do, and what they save meanwhile would be lost; when nothing else uses the "
        "store, add `--alone`"
    )

    done = failed("checkpoint", *args)
    as_json = failed("checkpoint", *args, "--json")

    assert (2, "", f"error: {said}\n") == (done.code, done.out, done.err)
    assert done == as_json
    assert packs == sorted((_store_of(failed) / "objects").iterdir())


def test_alone_they_work_as_anywhere(failed: Quick) -> None:
    run = failed("runs", "--json").json[0]["run"]
    (_store_of(failed) / "refs" / run).write_bytes(b"torn")

    repaired = failed("checkpoint", "fsck", "--repair", "--alone")

    assert 0 == repaired.code
    assert f"rebuilt: the ref of run {run} was rebuilt" in repaired.out
    assert 0 == failed("checkpoint", "drop", run, "--yes").code
    collected = failed("checkpoint", "gc", "--alone", "--json")
    assert 0 == collected.code
    assert collected.json["removed_objects"] > 0


def test_a_dry_run_and_a_check_work_there(failed: Quick) -> None:
    """They remove nothing."""
    assert 0 == failed("checkpoint", "gc", "--dry-run").code
    assert (0, []) == (
        failed("checkpoint", "fsck", "--json").code,
        failed("checkpoint", "fsck", "--read-data", "--json").json,
    )


def test_runs_run_resume_and_are_listed_there(failed: Quick) -> None:
    failed.program.file("go", "")

    resumed = failed("run", "--resume", "flow.yaml")

    assert (0, "done") == (resumed.code, failed("runs", "--json").json[0]["status"])
    assert "two" in failed("checkpoint", "show", "@latest:steps.b.output").out
    assert 0 == failed("checkpoint", "list").code


def test_a_run_that_is_damaged_is_resumed_from_its_newest_whole_checkpoint_there(
    failed: Quick,
) -> None:
    """It sets aside, and removes nothing."""
    newest = max((_store_of(failed) / "objects").iterdir(), key=lambda it: it.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-9])
    failed.program.file("go", "")

    resumed = failed("run", "--resume", "flow.yaml")

    assert 0 == resumed.code
    assert newest.exists()
    assert ["done"] == [it["status"] for it in failed("runs", "--json").json]
