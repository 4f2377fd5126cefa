"""Write a run into one file.

Another store takes the run in from it. The file holds everything that resuming needs: definition,
inputs, outputs, labels, files. A run is written with its last checkpoints and its tags; another
revision is that checkpoint alone, with the labelled ones before it. The file `-` is standard
output.

Examples:
  maverick checkpoint export fly@latest run.maverick
  maverick checkpoint export @latest~2 run.maverick
  maverick checkpoint export nightly run.maverick --force
  maverick checkpoint export @latest - | ssh host 'cd project && maverick checkpoint import -'
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import plural, size
from maverick.cli.terminal.streams import is_terminal, write_out
from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Store

_PART_BYTES: Final = 1 << 20


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
    if file == "-":
        if as_json:
            raise UsageError("--json needs a FILE with a name: `-` is the run on standard output")
        _print(store, store.resolve(revision))
        return
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


def _print(store: "Store", checkpoint: "Checkpoint") -> None:
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - few exports are printed

    from maverick.checkpoints import exports  # noqa: PLC0415 - light commands do without

    if is_terminal(sys.stdout):
        raise UsageError("a run is no text for a terminal: name a FILE, or send it into a pipe")
    with TemporaryDirectory(prefix="maverick-export-") as folder:
        file = Path(folder) / "run"
        exports.export(store, checkpoint, file)
        with file.open("rb") as stream:
            while part := stream.read(_PART_BYTES):
                write_out(part)
