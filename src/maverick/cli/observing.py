"""Who observes a run: the command itself, the progress display, the file of events."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from maverick.cli.answer import CommandAnswer
from maverick.cli.order import Order, way_to_show
from maverick.cli.terminal.streams import can_draw
from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.cli.terminal.display import Display
    from maverick.dsl.events import Event, Observer
    from maverick.runs.past import Past


class Observers:
    """Who observes a run. One that fails is told of, and left out from then on."""

    def __init__(self) -> None:
        self._by_failure: dict[str, Observer] = {}
        self.display: Display | None = None
        self.shows_prints = False
        """Whether one of them shows what actions print."""

    def add(self, failure: str, observer: "Observer") -> None:
        """Add *observer*; *failure* is what is told if it fails."""
        self._by_failure[failure] = observer

    def __call__(self, event: "Event") -> None:
        for failure, observer in list(self._by_failure.items()):
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001 - told, and the run goes on
                if self._by_failure.pop(failure, None) is not None:
                    from maverick.cli.here import warn_of  # noqa: PLC0415

                    warn_of(failure, error)

    def close(self) -> None:
        """Take the display away: what is printed from now on stands where it was."""
        if self.display is not None:
            self.display.close()

    def leave(self) -> None:
        """Leave a clean screen: the process ends at once."""
        if self.display is not None:
            self.display.leave()


@contextmanager
def observing(order: Order, answer: CommandAnswer) -> Iterator[Observers]:
    """Give who watches the run: the command itself, the progress display, the file of events."""
    way = way_to_show(
        order.progress,
        os.environ.get("MAVERICK_PROGRESS", ""),
        can_draw=can_draw(sys.stderr),
        plain=order.plain,
    )
    observers = Observers()
    observers.add("the run's name is not known", _remembering(answer))
    observers.shows_prints = not order.quiet
    with ExitStack() as stack:
        if order.events:
            observers.add("events are no longer written", _event_lines(order, answer, stack))
        if not order.quiet and sys.stderr is not None:  # It may be closed (`2>&-`).
            observers.add(
                "progress is no longer shown", _progress(way, order, answer, observers, stack)
            )
        if answer.job is not None:
            observers.add("GitHub is told less of what fails", answer.job.note_failure)
            stack.callback(answer.job.close_group)
        yield observers


def _progress(
    way: str, order: Order, answer: CommandAnswer, observers: Observers, stack: ExitStack
) -> "Observer":
    if way == "json":
        from maverick.cli.terminal.event_lines import err_as_events  # noqa: PLC0415 - few ask for it

        return stack.enter_context(err_as_events())
    if way == "lines":
        from maverick.cli.terminal.progress import Lines  # noqa: PLC0415

        lines = Lines(plain=order.plain, verbose=order.verbose)
        return answer.job.grouping(lines) if answer.job is not None else lines
    from maverick.cli.terminal.display import Display, stopping_cleanly  # noqa: PLC0415

    display = Display(plain=order.plain, verbose=order.verbose, look_back=_looking_back(answer))
    observers.display = display
    stack.callback(display.close)
    stack.enter_context(stopping_cleanly(display))
    return display


def _looking_back(answer: CommandAnswer) -> "Callable[[], Past | None]":
    """Give what tells how long the last run of the workflow took."""

    def look_back() -> "Past | None":
        from maverick.cli.here import this_project  # noqa: PLC0415 - of long runs on terminals only
        from maverick.runs.past import load_past  # noqa: PLC0415

        return load_past(this_project(), answer.workflow or "", answer.run or "")

    return look_back


def _remembering(answer: CommandAnswer) -> "Observer":
    def remember(event: "Event") -> None:
        if event.event in ("run_started", "run_resumed"):
            answer.run = event.message
            answer.workflow = str(event.data.get("workflow", answer.workflow))

    return remember


def _event_lines(order: Order, answer: CommandAnswer, stack: ExitStack) -> "Observer":
    """What writes the events: a start overwrites the file, a resumption appends to it."""
    from maverick.cli.terminal.event_lines import EventLines, empty, end_line  # noqa: PLC0415

    name = order.events
    if name == "-":
        return EventLines(answer.out or sys.stdout)
    try:
        file = Path(name).open("a", encoding="utf-8")  # noqa: SIM115 - as below
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
