"""`Program`: the real program, in processes of its own, in a project in a temporary folder."""

from __future__ import annotations

import importlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import IO, Any

from typer.testing import CliRunner

from kit.patience import PATIENCE_SECONDS
from kit.runs import whole
from kit.surroundings import PLAIN_GIT
from maverick.cli.app import app

SOURCES = Path(__file__).parents[2] / "src"
ANSWER_KEYS = [
    "run",
    "resumed_from",
    "workflow",
    "status",
    "output",
    "error",
    "failed_at",
    "checkpoint",
    "resume",
    "steps",
    "rollback_errors",
    "notices",
    "waiting",
    "seconds",
    "usd",
    "project",
]
"""The keys of what a run answers with `--json`, in their order."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stands on standard output, as JSON."""
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        """The last line of standard error."""
        return self.err.splitlines()[-1]


class Running:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[Any]) -> None:
        self._process = process
        self.pid = process.pid

    def wait_for(self, path: Path) -> Running:
        """Wait until there is a file at *path*, or fail when the process ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not path.exists():
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline, f"{path} never came"
            select.select([], [], [], 0.005)
        return self

    def signal(self, number: signal.Signals) -> Running:
        """Send a signal to the process, to it alone."""
        self._process.send_signal(number)
        return self

    def wait_for_line(self, text: str) -> Running:
        """Wait until a line that holds *text* stands on standard error; lines up to it are
        taken.
        """
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text in line:
                return self
        raise AssertionError(f"no line with {text!r} came")

    def end(self) -> Ended:
        """Wait for its end."""
        out, err = self._process.communicate(timeout=PATIENCE_SECONDS)
        return Ended(self._process.returncode, out, err)


class Program:
    """A project at *root*, and the program that is run in it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root.parent / "home"),
            "TMPDIR": tempfile.gettempdir(),
            "LANG": "C.UTF-8",
            **PLAIN_GIT,
            "PYTHONPATH": str(SOURCES),
            "COLUMNS": "80",
            "MARK": str(root / "mark"),
        }
        self.file("maverick.yaml", "")

    @property
    def mark(self) -> Path:
        """A file whose path steps know as `$MARK`."""
        return self.root / "mark"

    def file(self, name: str, text: str) -> Path:
        """Make the file *name* of the project hold *text*, dedented."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def flow(self, steps: str, name: str = "flow") -> Path:
        """Make *steps* a workflow file."""
        return self.file(f"{name}.yaml", whole(steps, name))

    def copy_of(self, other: Program) -> None:
        """Have what the project of *other* has: what is dear to make is made once."""
        shutil.copytree(other.root, self.root, dirs_exist_ok=True, symlinks=True)

    def own_sources(self) -> Path:
        """Run a copy of maverick from now on, which a test may add to; give its folder."""
        sources = self.root.parent / "sources"
        shutil.copytree(
            SOURCES / "maverick", sources / "maverick", ignore=shutil.ignore_patterns("__pycache__")
        )
        self.environment["PYTHONPATH"] = str(sources)
        return sources / "maverick"

    def run(
        self, *args: str, stdin: str = "", cwd: Path | None = None, **environment: str
    ) -> Ended:
        """Run the program to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "maverick", *args],
            cwd=cwd or self.root,
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def bytes(self, *args: str) -> bytes:
        """What a command writes to standard output."""
        return subprocess.run(
            [sys.executable, "-m", "maverick", *args],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        ).stdout

    def begin(self, *args: str, under: Sequence[str] = (), out: IO[bytes] | None = None) -> Running:
        """Begin a command, *under* another one; *out* gets its standard output."""
        return Running(
            subprocess.Popen(
                [*under, sys.executable, "-m", "maverick", *args],
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out or subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def shell(self, script: str) -> Ended:
        """Run *script* in bash, in which `maverick` is the program."""
        name = f'maverick() {{ "{sys.executable}" -m maverick "$@"; }}\n'
        done = subprocess.run(
            ["bash", "-c", name + script],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


def err_at_a_terminal(program: Program, *args: str, **environment: str) -> str:
    """What a command writes to standard error when that is a terminal."""
    ours, theirs = pty.openpty()
    base = {**program.environment, "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "maverick", *args],
        cwd=program.root,
        env={**base, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ):
        os.close(theirs)
        text = read_terminal(ours)
    os.close(ours)
    return text.decode()


def read_terminal(ours: int) -> bytes:
    """What is written to a terminal, until the last process at its other side has gone."""
    data = b""
    with suppress(OSError):  # By which Linux says so.
        while chunk := os.read(ours, 65536):
            data += chunk
    return data


class Quick:
    """The program in this process: for all but signals, streams and exit by other ways than the
    command's own.
    """

    def __init__(self, program: Program) -> None:
        self.program = program

    def __call__(self, *args: str, stdin: str = "", **environment: str) -> Ended:
        """Run a command, in the folder that is the current one."""
        path = list(sys.path)
        modules = set(sys.modules)
        with _environment({**self.program.environment, **environment}):
            done = CliRunner().invoke(app, list(args), input=stdin)
        sys.path[:] = path
        self._forget(set(sys.modules) - modules)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return Ended(done.exit_code, done.stdout, done.stderr)

    def _forget(self, modules: set[str]) -> None:
        """Let the next command import the project's modules anew, as another process would."""
        importlib.invalidate_caches()
        for name in modules:
            module = sys.modules[name]
            places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
            if any(Path(place).is_relative_to(self.program.root) for place in places if place):
                del sys.modules[name]


class _environment:  # noqa: N801 - used as a function
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._before = dict(os.environ)
        os.environ.update(self._values)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)
