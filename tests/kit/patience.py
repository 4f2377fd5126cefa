"""How long a test waits for what has to happen: so long that only what never happens is given
up.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 300
"""For every wait of the suite. A machine that is busy with other work is not a failure; see
docs/testing.md.
"""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until *condition* holds; fail with *what* has not happened when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.002)


GROWING_SECONDS = (0.3, 3.0, 30.0, 300.0)
"""Timeouts to try one after the other where something has to be done before the timeout ends it.

The first does on an idle machine; each is ten times as long, so that a busy one is given time
without a test that waits for long where nothing is the matter.
"""


def asleep(pid: str) -> str:
    """Shell: wait until the process *pid*, as the shell knows it, is `sleep`, and no longer what
    became it.
    """
    return (
        f'until [ "$(cat "/proc/{pid}/comm" 2>/dev/null || ps -o comm= -p "{pid}")" = sleep ]; do '
        "sleep 0.01; done"
    )


ASLEEP = asleep("$!")
"""Shell, behind `sleep N &`: the same for it."""
