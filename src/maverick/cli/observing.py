"""Who observes a run: the command itself, the progress display, the file of events."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from maverick.cli.answer import CommandAnswer
from maverick.cli.order import Order
from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.dsl.events import Event, Observer


@contextmanager
def observing(order: Order, answer: CommandAnswer) -> "Iterator[Observer]":
    """Give who watches the run: the command itself, the progress display, the file of events.

    One that fails is told of, and left out from then on.
    """
    from maverick.cli.terminal.progress import Progress  # noqa: PLC0415

    observers: dict[str, Observer] = {"the run's name is not known": _remembering(answer)}
    if not order.quiet:
        observers["progress is no longer shown"] = Progress(plain=order.plain)
    with ExitStack() as stack:
        if order.events:
            observers["events are no longer written"] = _event_lines(order, answer, stack)

        def observe(event: "Event") -> None:
            for what, observer in list(observers.items()):
                try:
                    observer(event)
                except Exception as error:  # noqa: BLE001 - told, and the run goes on
                    if observers.pop(what, None) is not None:
                        from maverick.cli.here import warn_of  # noqa: PLC0415

                        warn_of(what, error)

        yield observe


def _remembering(answer: CommandAnswer) -> "Observer":
    def remember(event: "Event") -> None:
        if event.event in ("run_started", "run_resumed"):
            answer.run = event.message
            answer.workflow = str(event.data.get("workflow", answer.workflow))

    return remember


def _event_lines(order: Order, answer: CommandAnswer, stack: ExitStack) -> "Observer":
    """What writes the events: a start overwrites the file, a resumption appends to it."""
    from maverick.cli.terminal.progress import EventLines, empty, end_line  # noqa: PLC0415

    name = order.events
    if name == "-" and answer.out is not None:
        return EventLines(answer.out)
    try:
        file = Path(os.devnull if name == "-" else name).open("a", encoding="utf-8")  # noqa: SIM115 - as below
    except OSError as error:
        raise UsageError(f"cannot write events to {name}: {error.strerror}") from error
    is_start = order.resume is None

    def begin(file: IO[str]) -> None:
        (empty if is_start else end_line)(file)

    lines = EventLines(file, begin)
    stack.callback(lines.close)

    def observe(event: "Event") -> None:
        nonlocal is_start
        if "auto" in event.data:  # What `--resume=auto` does; the first event says it.
            is_start = event.data["auto"] == "start"
        lines(event)

    return observe
