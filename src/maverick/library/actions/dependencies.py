"""Installing what a project's lock file names, with the program that wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maverick.dsl.processes.commands import environment, find_program, run_command
from maverick.errors import StepFailed
from maverick.library.actions.git import words

_BY_LOCK_FILE: Final[dict[str, tuple[str, ...]]] = {
    "uv.lock": ("uv", "sync", "--frozen"),
    "package-lock.json": ("npm", "ci", "--no-audit", "--no-fund"),
    "npm-shrinkwrap.json": ("npm", "ci", "--no-audit", "--no-fund"),
    "pnpm-lock.yaml": ("pnpm", "install", "--frozen-lockfile"),
    "requirements.lock": ("pip", "install", "--requirement"),
    "requirements.txt": ("pip", "install", "--requirement"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The commands that ran, each as a line; `skipped` says what was left alone, and why."""

    commands: list[str]
    skipped: list[str]


def sync_dependencies(timeout_seconds: float = 1800, cwd: str = ".") -> Synced:
    """Install the dependencies that the lock files of *cwd* name; without one, do nothing.

    With pip only into a virtual environment: that of the folder (`.venv`), else the active one;
    never into the system.
    """
    commands: list[str] = []
    skipped: list[str] = []
    pip_files = [
        name for name in ("requirements.lock", "requirements.txt") if (Path(cwd) / name).is_file()
    ]
    for file, (program, *args) in _BY_LOCK_FILE.items():
        if not (Path(cwd) / file).is_file() or file in pip_files[1:]:
            continue
        command = [program, *args]
        if program == "pip":
            python = _virtual_python(cwd)
            if python is None:
                skipped.append(
                    f"{file}: there is no virtual environment; make one with `python -m venv .venv`"
                )
                continue
            command = [python, "-m", "pip", *args, file]
        elif find_program(program) is None:
            raise StepFailed(
                f"{file} needs the program `{program}`, which is not on PATH; install it, then "
                "resume"
            )
        if (shown := " ".join([program, *command[command.index(args[0]) :]])) not in commands:
            _run(command, file, timeout_seconds, cwd)
            commands.append(shown)
    return Synced(commands=commands, skipped=skipped)


def _virtual_python(cwd: str) -> str | None:
    folders = [
        Path(cwd) / ".venv",
        *(Path(given) for given in [environment().get("VIRTUAL_ENV")] if given),
    ]
    pythons = (folder / "bin" / "python" for folder in folders)
    return next((str(python.absolute()) for python in pythons if python.exists()), None)


def _run(command: list[str], file: str, seconds: float, cwd: str) -> None:
    done = run_command(command, cwd=cwd, timeout=seconds)
    if done.exit_code != 0:
        raise StepFailed(
            f"installing what {file} names failed (`{' '.join(command)}`): {words(done)}"
        )
