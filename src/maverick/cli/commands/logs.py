"""Print what steps wrote while they ran.

Without STEP it is what all steps of the run wrote, in the order of the workflow; each line begins
with its step. Of each step it is the last attempt. The last mebibyte of each stream is kept. With
-f it goes on with what comes, until the step or the run ends.

Examples:
  maverick logs
  maverick logs 4jvx work[2].implement
  maverick logs 4jvx tests --attempt 1 --stream stderr
  maverick logs 4jvx plan --prompt
  maverick logs -f
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.streams import is_terminal, print_bytes, print_err, print_json, print_out
from maverick.cli.typed.inside import STREAMS
from maverick.cli.typed.named import no_step, run_and_step
from maverick.errors import NotFound, UsageError
from maverick.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.dsl.journal.logs import Logged
    from maverick.views.run_page import RunPage, StepRow


def command(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN] [STEP]", help="A run, and a step of it."),
    ] = None,
    *,
    attempt: Annotated[
        int, typer.Option("--attempt", metavar="N", help="The attempt; the last one by default.")
    ] = 0,
    stream: Annotated[
        str, typer.Option("--stream", metavar="both|stdout|stderr", help="Which stream.")
    ] = "both",
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Print what the agent was given instead.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what comes while the run goes on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    if stream not in ("both", *STREAMS):
        raise UsageError(f"--stream is both, stdout or stderr, not {stream!r}")
    if follow and (attempt or prompt or as_json):
        raise UsageError("-f goes on with what comes: it takes no --attempt, --prompt or --json")
    from maverick.views import step_page  # noqa: PLC0415 - beside the help
    from maverick.views.page_loader import load_page  # noqa: PLC0415 - as above

    project = this_project()
    store = project.open_store()
    checkpoint, step = run_and_step(store, words or [])
    page = load_page(str(project.root), store, checkpoint)
    streams = ("prompt",) if prompt else STREAMS if stream == "both" else (stream,)
    if follow and page.is_newest and page.status == "running":
        from maverick.cli.log_lines import follow_logs  # noqa: PLC0415 - of runs that go on

        context.obj.given = True
        follow_logs(store, page, step, streams)
        return
    rows = _rows(page, step)
    log_of = step_page.logs_of(store, page)
    chosen = [(row, _chosen(log_of(row.path), attempt)) for row in rows]
    known = [(row, logged) for row, logged in chosen if logged is not None]
    if attempt and not known:
        raise NotFound(f"no step has an attempt {attempt}; `maverick show RUN STEP` lists them")
    if as_json:
        print_json([_fields(row, logged) for row, logged in known])
        return
    said = False
    for row, logged in known:
        if any(logged.stream(name) for name in streams):  # type: ignore[arg-type]
            said = True
            _print(row, logged, streams, alone=len(rows) == 1)
    if not said:
        what = "no prompt is kept" if prompt else "nothing was written"
        print_err(f"{what}{f' by {one_line(step)}' if step else ''} ({page.run})")


def _rows(page: "RunPage", step: str | None) -> "list[StepRow]":
    if step is None:
        return list(page.top.rows())
    node = page.find(step)
    if node is None:
        raise no_step(page, step)
    return list(node.rows())


def _chosen(log: "list[Logged]", attempt: int) -> "Logged | None":
    if attempt:
        return next((one for one in log if one.number == attempt), None)
    return log[-1] if log else None


def _fields(row: "StepRow", logged: "Logged") -> dict[str, object]:
    texts = {name: _text(logged.stream(name)) for name in (*STREAMS, "prompt")}
    return {
        "path": str(row.path),
        "attempt": logged.number,
        **texts,
        "left_out": logged.left_out,
    }


def _print(row: "StepRow", logged: "Logged", streams: "Iterable[str]", *, alone: bool) -> None:
    wanted = set(streams)
    for name in sorted(wanted & logged.left_out.keys()):
        print_err(
            f"{one_line(row.path)}: the first {logged.left_out[name]:,} bytes of {name} are gone"
        )
    pieces = [(name, data) for name, data in logged.pieces if name in wanted]
    if not alone:
        for line in _lines(pieces):
            print_out(f"{one_line(row.path)} | {visible(line)}\n")
        return
    print_bytes(data for _, data in pieces)
    if pieces and not pieces[-1][1].endswith(b"\n") and is_terminal(sys.stdout):
        print_out("\n")


def _lines(pieces: "Iterable[tuple[str, bytes]]") -> "Iterator[str]":
    """Yield whole lines of each stream, in the order in which they ended."""
    rests: dict[str, bytes] = {}
    for name, data in pieces:
        *whole, rest = (rests.get(name, b"") + data).split(b"\n")
        rests[name] = rest
        yield from map(_text, whole)
    yield from (_text(rest) for rest in rests.values() if rest)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
