"""What happens in a run, as records for whoever watches: the progress display, an events file, a
test.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind = Literal[
    "run_started",
    "run_resumed",
    "step_started",
    "step_output",
    "step_retried",
    "step_done",
    "step_failed",
    "step_skipped",
    "step_recalled",
    "iteration_started",
    "iteration_ended",
    "checkpoint_saved",
    "notice",
    "run_finished",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `time` is seconds since the epoch; `data` holds values of JSON."""

    event: Kind
    step: str = ""
    type: str = ""
    time: float = field(default_factory=time.time)
    seconds: float | None = None
    message: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


Observer: TypeAlias = Callable[[Event], None]
"""Called from whichever thread the event happens in; must not block for long."""


class Decoding:
    r"""Tells *tell* (stream, text) what bytes say, also where a character comes in two pieces; bad
    bytes as `\xNN`.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def __call__(self, stream: str, data: bytes) -> None:
        """Take the next bytes of *stream*."""
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")(
                "backslashreplace"
            )
        if text := decoder.decode(data):
            self._tell(stream, text)


def guarded(observe: Observer) -> Observer:
    """Give an observer whose exceptions end nothing: the first is logged (`maverick.events`), it
    goes on.
    """
    told = False

    def observe_guarded(event: Event) -> None:
        nonlocal told
        try:
            observe(event)
        except Exception:
            if not told:
                told = True
                import logging  # noqa: PLC0415 - nearly never needed

                logging.getLogger("maverick.events").exception(
                    "what watches the run failed at %s", event.event
                )

    return observe_guarded


def ignore(_event: Event) -> None:
    """Watch nothing."""
