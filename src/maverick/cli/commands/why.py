"""Say what became of each step in the run's last execution, and why.

A step ran for the first time, ran again, was recalled from what the run had recorded, or was
skipped. Of one that ran again it names what changed, with both values, or the step before it that
ran. Of a run's first execution it says how many steps ran, unless a STEP is named.

Examples:
  maverick why
  maverick why 4jvx train
  maverick why @{1} --json
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import line_width, plural
from maverick.cli.terminal.streams import as_lines
from maverick.cli.typed.named import no_step, run_and_step

if TYPE_CHECKING:
    from maverick.views.run_page import RunPage


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN] [STEP]", help="A run, and a step of it."),
    ] = None,
    *,
    unfold: Annotated[
        bool, typer.Option("--all", help="Show each step, also of a run's first execution.")
    ] = False,
    as_json: AsJson = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print without colour.")] = False,
) -> None:
    from maverick.views import step_page  # noqa: PLC0415 - beside the help
    from maverick.views.page_loader import load_page  # noqa: PLC0415 - as above

    project = this_project()
    store = project.open_store()
    checkpoint, step = run_and_step(store, words or [])
    page = load_page(str(project.root), store, checkpoint)
    node = page.top if step is None else page.find(step)
    if node is None:
        raise no_step(page, step or "")
    reasons = [*step_page.reasons(page, node)]
    reply(
        reasons,
        as_json=as_json,
        text=_text(page, reasons, plain=plain, unfold=unfold or step is not None),
        note="" if reasons else f"nothing has run yet ({page.run})",
    )


def _text(page: "RunPage", reasons: list[dict[str, object]], *, plain: bool, unfold: bool) -> str:
    from maverick.cli.run_text import RunText  # noqa: PLC0415 - as above
    from maverick.dsl.engine.reasons import NOT_RUN  # noqa: PLC0415 - as above

    text = RunText(page, width=line_width(sys.stdout), plain=plain, unfold=unfold)
    told, head = reasons, []
    if not unfold and len(page.executions) <= 1:
        told = [each for each in reasons if each["because"] != NOT_RUN]
        if ran := len(reasons) - len(told):
            head = [f"first execution: {plural(ran, 'step')} ran (--all shows each)"]
    lines = (line for reason in told for line in text.reason_lines(reason))
    return as_lines([*head, *lines])
