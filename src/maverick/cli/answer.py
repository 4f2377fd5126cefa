"""What a command answers: JSON for programs, or text for people. `run --json` always answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from maverick.cli.terminal.streams import print_err, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Collection

    from maverick.cli.jobs.job import Job
    from maverick.dsl.workflow.outcome import Outcome

_COUNTS: Final = ("ran", "recalled", "skipped", "failed", "reused")
_NO_RUN: Final[dict[str, Any]] = {
    "run": None,
    "resumed_from": None,
    "workflow": None,
    "status": None,
    "output": None,
    "error": None,
    "failed_at": None,
    "checkpoint": None,
    "resume": None,
    "steps": dict.fromkeys(_COUNTS, 0),
    "rollback_errors": [],
    "notices": [],
    "waiting": None,
    "seconds": None,
    "usd": None,
    "project": None,
}
"""What `run --json` answers where nothing is known of a run."""


def reply(value: object, *, as_json: bool, text: str = "", note: str = "") -> None:
    """Print *value* as JSON, or for people *text* and, on standard error, the line *note*."""
    if as_json:
        print_json(value)
        return
    print_out(text)
    if note:
        print_err(note)


def reply_run(run: str, checkpoint: str, *, as_json: bool, done: bool = False) -> None:
    """Print a run that stands at *checkpoint*, and the command that resumes it, unless it is
    *done*.
    """
    import shlex  # noqa: PLC0415 - few commands make a run

    resume = None if done else shlex.join(["maverick", "run", f"--resume={run}"])
    reply(
        {"run": run, "checkpoint": checkpoint, "resume": resume},
        as_json=as_json,
        text="".join(f"{line}\n" for line in (run, resume) if line),
    )


class CommandAnswer:
    """What is known of the command's run so far.

    `arguments` are those of the program, `runners` the commands that run workflows. With `one_line`
    the object is printed as the last of a stream of JSON lines. `out` is standard output while a
    run goes on.
    """

    def __init__(self, arguments: list[str], runners: Collection[str]) -> None:
        self.arguments = arguments
        self.runners = runners
        self.workflow: str | None = None
        self.run: str | None = None
        self.folders: tuple[str, ...] = ()
        """What `-C` named."""
        self.is_lost = False
        """Whether the command has not come to where `-C` names."""
        self.project: str | None = None
        """The root of the project, once it is known."""
        self.one_line = False
        self.out: IO[str] | None = None
        self.job: Job | None = None
        """The job of GitHub Actions that runs the command."""
        self.given = False
        """Whether it was said what a run came to: as the object, or for people."""

    def succeed(self, outcome: Outcome, resume: str | None) -> None:
        """Print what a run came to. *resume* is the command that resumes it."""
        self._print(
            {
                "run": outcome.run,
                "resumed_from": outcome.resumed_from,
                "workflow": outcome.workflow,
                "status": outcome.status,
                "output": outcome.output,
                "error": outcome.error,
                "failed_at": outcome.failed_at or None,
                "checkpoint": outcome.checkpoint or None,
                "resume": resume,
                "steps": {name: getattr(outcome.counts, name) for name in _COUNTS},
                "rollback_errors": list(outcome.rollback_errors),
                "notices": list(outcome.notices),
                "waiting": None,
                "seconds": outcome.seconds,
                "usd": outcome.costs.usd,
                "project": self.project,
            }
        )

    def fail(self, error: str) -> None:
        """Print the object of a command that ended with *error* before a run came to an end, if it
        was asked for.

        `run` and `status` are null: nothing is claimed about a run.
        """
        if self._is_wanted() and not self.given:
            from maverick.cli.here import root_if_known  # noqa: PLC0415 - only where something fails

            self._print(
                {
                    **_NO_RUN,
                    "run": self.run,
                    "workflow": _name_of(self.workflow),
                    "error": error,
                    "project": self.project or (None if self.is_lost else root_if_known()),
                }
            )

    @property
    def is_json(self) -> bool:
        """Whether JSON was asked for."""
        return "--json" in self._options()

    @property
    def is_runner(self) -> bool:
        """Whether the command runs a workflow."""
        return _command(self._options()) in self.runners

    def _is_wanted(self) -> bool:
        return self.is_json and self.is_runner

    def _options(self) -> list[str]:
        end = self.arguments.index("--") if "--" in self.arguments else None
        return self.arguments[:end]

    def _print(self, outcome: dict[str, Any]) -> None:
        self.given = True
        print_json(outcome, self.out, indent=None if self.one_line else 2)


def _command(arguments: list[str]) -> str:
    """The first word that is neither an option of the program nor the value of `-C`."""
    words = iter(arguments)
    for word in words:
        if word == "-C":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _name_of(workflow: str | None) -> str | None:
    """What the workflow that a person asked for is called; a file that cannot be read keeps its
    name.
    """
    from maverick.dsl.catalog.workflow_files import ENDINGS, name_in  # noqa: PLC0415

    if workflow is None or not workflow.endswith(ENDINGS):
        return workflow
    # Unlike a path's own `is_file` this one takes what cannot be looked at for no file.
    return name_in(Path(workflow)) if os.path.isfile(workflow) else workflow  # noqa: PTH113
