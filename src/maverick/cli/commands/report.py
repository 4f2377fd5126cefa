"""Write a run as one page for a browser.

The page has everything: what failed, a timeline, the steps with inputs, outputs, logs and costs,
the graph, the files that changed, and what differs from the run before. It is one file that needs
no network, so it can be sent, or kept by CI. A file of that name is replaced; the file `-` is
standard output. Without RUN it is the newest run; several runs share the page. With --all each run
has its own page in a folder, and `index.html` lists them.

Examples:
  maverick report
  maverick report fly@latest fly@{1} -o compare.html
  maverick report --all -o public/
  maverick report -o - | gzip > run.html.gz
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.looking.listed import whole_refs
from maverick.cli.terminal.render import plural, size
from maverick.cli.terminal.streams import print_bytes, warn
from maverick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from maverick.project import Project
    from maverick.views.report.writing import Written


def command(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs; the newest one.")
    ] = None,
    *,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file; with --all, the folder. RUN.html."
        ),
    ] = "",
    every: Annotated[
        bool, typer.Option("--all", help="A page for each run, and an index.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    project = this_project()
    if output == "-":
        if every or as_json:
            raise UsageError(
                f"{'--all' if every else '--json'} needs -o with a name: `-` is a page"
            )
        _print_page(project, runs or ["@latest"])
        return
    if every:
        written = _all(project, runs or [], output)
    else:
        written = [_page(project, runs or ["@latest"], output)]
    first = written[0]
    total = sum(each.bytes for each in written)
    pages = "" if not every else f", with {plural(len(written) - 1, 'page')}"
    reply(
        {"file": str(first.file), "pages": [str(each.file) for each in written], "bytes": total},
        as_json=as_json,
        note=f"wrote {first.file}{pages}: {size(total)}",
    )


def _print_page(project: "Project", runs: list[str]) -> None:
    from maverick.views.report.writing import page_bytes, page_text  # noqa: PLC0415 - loads jinja2

    store = project.open_store()
    checkpoints = [store.resolve(run) for run in runs]
    print_bytes([page_bytes(page_text(project.root, store, checkpoints, _scrub(project)))])


def _page(project: "Project", runs: list[str], output: str) -> "Written":
    from maverick.views.report.writing import write_page  # noqa: PLC0415 - loads jinja2

    if len(runs) > 1 and not output:
        raise UsageError("say with -o which file the page of several runs is to be")
    store = project.open_store()
    checkpoints = [store.resolve(run) for run in runs]
    file = Path(output or f"{checkpoints[0].run}.html")
    if output and os.path.isdir(file):  # noqa: PTH112 - unlike a path's own it takes any name
        file /= f"{checkpoints[0].run}.html"
    return write_page(project.root, store, checkpoints, file, _scrub(project))


def _all(project: "Project", runs: list[str], output: str) -> "list[Written]":
    from maverick.views.report.writing import write_all  # noqa: PLC0415 - as above

    if runs:
        raise UsageError("--all is of all runs: leave out their names")
    if not output:
        raise UsageError("say with -o which folder the pages are to be in")
    store = project.open_store()
    return write_all(project.root, store, whole_refs(store), Path(output), _scrub(project), warn)


def _scrub(project: "Project") -> "Callable[[Any], Any]":
    """What masks the project's secrets as they are now; those of then were masked when the run was
    recorded.
    """
    from maverick.dsl.processes.secrets import Scrubber  # noqa: PLC0415 - as above

    scrubber = Scrubber.of(project.config.secrets, project.environment)
    return scrubber.value if scrubber else lambda value: value
