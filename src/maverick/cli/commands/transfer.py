"""`checkpoint export` and `checkpoint import`: runs that go from one machine to another."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text, plural, size
from maverick.cli.terminal.streams import print_err, print_out
from maverick.errors import UsageError


def export(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A run or another revision.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to write; it must not exist.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Write a run into one file, from which another store takes it in.

    The file holds everything that resuming needs: definition, inputs, outputs, labels, files. Of a
    run it holds the last checkpoints and the tags, too; of another revision that checkpoint alone,
    with the labelled ones before it.

    Examples:
      maverick checkpoint export fly@latest run.maverick
      maverick checkpoint export @latest~2 run.maverick
    """
    from maverick.checkpoints import exports  # noqa: PLC0415 - light commands do without

    store = this_project().open_store()
    done = exports.export(store, store.resolve(revision), Path(file))
    if as_json:
        it = {
            "run": done.run,
            "checkpoint": done.checkpoint,
            "file": file,
            "objects": done.objects,
            "bytes": done.bytes,
        }
        print_out(json_text(it) + "\n")
    else:
        print_err(
            f"wrote {done.run} into {file}: {plural(done.objects, 'object')}, {size(done.bytes)}"
        )


def import_run(
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
    """Take in a run from a file.

    Every byte is verified before anything of it can be seen; a file that is cut off or altered is
    refused. So is one that would take more than 1 TB or 10,000,000 names to restore, which a few
    kilobytes can say. The run can be resumed here: where the workflow's file is missing, the
    recorded text is used. Resuming a run executes what its definition says, so import only what you
    would run.

    Examples:
      maverick checkpoint import run.maverick
      maverick checkpoint import run.maverick --as from-ci
    """
    from maverick.checkpoints import exports  # noqa: PLC0415
    from maverick.cli.terminal.progress import Bar  # noqa: PLC0415

    project = this_project()
    store = project.create_store()
    with Bar("verify", shown=not as_json) as bar:
        ref = exports.take_in(store, Path(file), as_run, any_size=any_size, progress=bar)
    resume = None if ref.done else shlex.join(["maverick", "run", f"--resume={ref.run}"])
    if as_json:
        print_out(
            json_text({"run": ref.run, "checkpoint": ref.checkpoint, "resume": resume}) + "\n"
        )
        return
    print_out(f"{ref.run}\n{resume}\n" if resume else f"{ref.run}\n")
    if resume:
        from maverick.runs.workspace_choice import way_back  # noqa: PLC0415 - loads the project's files

        with suppress(UsageError):  # A home folder or `/`, whose files no run keeps.
            if text := way_back(store, store.checkpoint(ref.checkpoint), project.root):
                print_err(f"note: {text}")
