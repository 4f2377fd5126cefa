"""What is answered without typer: byte for byte what typer's way answers."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kit.program import Program, Quick, read_terminal
from maverick import __main__
from maverick.checkpoints import Store
from maverick.cli.looking import at_once

ANSWERED = [
    ["runs"],
    ["runs", "--json"],
    ["checkpoint", "list"],
    ["checkpoint", "list", "--json"],
    ["show"],
    ["show", "--json"],
]
FAST = (
    "import sys; from maverick.__main__ import main; sys.argv = ['maverick', *sys.argv[1:]]; main()"
)
TYPER = """
import sys
from maverick.__main__ import _leave_project_last
_leave_project_last()
sys.argv = ["maverick", *sys.argv[1:]]
from maverick.cli.app import program
program()
"""
FLOW = """
    - {name: plan, type: shell, run: "echo one"}
    - {name: mark, type: checkpoint, checkpoint_id: "planned: 日本語"}
    - {name: build, type: shell, run: "echo gone wrong >&2; test -e fixed"}
    """


class Ended(NamedTuple):
    code: int
    out: bytes
    err: bytes


def both(
    program: Program,
    arguments: list[str],
    *,
    cwd: Path | None = None,
    stdout: Any = subprocess.PIPE,
    **environment: str,
) -> list[Ended]:
    """How the command ends both ways."""
    ends = []
    for code in (FAST, TYPER):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=cwd or program.root,
            env={**program.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
        ends.append(Ended(done.returncode, _aged(done.stdout or b""), done.stderr))
    return ends


def _aged(page: bytes) -> bytes:
    """The page of a run, which says how long ago it ended, as if it was looked at at once."""
    return re.sub(rb"\d+s ago", b"0s ago", page)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A project with a run that failed, one that is done, and labels; for looking at."""
    program = Program(tmp_path_factory.mktemp("ran") / "project")
    program.flow(FLOW)
    program.run("run", "flow.yaml")
    program.file("fixed", "")
    program.run("run", "flow.yaml")
    return program


def _nothing(program: Program, ran: Program) -> None:
    """No store."""


def _runs(program: Program, ran: Program) -> None:
    program.copy_of(ran)


def _damaged(program: Program, ran: Program) -> None:
    _runs(program, ran)
    store = program.root / ".maverick" / "checkpoints"
    next((store / "refs").iterdir()).write_bytes(b"torn")
    for pack in (store / "objects").iterdir():
        pack.write_bytes(b"torn")


def _no_format(program: Program, ran: Program) -> None:
    _runs(program, ran)
    (program.root / ".maverick" / "checkpoints" / "format.json").unlink()


def _too_new(program: Program, ran: Program) -> None:
    _runs(program, ran)
    (program.root / ".maverick" / "checkpoints" / "format.json").write_text('{"format": 99}')


def _link(program: Program, ran: Program) -> None:
    """A store that is a link out of the project, which is refused."""
    (program.root.parent / "elsewhere").mkdir()
    (program.root / ".maverick").symlink_to(program.root.parent / "elsewhere")


def _bad_user_configuration(program: Program, ran: Program) -> None:
    """An error with places in a file."""
    config = Path(program.environment["HOME"], ".config", "maverick")
    config.mkdir(parents=True)
    (config / "config.yaml").write_text("trust: [\nnope: {")


def _hostile(program: Program, ran: Program) -> None:
    store = Store.create(program.root / ".maverick" / "checkpoints")
    run = "evil-\u65e5\u672c"
    text = "\x1b[31m\u202eowned\n"
    summary = {"execution": 1, "error": text, "failed_at": text}
    store.save(run, {}, parent=None, kind="failure", group="evil", summary=summary)


@pytest.mark.parametrize("arguments", ANSWERED, ids=" ".join)
@pytest.mark.parametrize(
    "prepare",
    [
        _nothing,
        _runs,
        _damaged,
        _no_format,
        _too_new,
        _link,
        _bad_user_configuration,
        _hostile,
    ],
)
def test_both_ways_answer_alike(
    program: Program,
    ran: Program,
    prepare: Callable[[Program, Program], None],
    arguments: list[str],
) -> None:
    """Output, errors and exit code."""
    prepare(program, ran)

    fast, slow = both(program, arguments)

    assert slow == fast
    assert fast.out or fast.err


@pytest.mark.parametrize("arguments", ANSWERED[:1] + ANSWERED[3:], ids=" ".join)
@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "60"},
        {"COLUMNS": "200"},
        {"COLUMNS": ""},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"TZ": "NPT-5:45"},
        {"NO_COLOR": "1"},
        {"FORCE_COLOR": "1"},
        {"MAVERICK_PROJECT": "/nowhere"},
        {"HOME": ""},
        {"GITHUB_ACTIONS": "true"},
    ],
    ids=str,
)
def test_both_ways_heed_the_environment_alike(
    ran: Program, environment: Mapping[str, str], arguments: list[str]
) -> None:
    fast, slow = both(ran, arguments, **environment)

    assert slow == fast


@pytest.mark.parametrize("arguments", ANSWERED, ids=" ".join)
def test_both_ways_look_alike_on_a_terminal(ran: Program, arguments: list[str]) -> None:
    """Widths and colours, too."""
    seen = []
    for code in (FAST, TYPER):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=ran.root,
            env={**ran.environment, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ):
            os.close(theirs)
            text = read_terminal(ours)
        os.close(ours)
        seen.append(_aged(text))

    assert seen[1] == seen[0]
    status = b"\x1b[32mdone" if "show" in arguments else b"\x1b[31mfailed"
    assert "--json" in arguments or status + b"\x1b[0m" in seen[0]


@pytest.mark.parametrize("arguments", ANSWERED, ids=" ".join)
def test_both_ways_fail_alike_where_nothing_can_be_written(
    ran: Program, arguments: list[str]
) -> None:
    """To a full disk, and to a reader that has gone."""
    with Path("/dev/full").open("wb") as full:
        fast, slow = both(ran, arguments, stdout=full)
    assert slow == fast
    assert 1 == fast.code
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        fast, slow = both(ran, arguments, stdout=gone)
    assert slow == fast
    assert Ended(0, b"", b"") == fast


@pytest.mark.parametrize("arguments", ANSWERED, ids=" ".join)
def test_both_ways_work_in_a_folder_below(ran: Program, arguments: list[str]) -> None:
    below = ran.root / "below"
    below.mkdir(exist_ok=True)

    fast, slow = both(ran, arguments, cwd=below)

    assert (slow, 0) == (fast, fast.code)


@pytest.mark.parametrize("arguments", ANSWERED, ids=" ".join)
@pytest.mark.parametrize(
    "error", [OverflowError("a bug"), BrokenPipeError(32, "of something"), EOFError("at its end")]
)
def test_both_ways_tell_a_fault_alike(
    quick: Quick,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: Exception,
) -> None:
    """But for the name of the file that keeps the traceback."""

    def broken(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr("maverick.project.Project.__init__", broken)
    slow = quick(*arguments)

    with pytest.raises(SystemExit) as ended:
        at_once.answer_at_once(arguments)
    err = capsys.readouterr().err

    assert slow.code == ended.value.code == 1
    assert slow.err.partition("; the traceback")[0] == err.partition("; the traceback")[0]


def test_exactly_these_go_without_typer() -> None:
    """A second parser of arguments is not wanted: all else goes to the one that there is."""
    assert {tuple(each) for each in ANSWERED} == __main__._AT_ONCE
    assert {" ".join(word for word in each if word != "--json") for each in ANSWERED} == set(
        at_once.ANSWERED
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "runs"],
        ["runs", "--json", "--json"],
        ["runs", "-n", "1"],
        ["show", "--all"],
        ["show", "@latest"],
        ["checkpoint", "list", "--"],
    ],
    ids=" ".join,
)
def test_what_only_looks_like_one_of_them_is_answered_as_ever(
    ran: Program, arguments: list[str]
) -> None:
    fast, slow = both(ran, arguments)

    assert slow == fast
