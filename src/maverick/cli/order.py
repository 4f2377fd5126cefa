"""What a command that runs a workflow was asked for: its options, checked together."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.cli.entry import AUTO_RESUME, BARE_RESUME
from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.runs.request import Policy

EXIT_CODES: Final[Mapping[str, int]] = {"done": 0, "failed": 1, "paused": 130, "killed": 130}

PROGRESS: Final = ("auto", "tree", "lines", "json")
"""How progress can be shown."""
_WAYS: Final = "auto, tree, lines or json"


def way_to_show(progress: str, from_environment: str, *, can_draw: bool, plain: bool) -> str:
    """Give how progress is shown: as `tree`, `lines` or `json`.

    *progress* is what `--progress` says, *from_environment* what `MAVERICK_PROGRESS` does. A tree
    needs a terminal that it *can_draw* on; elsewhere there are lines.

    Raises:
        UsageError: There is no such way.
    """
    for name, given in (("--progress", progress), ("MAVERICK_PROGRESS", from_environment)):
        if given:
            if given not in PROGRESS:
                raise UsageError(f"{name} is {_WAYS}, not {given!r}")
            break
    asked = progress or from_environment or "auto"
    if asked == "auto":
        asked = "lines" if plain else "tree"
    return "lines" if asked == "tree" and not can_draw else asked


class Order(NamedTuple):
    """What is asked for. `command` is `run`, `resume`, or a workflow that is a command of its own.

    `resume` is None for a new run, else a revision, `@resumable`, or `auto`.
    """

    command: str
    workflow: str
    resume: str | None
    change_inputs: bool
    rerun: bool
    as_recorded: bool
    workspace: str
    from_step: str
    skip: tuple[str, ...]
    plan: bool
    as_json: bool
    quiet: bool
    plain: bool
    events: str
    run_id: str | None = None
    """What a new run is called."""
    strict: bool = False
    progress: str = ""
    """How progress is shown; empty: as `MAVERICK_PROGRESS` says, else `auto`."""
    verbose: bool = False
    folders: tuple[str, ...] = ()
    """What `-C` named."""

    def check(self) -> None:
        """Raise UsageError for options that do not go together."""
        if self.rerun and self.as_recorded:
            raise UsageError("--rerun and --as-recorded exclude each other")
        if self.from_step and self.as_recorded:
            raise UsageError(
                "--from and --as-recorded exclude each other: the one runs again what the other "
                "keeps"
            )
        chosen = {
            "--change-inputs": self.change_inputs,
            "--rerun": self.rerun,
            "--as-recorded": self.as_recorded,
            "--workspace": bool(self.workspace),
            "--from": bool(self.from_step),
            "--skip": bool(self.skip),
        }
        if self.workspace not in {"", "restore", "force-restore", "keep"}:
            raise UsageError(
                f"--workspace is restore, force-restore or keep, not {self.workspace!r}"
            )
        for option, given in chosen.items():
            if given and self.resume is None:
                raise UsageError(f"{option} says how to resume; it needs --resume")
        if self.resume == "":
            raise UsageError(
                "--resume= needs a run or another revision; `--resume` alone takes the newest run"
            )
        self._check_run_id()
        if self.resume == AUTO_RESUME and (self.from_step or self.skip):
            raise UsageError(
                "--from and --skip change a run that is there; with --resume=auto there may be "
                "none: name the run, --resume=RUN"
            )
        if not self.workflow and self.resume in (None, BARE_RESUME, AUTO_RESUME):
            raise UsageError(
                "which workflow? name one or give its file; only with --resume=RUN can it be "
                "left out"
            )

    def _check_run_id(self) -> None:
        if self.run_id is None:
            return
        if not self.run_id:
            raise UsageError("--run-id needs the name of the run")
        if self.resume not in (None, AUTO_RESUME):
            raise UsageError(
                "--run-id names a new run, and --resume one that is there; --resume=auto --run-id "
                "goes on with the run of that name, or starts it"
            )

    @property
    def policy(self) -> "Policy":
        """What becomes of finished steps that would run again."""
        return "rerun" if self.rerun else "recorded" if self.as_recorded else "refuse"

    def resume_command(self, run: str) -> str:
        """The command that goes on with *run*."""
        if self.command == "resume":
            return self.command_line("resume", run)
        workflow = [self.workflow] if self.command == "run" and self.workflow else []
        return self.command_line(self.command, *workflow, f"--resume={run}")

    def command_line(self, *words: str) -> str:
        """The command *words* as it is typed where this one was."""
        begin = [word for folder in self.folders for word in ("-C", folder)]
        return shlex.join(["maverick", *begin, *words])
