"""Where the command was given: the project, files as found from there, and who can be asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.cli.terminal.streams import is_terminal, warn, write_err
from maverick.encoding import inherited
from maverick.errors import MaverickError, UsageError
from maverick.owners import ownership
from maverick.project import Project, open_project
from maverick.roots import locate

if TYPE_CHECKING:
    import subprocess


def explained(error: BaseException) -> str:
    """Say what *error* is and where its traceback is: in the store of the project at hand, if there
    is one.
    """
    from maverick.faults import explain  # noqa: PLC0415 - nearly never needed

    return explain(error, *_store_and_mask())


def warn_of(what: str, error: Exception) -> None:
    """Warn that *what*, which the command can do without, failed by *error*."""
    warn(f"{what}: {error if isinstance(error, MaverickError) else explained(error)}")


def _store_and_mask() -> tuple[Path | None, Callable[[str], str]]:
    """The folder of the store, and what masks the project's secrets; as far as they can be had.

    What is looked for here may be the very thing that does not work.
    """
    from maverick.dsl.processes.secrets import Scrubber, credentials_in  # noqa: PLC0415

    scrub, folder = Scrubber(credentials_in(os.environ).values()), None
    with suppress(Exception):
        project = this_project()
        folder = project.store_folder
        scrub = Scrubber.of(project.config.secrets, project.environment)
    return folder, scrub.text


def this_project() -> Project:
    """Give the project that the current folder is in. Every command that reads one gets it here.

    Raises:
        UsageError: the current folder was removed; or files of the project are not to be taken.
        WorkflowInvalid: the user's configuration has problems.
    """
    return open_project(locate(os.environ), inherited())


def root_if_known() -> str | None:
    """Give the root of the project that the current folder is in; None where nobody can tell."""
    try:
        return str(locate(os.environ).root)
    except UsageError:
        return None


def go_to(folders: list[str]) -> None:
    """Make each of *folders* the current one, as seen from the one before; an empty name changes
    nothing.

    Raises:
        UsageError: one of them cannot be entered.
    """
    for folder in filter(None, folders):
        try:
            os.chdir(folder)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            closed = f"; {ownership(folder)}" if isinstance(error, PermissionError) else ""
            raise UsageError(f"cannot go to {folder!r} (-C): {why}{closed}") from None


def from_here(workflow: str) -> str:
    """Give a workflow's file as it is found from the caller's folder; a workflow's name as it
    is.
    """
    from maverick.dsl.catalog.workflow_files import is_path  # noqa: PLC0415 - lists of runs do without

    return os.path.abspath(workflow) if is_path(workflow) else workflow  # noqa: PTH100 - symbolic links stay as they are


def asking() -> Callable[[str], bool] | None:
    """Give what asks a person a question, yes or no; None where standard input or error is no
    terminal.
    """
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return None

    def ask(question: str) -> bool:
        write_err(f"{question} [y/N] ")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return ask


def has_consent(question: str, *, yes: bool) -> bool:
    """Whether a person agrees: by `--yes`, or on a terminal by the answer to *question*.

    Raises:
        UsageError: there is nobody to be asked, and `--yes` was not given.
    """
    if yes:
        return True
    ask = asking()
    if ask is None:
        raise UsageError(f"{question} Nobody can be asked here: give --yes")
    return ask(question)


def collect_in_background(project: Project, tell: Callable[[str], None]) -> None:
    """Start `checkpoint gc` as a process of its own, at low priority, if it pays; nobody waits for
    it.

    The run that has ended stays what it is, whatever comes of this.
    """
    try:
        _collect_in_background(project, tell)
    except OSError as error:
        warn(f"garbage is not collected: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - told, and the run's exit code stays
        warn_of("garbage is not collected", error)


def _collect_in_background(project: Project, tell: Callable[[str], None]) -> None:
    from maverick.checkpoints.store import collecting_pays  # noqa: PLC0415

    if not collecting_pays(project.open_store()):
        return
    process = _start(
        # -P: what stands in the project's folder is not `maverick`.
        [sys.executable, "-P", "-m", "maverick", "checkpoint", "gc", "--keep-dropped"],
        cwd=project.root,
        env=project.environment,
    )
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)
    tell("collecting garbage in the background")


def _start(argv: list[str], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a process that says nothing, in a session of its own."""
    import subprocess  # noqa: PLC0415 - loaded by the engine; what only looks at runs does without

    nowhere = subprocess.DEVNULL
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=nowhere,
        stdout=nowhere,
        stderr=nowhere,
        start_new_session=True,
    )
