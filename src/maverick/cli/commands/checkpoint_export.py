"""Write a run into one file.

Another store takes the run in from it. The file holds everything that resuming needs: definition,
inputs, outputs, labels, files. A run is written with its last checkpoints and its tags; another
revision is that checkpoint alone, with the labelled ones before it.

Examples:
  maverick checkpoint export fly@latest run.maverick
  maverick checkpoint export @latest~2 run.maverick
  maverick checkpoint export nightly run.maverick --force
"""

from pathlib import Path
from typing import Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import plural, size


def command(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A run or another revision.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to write; it must not exist.")
    ],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints import exports  # noqa: PLC0415 - light commands do without

    store = this_project().open_store()
    done = exports.export(store, store.resolve(revision), Path(file), replace=force)
    reply(
        {
            "run": done.run,
            "checkpoint": done.checkpoint,
            "file": file,
            "objects": done.objects,
            "bytes": done.bytes,
        },
        as_json=as_json,
        note=f"wrote {done.run} into {file}: {plural(done.objects, 'object')}, {size(done.bytes)}",
    )
