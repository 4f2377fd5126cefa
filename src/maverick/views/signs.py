"""The sign of each status, wherever one is drawn in Unicode: one table for terminals and pages.

`report/pages/base.js` repeats that of steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP_SIGNS: Final[Mapping[str, str]] = {
    "done": "✓",
    "failed": "✗",
    "skipped": "-",
    "running": "▸",
    "waiting": "?",
    "pending": "·",
}
RUN_SIGNS: Final[Mapping[str, str]] = {**STEP_SIGNS, "paused": "‖", "killed": "✗"}
