"""A fault of maverick at the command line: one message, one JSON object, exit code 1, no
traceback.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from kit.program import Ended, Program, Quick
from maverick.cli.app import app

FLOW = """
    - {name: first, type: shell, run: echo one}
    - {name: second, type: shell, run: echo two}
    """
MESSAGE = re.compile(
    r"error: this is a fault of maverick, not of your workflow: OverflowError: (.*?)(?: \(at step "
    r"(\S+)\))?; the traceback is in (\S+); please report it to the maintainers of maverick with "
    r"that file"
)


def _raise(error: BaseException) -> Callable[..., Any]:
    def function(*_args: object, **_kwargs: object) -> Any:
        raise error

    return function


def _commands() -> list[tuple[str, ...]]:
    """Every command, with arguments that it takes: its own, else a word for each that it needs."""
    given = {
        "run": ("flow.yaml",),
        "fly": ("--branch-name=x",),
        "workflow show": ("fly",),
        "workflow check": ("fly",),
        "checkpoint cat": ("@latest:x",),
        "schema": ("--write",),
    }
    commands: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    every = {}
    for name in commands:
        members = getattr(commands[name], "commands", None)
        if members is None:
            every[name] = commands[name]
        else:
            every |= {f"{name} {member}": members[member] for member in members}
    return [
        (*name.split(), *given.get(name, ["a" for each in command.params if _is_needed(each)]))
        for name, command in every.items()
    ]


def _is_needed(parameter: Any) -> bool:
    return bool(parameter.required) and parameter.param_type_name == "argument"


def _file_in(done: Ended) -> Path:
    found = MESSAGE.search(done.err)
    assert found is not None, done.err
    assert "Traceback" not in done.err + done.out
    return Path(found[3])


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
@pytest.mark.parametrize(
    "error", [OverflowError("a bug"), BrokenPipeError(32, "of something"), EOFError("at its end")]
)
def test_every_command_says_so(
    quick: Quick,
    command: tuple[str, ...],
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Wherever it is, even where the project cannot be had; also those that typer would swallow."""
    monkeypatch.setattr("maverick.project.Project.__init__", _raise(error))

    done = quick(*command)

    assert 1 == done.code
    assert (
        f"this is a fault of maverick, not of your workflow: {type(error).__name__}: " in done.err
    )
    (file,) = tmp_path.glob("maverick-fault-*.txt")
    assert str(error) in file.read_text()
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "place",
    [
        "maverick.project.Project.__init__",
        "maverick.runs.start.start",
        "maverick.cli.commands.run.report",
    ],
)
@pytest.mark.parametrize("error", [OverflowError("a bug"), RecursionError(), KeyboardInterrupt()])
def test_json_is_one_object_all_the_same(
    quick: Quick, place: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens, and whenever; Ctrl-C, too."""
    quick.program.flow(FLOW)
    monkeypatch.setattr(place, _raise(error))

    done = quick("run", "flow.yaml", "--json")

    assert (130 if isinstance(error, KeyboardInterrupt) else 1) == done.code
    assert done.json["error"] in done.err
    assert done.json["status"] is None


def test_a_step_that_breaks_leaves_a_failed_run_and_its_traceback_in_the_store(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.program.flow(FLOW)
    monkeypatch.setattr(
        "maverick.dsl.processes.processes.Processes.run",
        _raise(OverflowError("timeout is too large")),
    )

    done = quick("run", "flow.yaml", "--json")

    file = _file_in(done)
    assert (1, "failed") == (done.code, done.json["status"])
    assert f"error: {done.json['error']}" in done.err
    assert done.json["resume"] == done.last_line
    assert quick.program.root / ".maverick" / "checkpoints" / "faults" == file.parent
    assert file.read_text().rstrip().endswith("OverflowError: timeout is too large")
    assert "failed" == quick("runs", "--json").json[0]["status"]
    assert 0 == quick("checkpoint", "fsck").code


def test_what_it_says_is_scrubbed(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception may quote a value, and the command line is in the file."""
    quick.program.file("maverick.yaml", "secrets: [TOKEN]")
    quick.program.environment |= {"TOKEN": "s3cret-value-1", "GH_TOKEN": "ghp_credential"}
    quick.program.flow(FLOW)
    monkeypatch.setattr(
        "maverick.cli.looking.listed.summarise",
        _raise(OverflowError("s3cret-value-1 ghp_credential")),
    )
    quick("run", "flow.yaml")

    done = quick("runs")

    text = _file_in(done).read_text()
    assert "OverflowError: *** ***" in done.err
    assert "OverflowError: *** ***" in text
    assert "s3cret" not in text + done.err
    assert "ghp_" not in text + done.err


def test_where_no_file_can_be_written_it_is_printed(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "maverick.faults._write_into", _raise(OSError(28, "No space left on device"))
    )
    monkeypatch.setattr("maverick.project.Project.__init__", _raise(OverflowError("a bug")))

    done = quick("runs")

    assert 1 == done.code
    assert "the traceback cannot be written (No space left on device), so it follows" in done.err
    assert "OverflowError: a bug" in done.err.split("so it follows")[1]


# --- what must not end a run ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            "maverick.cli.terminal.progress.progress_line",
            "warning: progress is no longer shown: ",
        ),
        ("maverick.cli.terminal.event_lines.json_text", "warning: events are no longer written: "),
    ],
)
def test_a_watcher_that_breaks_is_left_out(
    quick: Quick, place: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, with its traceback in a file; the run is done."""
    quick.program.flow(FLOW)
    monkeypatch.setattr(place, _raise(OverflowError("in the display")))

    done = quick("run", "flow.yaml", "--events", "events.jsonl")

    assert (0, "two") == (done.code, done.json["value"])
    assert 1 == done.err.count(said)
    assert "this is a fault of maverick" in done.err


@pytest.mark.parametrize(
    "error", [OverflowError("a bug"), OSError(11, "Resource temporarily unavailable")]
)
def test_collecting_that_breaks_leaves_a_done_run_done(
    quick: Quick, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.program.flow(FLOW)
    monkeypatch.setattr("maverick.checkpoints.store.collecting_pays", _raise(error))

    done = quick("run", "flow.yaml", "--json")

    assert (0, "done") == (done.code, done.json["status"])
    assert "warning: garbage is not collected: " in done.err


def test_ctrl_c_ends_any_command_with_130(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    quick.program.flow(FLOW)
    quick("run", "flow.yaml")
    monkeypatch.setattr("maverick.cli.looking.listed.summarise", _raise(KeyboardInterrupt()))

    done = quick("runs")

    assert (130, "error: interrupted") == (done.code, done.last_line)


def test_python_in_development_mode_has_nothing_to_object_to(program: Program) -> None:
    """No file is left open, and no thread behind."""
    program.flow(FLOW)

    done = program.run(
        "run", "flow.yaml", "--events", "events.jsonl", PYTHONDEVMODE="1", PYTHONWARNINGS="default"
    )

    assert 0 == done.code
    assert "Warning" not in done.err
