"""Take in a run from a file.

It verifies every byte before anything of it can be seen, and refuses a file that is cut off or
altered. It also refuses a run that would take more than 1 TB or 10,000,000 names to restore, which
a few kilobytes can say. The file `-` is standard input.

A run that is here already is moved forward if the file has it further on; if not, nothing changes.
If it went on in both places, the command stops with exit code 12, and --as makes it a run of its
own.

The run can be resumed here. Where the workflow's file is missing, its recorded text is used.
Resuming a run executes what its definition says, so import only what you would run.

Examples:
  maverick checkpoint import run.maverick
  maverick checkpoint import run.maverick --as from-ci
"""

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.answer import reply_run
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.streams import bytes_in, print_err
from maverick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints.imports import TakenIn


def command(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What `maverick checkpoint export` wrote.")
    ],
    as_run: Annotated[
        str, typer.Option("--as", metavar="RUN", help="Give the run this name.", show_default=False)
    ] = "",
    *,
    any_size: Annotated[
        bool,
        typer.Option(
            "--any-size", help="Take it in also if it holds more than anybody could restore."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints import imports  # noqa: PLC0415
    from maverick.cli.terminal.bar import Bar  # noqa: PLC0415
    from maverick.runs.import_check import import_check  # noqa: PLC0415

    project = this_project()
    with _file(file) as path, Bar("verify", shown=not as_json) as bar:
        taken = imports.take_in(
            project.create_store,
            path,
            as_run,
            check=import_check(),
            any_size=any_size,
            progress=bar,
        )
    ref = taken.ref
    if not taken.began:
        print_err(_already(taken))
    reply_run(ref.run, ref.checkpoint, as_json=as_json, done=ref.done)
    if not ref.done and not as_json:
        from maverick.runs.workspace_choice import way_back  # noqa: PLC0415 - loads the project's files

        store = project.open_store()
        with suppress(UsageError):  # A home folder or `/`, whose files no run keeps.
            if text := way_back(store, store.checkpoint(ref.checkpoint), project.root):
                print_err(f"note: {text}")


@contextmanager
def _file(file: str) -> "Iterator[Path]":
    """Give the path of *file*; what comes on standard input is kept in one meanwhile."""
    if file != "-":
        yield Path(file)
        return
    from shutil import copyfileobj  # noqa: PLC0415 - few imports come so
    from tempfile import NamedTemporaryFile  # noqa: PLC0415

    with NamedTemporaryFile(prefix="maverick-import-") as kept:
        copyfileobj(bytes_in(), kept)
        kept.flush()
        yield Path(kept.name)


def _already(taken: "TakenIn") -> str:
    """Say what became of a run that was here already."""
    ref, run = taken.ref, taken.ref.run
    if taken.moved:
        return f"{run} was here at {taken.before}; it is moved forward to {ref.sequence}"
    if taken.offered == ref.sequence:
        return f"{run} is here already, as in the file; nothing was changed"
    return (
        f"{run} is further on here, at {ref.sequence}; the file has it at {taken.offered}; "
        "nothing was changed"
    )
