"""The lists of runs as they are asked for most, answered without typer, whose import takes longer
than all the rest.

A test holds that every byte is what typer's way prints.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from maverick.cli.answer import CommandAnswer
from maverick.cli.ending import run_guarded
from maverick.cli.lists.listed import list_checkpoints, list_runs
from maverick.cli.terminal.streams import prepare_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LISTS: Final[Mapping[str, Callable[..., None]]] = {
    "runs": list_runs,
    "checkpoint list": list_checkpoints,
}


def answer_list(arguments: Sequence[str]) -> None:
    """Print the list that *arguments* ask for, and exit with its code."""
    prepare_streams()
    as_json = arguments[-1] == "--json"
    words = " ".join(arguments[:-1] if as_json else arguments)
    answer = CommandAnswer(list(arguments), ())
    sys.exit(run_guarded(partial(LISTS[words], as_json=as_json), answer))
