"""Files that a step records with its output, and that come back with it."""

from __future__ import annotations

from kit_runs import Runs

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
