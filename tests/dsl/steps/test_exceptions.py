"""What an action's exception says: the reason in the message, wherever it keeps it, and the
traceback in the log.
"""

from __future__ import annotations

import subprocess

import pytest

from kit.patience import GROWING_SECONDS
from kit.runs import Runs
from maverick.checkpoints import Store
from maverick.dsl.journal.logs import find_log
from maverick.dsl.journal.tree import RunTree
from maverick.dsl.steps.exceptions import reasons, said, traceback_of

ACTIONS = """
import argparse, asyncio, subprocess, sys

def command():
    subprocess.run(["sh", "-c", "echo checked; echo assert 1 == 2 >&2; exit 3"], check=True, capture_output=True)

def hanging():
    subprocess.run("echo 'began with the database'; exec sleep 6000", shell=True, timeout=1, capture_output=True)

async def group():
    async def each(name):
        raise LookupError(f"no page {name}")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(each("left"))
        tasks.create_task(each("right"))

def chained():
    try:
        open("/nowhere/config")
    except OSError as error:
        raise RuntimeError("cannot deploy") from error

def handling():
    try:
        {}["region"]
    except KeyError:
        raise RuntimeError("cannot deploy")

def noted():
    error = ValueError("bad row")
    error.add_note("of the file rows.csv\\nin line 7")
    raise error

def misnoted():
    error = ValueError("bad row")
    error.__notes__ = 5
    raise error

def usage():
    print("reading arguments")
    argparse.ArgumentParser(prog="deploy").parse_args(["--nonsense"])

def wordy():
    try:
        subprocess.run("seq 301; seq 302 >&2; exit 1", shell=True, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise RuntimeError("cannot build") from error

def crash():
    import ctypes
    ctypes.string_at(0)

def hang():
    import time
    time.sleep(6000)

class Answers(Exception):
    def __getattr__(self, name):
        return self.args[0][name]

    def __str__(self):
        return "no such region"

class Leaves(Exception):
    def __str__(self):
        sys.exit(3)

class Odd(Exception):
    def __bool__(self):
        raise RuntimeError("neither")

class Lazy(list):
    def __iter__(self):
        raise ConnectionError("closed")

def answers():
    raise Answers({})

def leaves():
    raise Leaves

def odd():
    raise Odd("neither true nor false")

def lazy():
    return {"rows": Lazy([1])}

def long():
    raise ValueError("b" * 30_000 + "\\n" * 1_000_000 + "e" * 30_000)

def mute():
    class Mute(Exception):
        def __str__(self):
            raise KeyError("text")
    raise Mute

def inner():
    outer = lambda: 1 / 0
    outer()
"""

in_either_way = pytest.mark.parametrize(
    "timeout", ["", ", timeout: 300"], ids=["thread", "process"]
)


@pytest.fixture
def acting(runs: Runs) -> Runs:
    runs.set_actions(ACTIONS)
    return runs


@in_either_way
@pytest.mark.parametrize(
    ("action", "first", "others"),
    [
        (
            "command",
            "CalledProcessError: Command ",
            ["  stderr:", "    assert 1 == 2", "  stdout:", "    checked"],
        ),
        ("hanging", "TimeoutExpired: Command ", ["  stdout:", "    began with the database"]),
        (
            "group",
            "ExceptionGroup: unhandled",
            ["  LookupError: no page left (", "  LookupError: no page right ("],
        ),
        (
            "chained",
            "RuntimeError: cannot deploy (",
            ["  caused by FileNotFoundError: [Errno 2] No such file"],
        ),
        ("handling", "RuntimeError: cannot deploy (", ["  while handling KeyError: 'region'"]),
        ("noted", "ValueError: bad row (", ["  of the file rows.csv", "  in line 7"]),
        ("misnoted", "ValueError: bad row (", []),
        (
            "usage",
            "SystemExit: 2 (",
            ["deploy: error: unrecognized arguments: --nonsense", "  reading arguments"],
        ),
        ("answers", "Answers: no such region (", []),
        ("leaves", "Leaves: its text cannot be had: SystemExit (", []),
        ("odd", "Odd: neither true nor false (", []),
        ("mute", "Mute: its text cannot be had: KeyError (", []),
    ],
)
def test_the_reason_is_in_the_message(
    acting: Runs, timeout: str, action: str, first: str, others: list[str]
) -> None:
    """Wherever it is kept: in an exception's text, notes, cause or group, in the output of its
    command, or printed.
    """
    acting.flow(f"- {{name: a, type: python, action: {action}{timeout}}}")

    failed = acting.start()

    head, *rest = failed.error.splitlines()
    assert head.startswith(f"step a: {first}")
    assert [] == [text for text in others if not any(text in line for line in rest)], failed.error


@in_either_way
def test_the_traceback_is_in_the_log(acting: Runs, timeout: str) -> None:
    """From the action on, without what called it."""
    acting.flow(f"- {{name: a, type: python, action: inner{timeout}}}")

    acting.start()

    store = Store.open(acting.root / ".maverick" / "checkpoints")
    [attempt] = find_log(RunTree(store.load("@latest")), "a")
    text = attempt.stream("stderr").decode()
    frames = [
        line.rpartition(", in ")[2] for line in text.splitlines() if line.startswith("  File ")
    ]
    assert ["inner", "<lambda>"] == frames
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ZeroDivisionError: division by zero\n")


@in_either_way
def test_an_output_that_cannot_be_read_says_which_part(acting: Runs, timeout: str) -> None:
    """It is the step that fails, and not maverick."""
    acting.flow(f"- {{name: a, type: python, action: lazy, continue_on_error: true{timeout}}}")

    done = acting.start()

    assert "done" == done.status
    assert "output.rows: a list cannot be read: ConnectionError: closed" in str(
        acting.value("steps/a")
    )


@in_either_way
def test_of_a_long_text_the_middle_is_left_out(acting: Runs, timeout: str) -> None:
    acting.flow(f"- {{name: a, type: python, action: long{timeout}}}")

    error = acting.start().error

    assert len(error) < 25_000
    assert (True, True) == ("ValueError: bbb" in error, "eee (" in error)


@in_either_way
def test_all_that_a_command_wrote_is_in_the_log(acting: Runs, timeout: str) -> None:
    """What `subprocess` captured of it; the message has its end."""
    acting.flow(f"- {{name: a, type: python, action: wordy{timeout}}}")

    failed = acting.start()

    store = Store.open(acting.root / ".maverick" / "checkpoints")
    [attempt] = find_log(RunTree(store.load("@latest")), "a")
    assert [str(n) for n in range(1, 302)] == attempt.stream("stdout").decode().split()
    assert "\n".join(str(n) for n in range(1, 303)) in attempt.stream("stderr").decode()
    shown = [line.strip() for line in failed.error.splitlines()]
    assert (True, False) == ("301" in shown, "281" in shown)


@pytest.mark.parametrize(
    ("action", "said"), [("crash", "Segmentation fault"), ("hang", "took longer than its")]
)
def test_a_process_that_is_ended_says_where_it_stood(acting: Runs, action: str, said: str) -> None:
    acting.flow(f"- {{name: a, type: python, action: {action}, timeout: TIMEOUT}}")
    for seconds in GROWING_SECONDS:
        acting.file(
            "flow.yaml", (acting.root / "flow.yaml").read_text().replace("TIMEOUT", f"{seconds}")
        )
        failed = acting.start()
        if f"in {action}" in failed.error:
            break
        acting.edit(f"timeout: {seconds}", "timeout: TIMEOUT")

    assert said in failed.error
    assert f"{acting.module}.py" in failed.error
    assert f"in {action}" in failed.error


@in_either_way
def test_a_secret_in_a_traceback_is_masked(acting: Runs, timeout: str) -> None:
    acting.set_actions("def leak(token):\n    raise ValueError(token)\n")
    acting.file("maverick.yaml", f"actions: [{acting.module}]\nsecrets: [API_TOKEN]\n")
    acting.environment["API_TOKEN"] = "hunter2hunter2"
    acting.flow(
        f"- {{name: a, type: python, action: leak, args: ['${{{{ env.API_TOKEN }}}}']{timeout}}}"
    )

    failed = acting.start()

    store = Store.open(acting.root / ".maverick" / "checkpoints")
    [attempt] = find_log(RunTree(store.load("@latest")), "a")
    text = attempt.stream("stderr").decode()
    assert "hunter2" not in failed.error + text
    assert "ValueError: " in text


def test_an_exception_that_causes_itself_ends() -> None:
    first, second = ValueError("one"), ValueError("two")
    first.__cause__, second.__cause__ = second, first

    assert ["  caused by ValueError: two"] == reasons(first)


def test_of_many_exceptions_the_first_are_told() -> None:
    many = ExceptionGroup(
        "all", [ExceptionGroup(f"group {n}", [ValueError(str(n))]) for n in range(100)]
    )

    told = reasons(many)

    assert ["  ExceptionGroup: group 0 (1 sub-exception)", "    ValueError: 0"] == told[:2]
    assert 20 == len(told)


def test_output_of_a_command_may_be_missing_or_text() -> None:
    silent = subprocess.CalledProcessError(1, "make")
    text = subprocess.CalledProcessError(1, "make", output="out\n", stderr=None)

    assert [] == reasons(silent)
    assert ["  stdout:", "    out"] == reasons(text)


def test_an_exception_without_text_says_so() -> None:
    assert "KeyError: no message" == said(KeyError())


def test_a_traceback_without_a_frame_of_the_file_is_whole() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        divmod(1, 0)

    assert "in test_a_traceback_without" in traceback_of(raised.value, "/another/file.py")


ROWS = """
import json

def load(depth):
    if depth:
        return load(depth - 1)
    return json.loads("{")
"""


@in_either_way
@pytest.mark.parametrize(("depth", "lines"), [(0, [7]), (1, [6, 7]), (9, [6, 6, 7])])
def test_where_in_the_project_it_came_from_is_said(
    runs: Runs, timeout: str, depth: int, lines: list[int]
) -> None:
    """The action's own line, then the last ones of other files; the log has all, also what is
    installed.
    """
    rows = f"rows_{runs.module}"
    runs.file(f"{rows}.py", ROWS)
    runs.set_actions(f"import {rows}\n\ndef read():\n    return {rows}.load({depth})\n")
    runs.flow(f"- {{name: act, type: python, action: read{timeout}}}")

    outcome = runs.start()

    first, *at = (outcome.error or "").splitlines()
    file = runs.root / f"{rows}.py"
    assert first.startswith("step act: JSONDecodeError: ")
    assert f" ({runs.root}/{runs.module}.py:" in first
    assert [f"  at {file}:{line} in load" for line in lines] == at
    [attempt] = find_log(RunTree(Store.open(runs.root).load("@latest")), "act")
    logged = attempt.stream("stderr").decode()
    assert f'File "{file}", line 7, in load' in logged
    assert "json/decoder.py" in logged


def test_what_is_installed_in_the_project_is_no_part_of_it(runs: Runs) -> None:
    """Its environment often stands there."""
    rows, folder = f"rows_{runs.module}", ".venv/lib/site-packages"
    (runs.root / folder).mkdir(parents=True)
    runs.file(f"{folder}/{rows}.py", ROWS)
    runs.set_actions(
        f"import sys\n\ndef read():\n    sys.path.append('{runs.root}/{folder}')\n    try:\n"
        f"        import {rows}\n    finally:\n        sys.path.pop()\n    return {rows}.load(0)\n"
    )
    runs.flow("- {name: act, type: python, action: read}")

    (line,) = (runs.start().error or "").splitlines()

    assert " in read)" in line
