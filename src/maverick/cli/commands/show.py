"""Show a run: its steps, what failed and why, what it cost.

Without a word it is the newest run. With STEP it is that step: why it ran, its attempts, what it
ran and what it gave. REV:PATH prints what is in a checkpoint, such as fly@latest:steps.plan.output.

A loop of more than 20 iterations is folded to counts; those that failed, run or took longest are
shown. Long lines are folded to the width of the terminal. --all shows what is left out. Times are
local.

Examples:
  maverick show
  maverick show 4jvx
  maverick show 4jvx work[2].implement
  maverick show fly@{1} --json
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import line_width
from maverick.cli.terminal.streams import as_lines, print_json, print_out, print_value
from maverick.cli.typed.named import run_and_step
from maverick.errors import NotFound
from maverick.visible import nearest, one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Store
    from maverick.dsl.paths import StepPath
    from maverick.views.run_page import RunPage


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN|REV] [STEP]", help="A run, and a step of it."),
    ] = None,
    *,
    unfold: Annotated[bool, typer.Option("--all", help="Show all iterations and lines.")] = False,
    as_json: AsJson = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print without colour.")] = False,
) -> None:
    given = words or []
    if len(given) == 1 and ":" in given[0]:
        from maverick.cli.commands import checkpoint_show  # noqa: PLC0415 - of a path only

        checkpoint_show.command(given[0], as_json=as_json)
        return
    from maverick.views.page_loader import load_page  # noqa: PLC0415 - beside the help

    project = this_project()
    store = project.open_store()
    checkpoint, step = run_and_step(store, given)
    folded = step is None and not as_json and not unfold
    page = load_page(str(project.root), store, checkpoint, folded=folded)
    if step is not None:
        _show_step(store, page, step, as_json=as_json, unfold=unfold, plain=plain)
    elif as_json:
        print_json(page.to_json())
    else:
        _show_run(page, unfold=unfold, plain=plain)


def _show_run(page: "RunPage", *, unfold: bool, plain: bool) -> None:
    from maverick.cli.run_text import RunText  # noqa: PLC0415 - as above

    text = RunText(page, width=line_width(sys.stdout), plain=plain, unfold=unfold)
    print_out(as_lines(text.lines()))


def _show_step(
    store: "Store", page: "RunPage", step: "StepPath", *, as_json: bool, unfold: bool, plain: bool
) -> None:
    from maverick.views import step_page  # noqa: PLC0415 - as above

    node = page.find(step)
    if node is None or node.row is None:
        if node is not None and not as_json:
            page.top = node
            _show_run(page, unfold=unfold, plain=plain)
            return
        known = [str(row.path) for row in page.top.rows()]
        raise NotFound(f"{page.run} has no step {one_line(step)}{nearest(step, known)}")
    row = node.row
    tries = step_page.tries_of(row, step_page.logs_of(store, page)(row.path))
    why = step_page.because(row)
    output = step_page.output_of(page, row)
    if as_json:
        print_json(
            {
                **row.to_json(),
                "output": output,
                "because": why,
                "tries": [attempt.to_json() for attempt in tries],
            }
        )
        return
    from maverick.cli.run_text import RunText, output_lines  # noqa: PLC0415 - as above

    text = RunText(page, width=line_width(sys.stdout), plain=plain, unfold=unfold)
    lines = [*text.step_lines(row, why, tries, step_page.source_of(page, row))]
    shown, left_out = output_lines(output, everything=unfold)
    if output is not None:
        lines += ["", "  output:"]
    print_out(as_lines(lines))
    print_value("".join(f"    {line}\n" for line in shown))
    place = f"{page.run}:steps.{row.path}.output"
    if left_out:
        print_out(f"    ({left_out:,} more lines: --all, or maverick show {place!r})\n")
    if row.attempts:
        print_out(f"\nlogs: maverick logs {page.run} {row.path}\n")
