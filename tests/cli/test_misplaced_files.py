"""Something else stands where a store has a file or a folder: a FIFO, a folder, a link to nothing.

Every command says so in one line and does not wait for a writer; `fsck` finds it, and `--repair`
mends it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.program import Ended, Program, Quick
from kit.shards import sharded, share

COMMANDS = [
    ["runs"],
    ["show", "@latest"],
    ["run", "flow.yaml"],
    ["run", "fails.yaml", "--resume"],
    *(
        ["checkpoint", *words]
        for words in (
            ["create"],
            ["tag", "@latest", "name"],
            ["drop", "{run}", "--yes"],
            ["fork", "{run}"],
            ["undo", "--yes"],
            ["export", "@latest", "exported"],
            ["import", "run.maverick", "--as", "taken"],
            ["gc"],
            ["fsck"],
            ["fsck", "--repair"],
        )
    ),
]
CODES = {0, 1, 10, 11, 20}
HARMLESS = ("cache/", "quarantine/", "reserve", "tmp/", "trash/", ".gitignore")
"""Where what is no file is in nobody's way, if the folder is one."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, str]]:
    """A project whose store has each kind of file, and one of its runs; nothing changes it."""
    program = Program(tmp_path_factory.mktemp("filled") / "project")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(program.root)
        quick = Quick(program)
        program.flow("- {name: bad, type: shell, run: 'exit 1'}", "fails")
        program.flow("- {name: works, type: shell, run: 'true'}\n- {name: mark, type: checkpoint}")
        quick("run", "fails.yaml")
        quick("run", "flow.yaml")
        run = quick("runs", "--json").json[0]["run"]
        quick("checkpoint", "export", run, "run.maverick")
        quick("checkpoint", "fork", run)
        quick("checkpoint", "gc", "--keep-last", "1")
        quick("run", "flow.yaml")
        quick("run", "fails.yaml")
        root = program.root / ".maverick/checkpoints"
        for name in ("tmp/1-0011223344556677", "quarantine/old", f"trash/{'0' * 64}.pack"):
            (root / name).write_bytes(b"left")
        yield program, quick("runs", "--json").json[0]["run"]


def _places(root: Path) -> list[tuple[str, str]]:
    """Each folder of the store, each kind of file, and what may stand there instead."""
    found = []
    for path in sorted(root.iterdir()):
        inside = sorted(path.iterdir()) if path.is_dir() else []
        for place in dict.fromkeys([path, *inside[:1], *inside[-1:]]):
            other = "file" if place.is_dir() else "folder"
            name = str(place.relative_to(root))
            found += [(name, form) for form in (other, "FIFO", "link", "nothing")]
    return found


def _misplace(path: Path, form: str) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    match form:
        case "file":
            path.write_bytes(b"no folder")
        case "folder":
            (path / "inside").mkdir(parents=True)
        case "FIFO":
            os.mkfifo(path)
        case "link":
            path.symlink_to("nowhere/at all")


def _judge(ended: Ended, command: list[str], place: str, form: str) -> None:
    where = f"{command} with {form} at {place}: {ended}"
    assert ended.code in CODES, where
    assert "fault" not in ended.err, where
    if command[1:] == ["fsck"] and form != "nothing" and not place.startswith(HARMLESS):
        assert (20, True) == (ended.code, place in ended.out), where
    if command[-1] == "--repair":
        assert 0 == ended.code, where


@pytest.mark.parametrize(
    ("command", "shard"),
    sharded(*COMMANDS),
    ids=lambda given: " ".join(given) if isinstance(given, list) else None,
)
def test_what_is_misplaced_is_told_found_and_repaired(
    filled: tuple[Program, str],
    command: list[str],
    shard: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each folder and each kind of file of a store, by each command. A repaired store takes runs
    again.
    """
    program, run = filled
    store = ".maverick/checkpoints"
    for number, (place, form) in enumerate(share(shard, _places(program.root / store))):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(program.root, copy)
        _misplace(copy / store / place, form)
        monkeypatch.chdir(copy)
        quick = Quick(program)

        ended = quick(*(word.format(run=run) for word in command))

        _judge(ended, command, place, form)
        if command[-1] == "--repair":
            assert 0 == quick("run", "flow.yaml").code, (place, form)
        shutil.rmtree(copy)


@pytest.mark.parametrize("folder", ["tmp", "owners", "trash", "cache", "quarantine"])
@pytest.mark.parametrize("size", [1, 5 << 20])
def test_a_folder_that_goes_while_a_run_is_at_work_is_made_again(
    quick: Quick, folder: str, size: int
) -> None:
    """It holds nothing for long: nothing is lost. Large outputs go another way than small ones."""
    quick.program.flow(f"""
        - {{name: rm, type: shell, run: 'rm -r .maverick/checkpoints/{folder}'}}
        - {{name: then, type: shell, run: 'head -c {size} /dev/urandom > made', artifacts: [made]}}
    """)

    assert 0 == quick("run", "flow.yaml").code
    assert 0 == quick("checkpoint", "gc", "--keep-last", "0").code
    assert 0 == quick("checkpoint", "fsck").code


@pytest.mark.parametrize("size", [1, 5 << 20])
def test_refs_that_go_while_a_run_is_at_work_are_told_to_be_missing(
    quick: Quick, size: int
) -> None:
    """The refs of other runs are gone: a repair builds all of them anew, and the run goes on."""
    quick.program.flow(f"""
        - {{name: rm, type: shell, run: 'test -e gone || rm -r .maverick/checkpoints/refs; touch gone'}}
        - {{name: then, type: shell, run: 'head -c {size} /dev/urandom > made', artifacts: [made]}}
        - {{name: last, type: shell, run: 'echo x >> "$MARK"'}}
    """)
    quick.program.flow("- {name: works, type: shell, run: 'true'}", "other")
    quick("run", "other.yaml")

    ended = quick("run", "flow.yaml")

    assert (20, True) == (ended.code, "refs is missing; run `maverick checkpoint fsck" in ended.err)
    assert 0 == quick("checkpoint", "fsck", "--repair").code
    assert 0 == quick("run", "flow.yaml", "--resume").code
    assert "x\n" == quick.program.mark.read_text()
    assert ["done", "done"] == [run["status"] for run in quick("runs", "--json").json]
