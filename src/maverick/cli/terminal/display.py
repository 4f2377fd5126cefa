"""The live display of a run: what has ended scrolls by, what runs now stands below it.

It works in threads of its own, from the moment at which the first step has begun; nothing waits for
it but what is written to a terminal that does not take it. When it breaks, that is said once, and
progress goes on as lines.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.cli.terminal.board import Board
from maverick.cli.terminal.captured import Capture
from maverick.cli.terminal.progress import Lines, shown_output, sign_line
from maverick.cli.terminal.render import is_utf8
from maverick.cli.terminal.said import Said
from maverick.cli.terminal.screen import Screen, Terminal
from maverick.cli.terminal.streams import has_colour, warn, write_to
from maverick.visible import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from maverick.cli.terminal.painter import Painter
    from maverick.dsl.events import Event
    from maverick.runs.past import Past
    from maverick.visible import Shown

REDRAW_SECONDS: Final = 0.25
"""At least between two redraws: four a second."""
_FIRST_AFTER_SECONDS: Final = 1.0
"""How long a run goes on before what runs is drawn: shorter ones are told by their lines."""
_LOOK_BACK_AFTER_SECONDS: Final = 3.0
"""How long a run goes on before the last one is looked at: who waits shorter needs no estimate."""
_ENDS: Final = frozenset({"step_done", "step_failed", "step_recalled", "step_skipped"})


def _nothing() -> Past | None:
    return None


class Style(NamedTuple):
    """How lines look."""

    colour: bool = False
    utf8: bool = True
    verbose: bool = False

    def line(self, event: Event, where: str, width: int) -> Shown | None:
        """Give the line of *event* that scrolls by."""
        return sign_line(
            event,
            colour=self.colour,
            where=where,
            verbose=self.verbose,
            width=width,
            utf8=self.utf8,
        )

    def output(self, event: Event, text: str) -> str:
        """Give the line for *text*, which the step of *event* wrote."""
        return shown_output(event, text, "│" if self.utf8 else "|", colour=self.colour).strip()


class Live:
    """Turns events into what a screen shows. `tick` is to be called now and then, in one thread;
    events come from any. *clock* gives seconds since the epoch.
    """

    def __init__(
        self,
        screen: Screen,
        style: Style,
        *,
        clock: Callable[[], float] = time.time,
        look_back: Callable[[], Past | None] = _nothing,
    ) -> None:
        self.screen = screen
        self._style = style
        self._clock = clock
        self._look_back: Callable[[], Past | None] | None = look_back
        self._board = Board()
        self._said = Said()
        self._lock = threading.Lock()
        self._painter: Painter | None = None
        self._drawn_at = 0.0
        self._began_at = clock()
        self._ended: set[str] | None = set()
        """The steps that are over, until the last run has been looked at."""

    def __call__(self, event: Event) -> None:
        """Take an event; what has ended scrolls by with the next redraw."""
        with self._lock:
            where = self._board.iterations.text_around(event.step)
            self._take(event)
            said = self._said.lines(event) if event.type == "python" else []
        if event.event == "step_output" and not said:
            return
        lines = [self._style.output(event, text) for text in said]
        line = self._style.line(event, where, self.screen.size.columns - 1)
        if line is not None:
            lines.append(line)
        if lines:
            self.screen.add(lines)

    def note(self, event: Event) -> None:
        """Take an event that has been shown."""
        with self._lock:
            self._take(event)

    def _take(self, event: Event) -> None:
        self._board.take(event)
        if self._ended is not None and event.event in _ENDS:
            self._ended.add(event.step)

    def tick(self) -> None:
        """Draw, if it is time to and anything is to be seen anew."""
        now = self._clock()
        if 0 <= now - self._drawn_at < REDRAW_SECONDS:
            return
        if 0 <= now - (self._board.began or self._began_at) < _FIRST_AFTER_SECONDS:
            self.screen.redraw(())
            return
        self._estimate(now)
        with self._lock:
            frame = self._board.frame(now)
        if self._painter is None:
            from maverick.cli.terminal.painter import Painter  # noqa: PLC0415 - not before it is needed

            self._painter = Painter(colour=self._style.colour, utf8=self._style.utf8)
        size = self.screen.size
        if self.screen.redraw(self._painter.lines(frame, now, size.columns, size.rows)):
            self._drawn_at = now

    def _estimate(self, now: float) -> None:
        """Look at the last run, once."""
        if self._look_back is None or now - self._board.began < _LOOK_BACK_AFTER_SECONDS:
            return
        look_back, self._look_back = self._look_back, None
        past = look_back()
        with self._lock:
            ended, self._ended = self._ended or set(), None
            if past is not None:
                self._board.look_back(past, sum(past.steps.get(path, 0.0) for path in ended))


class Display:
    """Shows a run on the terminal that standard error is. An observer; threads may share it.

    With *captures* all that this process writes there meanwhile goes above what runs now.
    """

    def __init__(
        self,
        *,
        plain: bool = False,
        verbose: bool = False,
        captures: bool = True,
        look_back: Callable[[], Past | None] = _nothing,
    ) -> None:
        # As they are now: later they are what this display makes of them.
        self._stream = sys.stderr
        self._style = Style(has_colour(sys.stderr, plain=plain), is_utf8(sys.stderr), verbose)
        self._lines = Lines(plain=plain, verbose=verbose)
        self._captures = captures
        self._look_back = look_back
        self._live: Live | None = None
        self._capture: Capture | None = None
        self._descriptor = -1
        self._begun: list[Event] = []
        """What came before the first step."""
        self._state = "before"
        self._closing = threading.Event()
        self._lock = threading.RLock()

    def __call__(self, event: Event) -> None:
        if self._state == "before":
            self._show_first(event)
        if self._state == "live":
            try:
                self._take(event)
            except Exception as error:  # noqa: BLE001 - told, and progress goes on as lines
                self._fall_back(error)
        if self._state == "lines":
            self._lines(event)

    def note(self, event: Event) -> None:
        """Take an event that is not to be shown: it happened before anybody looked."""
        if self._live is not None:
            self._live.note(event)
        else:
            self._begun.append(event)

    def _take(self, event: Event) -> None:
        live = self._live
        if live is not None:
            live(event)

    def _show_first(self, event: Event) -> None:
        """Show what comes before the first step, as it comes; begin to work with that one."""
        with self._lock:
            if self._state != "before":
                return
            if event.event == "step_started":
                self._begin()
                return
            if event.event in {"run_started", "run_resumed"}:
                self._begun.append(event)
            line = self._style.line(event, "", Terminal(2).size().columns - 1)
            if line is not None:
                write_to(self._stream, shown(line, "\n"))

    def _begin(self) -> None:
        if self._captures:
            self._capture = Capture(self._pass_on)
            self._descriptor = self._capture.terminal
        else:
            self._descriptor = os.dup(2)
        screen = Screen(Terminal(self._descriptor))
        self._live = Live(screen, self._style, look_back=self._look_back)
        for event in self._begun:
            self._live.note(event)
        self._state = "live"
        threading.Thread(target=self._paint, name="display", daemon=True).start()

    def _pass_on(self, data: bytes) -> None:
        live = self._live
        if live is not None:
            live.screen.pass_on(data)
        else:
            os.write(self._descriptor, data)

    def _paint(self) -> None:
        try:
            while self._live is not None and not self._closing.wait(REDRAW_SECONDS):
                self._live.tick()
        except Exception as error:  # noqa: BLE001 - told, and progress goes on as lines
            self._fall_back(error)

    def _fall_back(self, error: Exception) -> None:
        with self._lock:
            if self._state != "live":
                return
            self._end()
            # A terminal that is gone shows no lines either.
            self._state = "closed" if isinstance(error, OSError) else "lines"
        if self._state == "lines":
            told = f"{type(error).__name__}: {error}"
            warn(f"the live display failed, progress goes on as lines: {told}")

    def _end(self) -> None:
        """Take away what runs now, and give the terminal back."""
        self._closing.set()
        live, self._live = self._live, None
        capture, self._capture = self._capture, None
        with suppress(OSError):
            if live is not None:
                live.screen.rest()
        if capture is not None:
            capture.end()
        elif self._descriptor >= 0:
            os.close(self._descriptor)

    def close(self) -> None:
        """End the display and leave a clean screen. What comes later is not shown."""
        with self._lock:
            if self._state == "live":
                self._end()
            self._state = "closed"

    def leave(self) -> None:
        """Leave a clean screen at once: the process is about to end."""
        live = self._live
        if live is not None:
            with suppress(OSError):
                live.screen.leave()

    def suspend(self) -> None:
        """Leave a clean screen until `go_on`."""
        live = self._live
        if live is not None:
            live.screen.rest()

    def go_on(self) -> None:
        """Draw again."""
        live = self._live
        if live is not None:
            live.screen.go_on()


@contextmanager
def stopping_cleanly(display: Display) -> Iterator[None]:
    """Clear the screen before Ctrl-Z stops this process, and draw again when it goes on."""
    before = signal.getsignal(signal.SIGTSTP)
    if before != signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        display.suspend()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here it goes on.
        signal.signal(signal.SIGTSTP, stop)
        display.go_on()

    signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
