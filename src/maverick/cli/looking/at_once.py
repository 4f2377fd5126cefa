"""The lists of runs, and the newest run, as they are asked for most: answered without typer, whose
import takes as long as the rest, or longer.

A test holds that every byte is what typer's way prints.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from maverick.cli.answer import CommandAnswer
from maverick.cli.ending import run_guarded
from maverick.cli.terminal.streams import prepare_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWERED: Final = ("runs", "checkpoint list", "show")


def answer_at_once(arguments: Sequence[str]) -> None:
    """Print what *arguments* ask for, one of `ANSWERED`, and exit with its code."""
    prepare_streams()
    as_json = arguments[-1] == "--json"
    words = " ".join(arguments[:-1] if as_json else arguments)
    answer = CommandAnswer(list(arguments), ())
    sys.exit(run_guarded(partial(_answer, words, as_json=as_json), answer))


def _answer(words: str, *, as_json: bool) -> None:
    if words == "show":
        from maverick.cli.looking.shown import show  # noqa: PLC0415 - twice what the lists load

        show(as_json=as_json)
    else:
        from maverick.cli.looking import listed  # noqa: PLC0415

        (listed.list_runs if words == "runs" else listed.list_checkpoints)(as_json=as_json)
