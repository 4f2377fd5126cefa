"""What `show` prints: the page of a run, or one step of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from maverick.cli.here import this_project
from maverick.cli.run_text import RunText, output_lines
from maverick.cli.terminal.render import line_width, shell_word
from maverick.cli.terminal.streams import as_lines, print_json, print_out, print_value
from maverick.cli.typed.named import no_step, run_and_step
from maverick.views.page_loader import load_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maverick.checkpoints import Store
    from maverick.dsl.paths import StepPath
    from maverick.views.run_page import RunPage


def show(
    words: Sequence[str] = (), *, as_json: bool, unfold: bool = False, plain: bool = False
) -> None:
    """Print what *words*, `[RUN|REV] [STEP]`, name: without a word, the newest run."""
    project = this_project()
    store = project.open_store()
    checkpoint, step = run_and_step(store, words)
    folded = step is None and not as_json and not unfold
    page = load_page(str(project.root), store, checkpoint, folded=folded)
    if step is not None:
        _show_step(store, page, step, as_json=as_json, unfold=unfold, plain=plain)
    elif as_json:
        print_json(page.to_json())
    else:
        _show_run(page, unfold=unfold, plain=plain)


def _show_run(page: RunPage, *, unfold: bool, plain: bool) -> None:
    text = RunText(page, width=line_width(sys.stdout), plain=plain, unfold=unfold)
    print_out(as_lines(text.lines()))


def _show_step(
    store: Store, page: RunPage, step: StepPath, *, as_json: bool, unfold: bool, plain: bool
) -> None:
    from maverick.views import step_page  # noqa: PLC0415 - of a step only

    node = page.find(step)
    if node is None or node.row is None:
        if node is not None and not as_json:
            page.top = node
            _show_run(page, unfold=unfold, plain=plain)
            return
        raise no_step(page, step)
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
    text = RunText(page, width=line_width(sys.stdout), plain=plain, unfold=unfold)
    lines = [*text.step_lines(row, why, tries, step_page.source_of(page, row))]
    shown, left_out = output_lines(output, everything=unfold)
    if output is not None:
        lines += ["", "  output:"]
    print_out(as_lines(lines))
    print_value("".join(f"    {line}\n" for line in shown))
    if left_out:
        place = shell_word(f"{page.run}:steps.{row.path}.output")
        print_out(f"    ({left_out:,} more lines: --all, or maverick show {place})\n")
    if row.attempts:
        print_out(f"\nlogs: maverick logs {page.run} {shell_word(row.path)}\n")
