"""Watch a run that another process executes.

It shows what `maverick run` shows there: what has ended scrolls by, and below it stands what runs
now; in a pipe there are lines. It ends with the run, with the run's exit code. Ctrl-C ends the
watching, and the run goes on. Without RUN it is the newest run that is running.

Examples:
  maverick watch
  maverick watch 4jvx
  maverick watch fly@{0} --progress lines
"""

import os
import signal
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from maverick.cli.here import this_project
from maverick.cli.order import EXIT_CODES, way_to_show
from maverick.cli.terminal.streams import can_draw, complain, print_err
from maverick.errors import NotFound
from maverick.visible import duration, last_states, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from maverick.checkpoints import Ref, Store
    from maverick.dsl.events import Observer
    from maverick.project import Project
    from maverick.runs.past import Past
    from maverick.views.following import Follower, Happening

_LOOK_EVERY_SECONDS: Final = 0.25
_FIRST_CHARACTERS: Final = 500
"""Shown of what a step wrote before anybody watched."""


def command(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The run to watch.", show_default=False)
    ] = "",
    *,
    progress: Annotated[
        str,
        typer.Option(
            metavar="auto|tree|lines|json",
            help="How to show what runs. The default is MAVERICK_PROGRESS, else auto.",
        ),
    ] = "",
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Also show skipped steps, and those that are made of steps."
        ),
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Show lines without colour.")] = False,
) -> None:
    way = way_to_show(
        progress,
        os.environ.get("MAVERICK_PROGRESS", ""),
        can_draw=can_draw(sys.stderr),
        plain=plain,
    )
    project = this_project()
    store = project.open_store()
    ref = store.resolve_run(run) if run else _newest_running(store, str(project.root))
    from maverick.views.following import Follower  # noqa: PLC0415 - beside the help

    follower = Follower(store, ref, str(project.root))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            observe, note = _watcher(way, follower, project, stack, verbose=verbose, plain=plain)
            _follow(follower, observe, note)
    except KeyboardInterrupt:
        context.obj.given = True
        print_err(f"{follower.run} goes on; watch it again with")
        print_err(f"maverick watch {follower.run}")
        raise typer.Exit(130) from None
    context.obj.given = True
    raise typer.Exit(_report(follower))


def _newest_running(store: "Store", root: str) -> "Ref":
    """Give the newest run that is running.

    Raises:
        NotFound: There is none; the message says what there is.
    """
    from maverick.runs.listing import status_of  # noqa: PLC0415 - beside the help

    refs = store.refs([])
    running = next((ref for ref in refs if status_of(store, ref) == "running"), None)
    if running is not None:
        return running
    if not refs:
        raise NotFound(f"nothing runs in {root}: there is no run yet")
    newest = refs[0]
    raise NotFound(
        f"nothing runs in {root}; the newest run, {newest.run}, is {status_of(store, newest)}: "
        f"`maverick show {newest.run}`"
    )


def _watcher(
    way: str,
    follower: "Follower",
    project: "Project",
    stack: ExitStack,
    *,
    verbose: bool,
    plain: bool,
) -> "tuple[Observer, Observer]":
    """Give who is told of what happens, and who of what happened before."""
    from maverick.dsl.events import ignore  # noqa: PLC0415 - beside the help

    if sys.stderr is None:  # Closed by the caller (`2>&-`): the exit code says the rest.
        return ignore, ignore
    if way == "json":
        from maverick.cli.terminal.event_lines import EventLines  # noqa: PLC0415 - of this way only

        return EventLines(sys.stderr), ignore
    if way == "lines":
        from maverick.cli.terminal.progress import Lines  # noqa: PLC0415 - as above

        return Lines(plain=plain, verbose=verbose), ignore
    from maverick.cli.terminal.display import Display, stopping_cleanly  # noqa: PLC0415 - as above

    display = Display(
        plain=plain,
        verbose=verbose,
        captures=False,
        look_back=_looking_back(follower, project),
    )
    stack.callback(display.close)
    stack.enter_context(stopping_cleanly(display))
    return display, display.note


def _looking_back(follower: "Follower", project: "Project") -> "Callable[[], Past | None]":
    def look_back() -> "Past | None":
        from maverick.runs.past import load_past  # noqa: PLC0415 - of long runs only

        return load_past(project, follower.ref.group, follower.run)

    return look_back


def _follow(follower: "Follower", observe: "Observer", note: "Observer") -> None:
    """Tell what happens until the run is over."""
    began, *before = follower.begin()
    observe(began)
    for event in before:
        note(event)
    is_first = True
    telling = _Telling(observe)
    while True:
        telling.tell(follower.poll(), cut=is_first)
        if follower.is_over:
            return
        is_first = False
        time.sleep(_LOOK_EVERY_SECONDS)


class _Telling:
    """Tells an observer of what happens; what is written as text."""

    def __init__(self, observe: "Observer") -> None:
        self._observe = observe
        self._decoders: dict[str, Callable[[str, bytes], None]] = {}

    def tell(self, happenings: "Iterable[Happening]", *, cut: bool) -> None:
        """Tell of *happenings*; with *cut* only the end of what is written."""
        from maverick.dsl.events import Event  # noqa: PLC0415 - beside the help

        for happening in happenings:
            if isinstance(happening, Event):
                self._decoders.pop(happening.step, None)
                self._observe(happening)
            elif happening.piece.stream != "prompt":
                data = happening.piece.data
                if cut:
                    data = data[-_FIRST_CHARACTERS:].partition(b"\n")[2] or data[-80:]
                if happening.step not in self._decoders:
                    self._decoders[happening.step] = self._decoder(happening.step, happening.type)
                self._decoders[happening.step](happening.piece.stream, data)

    def _decoder(self, step: str, kind: str) -> "Callable[[str, bytes], None]":
        from maverick.dsl.events import Decoding, Event  # noqa: PLC0415 - beside the help

        def tell(stream: str, text: str) -> None:
            data: dict[str, object] = {"stream": stream, "text": text}
            self._observe(Event(event="step_output", step=step, type=kind, data=data))

        return Decoding(tell)


def _report(follower: "Follower") -> int:
    """Say what the run came to, and give its exit code."""
    page = follower.page
    took = duration(page.seconds)
    if follower.status == "done":
        print_err(f"{page.run} done in {took}")
        for notice in page.notices:
            print_err(f"    note  {last_states(notice)}")
        return EXIT_CODES["done"]
    if page.error:
        complain(last_states(page.error))
    print_err(f"{page.run} {follower.status} after {took}; resume it with")
    print_err(one_line(f"maverick resume {page.run}"))
    return 13 if page.waiting else EXIT_CODES[follower.status]
