"""Files that a step records with its output, and that come back with it."""

from __future__ import annotations

from kit.runs import Runs
from maverick.dsl.events import ignore
from maverick.project import Project
from maverick.runs import preview
from maverick.runs.request import Request

BUILD = """
- name: build
  type: shell
  run: "echo built >> log.txt; mkdir -p out/deep; echo a > out/a.bin; echo b > out/deep/b.bin; echo t > out/temporary"
  artifacts: ["out/**/*.bin", "out/*.bin"]
- {name: use, type: shell, run: "cat out/a.bin out/deep/b.bin; test -e ready"}
"""


def test_missing_artifacts_of_a_recalled_step_are_brought_back(runs: Runs) -> None:
    """What follows finds them, although the step does not run again."""
    runs.flow(BUILD)
    runs.start()
    for name in ("a.bin", "deep/b.bin", "temporary"):
        (runs.root / "out" / name).unlink()
    runs.file("ready", "")

    resumed = runs.resume()

    assert ("done", ["build"]) == (resumed.status, resumed.recalled)
    assert {"stdout": "a\nb\n"}.items() <= dict(resumed.output).items()  # type: ignore[arg-type]
    assert ["brought back out/a.bin", "brought back out/deep/b.bin"] == resumed.notices
    assert not (runs.root / "out" / "temporary").exists()


def test_artifacts_that_are_there_are_left_as_they_are(runs: Runs) -> None:
    """Somebody may have changed them on purpose."""
    runs.flow(BUILD)
    runs.start()
    runs.file("out/a.bin", "mine\n")
    runs.file("ready", "")

    resumed = runs.resume()

    assert [] == resumed.notices
    assert "mine\n" == (runs.root / "out" / "a.bin").read_text()


MADE_OF_STEPS = """
- name: build
  type: loop
  for_each: [a, b]
  steps:
    - {name: one, type: shell, run: "echo ${{ item }} >> log.txt; mkdir -p out; echo ${{ item }} > out/${{ item }}"}
  artifacts: ["out/*"]
- {name: use, type: shell, run: "cat out/a out/b; test -e ready"}
"""


def test_a_step_made_of_steps_records_its_files_when_all_of_them_have_run(runs: Runs) -> None:
    """They come back when nothing in it runs again."""
    runs.flow(MADE_OF_STEPS)
    runs.start()
    (runs.root / "out" / "b").unlink()
    runs.file("ready", "")
    plan = preview.plan_resume(
        Project(runs.root, runs.environment), Request(workflow="flow.yaml"), ignore
    )

    resumed = runs.resume()

    assert [("build", "out/b")] == [(it.step, it.path) for it in plan.missing]
    assert ("done", ["use"]) == (resumed.status, resumed.executed)
    assert ["brought back out/b"] == resumed.notices
    assert "a\nb\n" == (runs.root / "log.txt").read_text()


def test_it_records_them_anew_when_a_step_in_it_runs_again(runs: Runs) -> None:
    """The old ones are not what it made this time."""
    runs.flow(MADE_OF_STEPS)
    runs.start()
    runs.edit("[a, b]", "[a, c]")
    runs.edit("cat out/a out/b", "cat out/a out/c")
    runs.resume(policy="rerun")
    (runs.root / "out" / "c").unlink()
    runs.file("ready", "")

    resumed = runs.resume()

    assert ("done", ["brought back out/c"]) == (resumed.status, resumed.notices)


def test_its_files_are_recorded_though_it_was_killed_before_they_were(runs: Runs) -> None:
    """What it came to may be saved already."""
    runs.file("ready", "")
    runs.flow(MADE_OF_STEPS)
    killed = runs.kill_after("build[1].one")

    resumed = runs.resume()

    assert (True, "done") == (killed.killed, resumed.status)
    assert ["a", "b"] == sorted(
        runs.store.snapshot(runs.store.resolve(runs.run)).names(("artifacts", "build", "out"))
    )


def test_artifacts_are_no_part_of_the_key(runs: Runs) -> None:
    """Asking for one file more does not make a finished step run again."""
    runs.flow(BUILD)
    runs.start()
    runs.edit('"out/*.bin"', '"out/*.bin", "out/temporary"')
    runs.file("ready", "")

    assert ["use"] == runs.resume().executed


def test_equal_artifacts_of_another_run_are_stored_once(runs: Runs) -> None:
    """They are objects like all others."""
    runs.file("ready", "")
    runs.flow(BUILD)
    runs.start()
    runs.start()

    first, second = (runs.store.snapshot(runs.store.resolve(ref.run)) for ref in runs.store.refs())

    assert first.entry("artifacts").id == second.entry("artifacts").id
