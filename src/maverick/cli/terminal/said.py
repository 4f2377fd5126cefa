"""What steps write, as whole lines: of a flood in part, of a line that is painted again its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maverick.visible import last_states

if TYPE_CHECKING:
    from maverick.dsl.events import Event

LONGEST_LINE: Final = 2000
"""In characters; the rest of a line is left out."""
MOST_LINES: Final = 1000
"""Shown of what comes at once, in one event; no person reads more."""
_ENDS: Final = frozenset({"step_done", "step_failed", "step_retried"})


class Said:
    """Makes whole lines of what steps write. It keeps no more than the last line of each stream."""

    def __init__(self) -> None:
        self._unended: dict[str, dict[str, str]] = {}

    def lines(self, event: Event) -> list[str]:
        """Give the lines that end with *event*: a last one without an end, once the attempt has."""
        if event.event == "step_output":
            return self._whole_lines(event)
        if event.event in _ENDS and event.step in self._unended:
            rests = map(last_states, self._unended.pop(event.step).values())
            return [_cut(line) for line in rests if line.strip()]
        return []

    def _whole_lines(self, event: Event) -> list[str]:
        streams = self._unended.setdefault(event.step, {})
        stream = str(event.data.get("stream", ""))
        first, *others = str(event.data.get("text", "")).split("\n")
        lines = [streams.pop(stream, "") + first, *others]
        if rest := lines.pop():
            # Or the end of the line, if \n comes next.
            repainted = "\r" if rest.endswith("\r") else ""
            streams[stream] = last_states(rest)[: LONGEST_LINE + 1] + repainted
        whole = [_cut(line) for line in map(last_states, lines) if line.strip()]
        if len(whole) > MOST_LINES:
            whole[MOST_LINES:] = [f"({len(whole) - MOST_LINES:,} more lines)"]
        return whole


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "…"
