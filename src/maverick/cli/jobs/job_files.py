"""The files by which a job of GitHub Actions takes what a program has for it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maverick.cli.terminal.render import inline_text
from maverick.cli.terminal.streams import warn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.workflow.outcome import Outcome
    from maverick.views.run_page import RunPage

SUMMARY: Final = "GITHUB_STEP_SUMMARY"
OUTPUTS: Final = "GITHUB_OUTPUT"
MOST_BYTES: Final = 1 << 20
"""Of a summary, and of an output: GitHub refuses more."""


def write_outputs(outcome: Outcome, environment: Mapping[str, str]) -> None:
    """Give the job `run`, `status`, and of a run that is done `output`."""
    outputs = {"run": outcome.run, "status": str(outcome.status)}
    if outcome.status == "done":
        outputs["output"] = inline_text(outcome.output)
    if len(outputs.get("output", "").encode("utf-8", "backslashreplace")) > MOST_BYTES:
        warn(f"the output has more than {MOST_BYTES:,} bytes, and is not in {OUTPUTS}")
        del outputs["output"]
    _append(OUTPUTS, "".join(_heredoc(*output) for output in outputs.items()), environment)


def _heredoc(name: str, text: str) -> str:
    """Give an output in the form that may have several lines; its end cannot be guessed."""
    end = f"maverick-{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{text}\n{end}\n"


def write_summary(page: RunPage, resume: str | None, environment: Mapping[str, str]) -> None:
    """Add what the run came to, to the summary of the job's step, as long as there is room."""
    if not environment.get(SUMMARY):
        return
    from maverick.cli.jobs.job_summary import summaries  # noqa: PLC0415 - in jobs only

    room = MOST_BYTES - _size(environment[SUMMARY])
    for text in summaries(page, resume):
        if len(text.encode("utf-8", "backslashreplace")) + 1 <= room:
            _append(SUMMARY, text, environment)
            return
    warn(f"there is no room for the run in {SUMMARY}, which may have {MOST_BYTES:,} bytes")


def _size(name: str) -> int:
    try:
        return os.path.getsize(name)  # noqa: PTH202 - a text
    except OSError:
        return 0


def _append(variable: str, text: str, environment: Mapping[str, str]) -> None:
    """Add *text* to the file that *variable* names, on lines of its own."""
    if not (name := environment.get(variable)):
        return
    try:
        with Path(name).open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else f"\n{text}"
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        warn(f"cannot write to {variable} ({name}): {error.strerror}")
