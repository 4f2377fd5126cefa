"""What stands on a terminal while a run goes on, whatever the terminal, the steps and the user do."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.emulator import AtTerminal, Emulator
from kit.program import Program
from maverick.cli.terminal.board import KEPT_CHARACTERS, Board
from maverick.cli.terminal.display import Live, Style
from maverick.cli.terminal.interrupt import Signals
from maverick.cli.terminal.progress import share
from maverick.cli.terminal.screen import Screen, Size, Terminal
from maverick.dsl.events import Event
from maverick.dsl.processes.stop_request import Stop
from maverick.runs.past import Past

STATUS = re.compile(r"^   [0-9]+:[0-9:]+")


class Emulated(Terminal):
    """An emulated terminal, as a screen wants it."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(-1)
        self.emulator = emulator
        self.writes = 0

    def write(self, text: str) -> None:
        self.writes += 1
        self.emulator.feed(text.replace("\n", "\r\n"))  # As the system's driver does.

    def size(self) -> Size:
        return Size(self.emulator.columns, self.emulator.rows)

    def is_ours(self) -> bool:
        return True


class Watched:
    """A display on an emulated terminal, with a clock that the test moves."""

    def __init__(self, columns: int = 80, rows: int = 24, *, reflows: bool = True) -> None:
        self.emulator = Emulator(columns, rows, reflows=reflows)
        self.terminal = Emulated(self.emulator)
        self.screen = Screen(self.terminal)
        self.now = 1000.0
        self.past: Past | None = None
        self.live = Live(self.screen, Style(), clock=lambda: self.now, look_back=lambda: self.past)
        self.tell("run_started", message="flow-1")

    def tell(
        self, kind: str, step: str = "", kind_of_step: str = "shell", **fields: object
    ) -> None:
        """Let something happen now."""
        self.live(Event(event=kind, step=step, type=kind_of_step, time=self.now, **fields))  # type: ignore[arg-type]

    def write(self, step: str, text: str, kind_of_step: str = "shell") -> None:
        """Let *step* write *text*."""
        self.tell("step_output", step, kind_of_step, data={"stream": "stdout", "text": text})

    def wait(self, seconds: float) -> None:
        """Let time pass, in which the display draws as often as it likes."""
        for _ in range(round(seconds * 20)):
            self.now = round(self.now + 0.05, 2)
            self.live.tick()

    @property
    def block(self) -> list[str]:
        """What runs now, as it stands on the screen below what has scrolled by."""
        lines = self.emulator.screen
        begin = max((n for n, line in enumerate(lines) if line[:1] not in {"", " "}), default=-1)
        return [line for line in lines[begin + 1 :] if line]


# --- what is to be seen ---------------------------------------------------------------------------


def test_what_has_ended_scrolls_by_and_what_runs_stands_below() -> None:
    watched = Watched()
    watched.tell("step_started", "first")
    watched.wait(2)
    watched.tell("step_done", "first", seconds=2.0)
    about: dict[str, object] = {"number": 2, "count": 3, "name": "Phase 2: Export"}
    watched.tell("iteration_started", "work[1]", "loop", data=about)
    watched.tell("step_started", "work[1].fix")
    watched.write("work[1].fix", "one\nWriting ex")
    watched.write("work[1].fix", "port.py\n")
    watched.wait(21)

    assert [
        "▶ flow-1",
        "✓ first  2.0 s",
        "",
        " ▸ work[1].fix  2/3 Phase 2: Export  0:21  │ Writing export.py",
        "   0:23 · 1 done",
    ] == watched.emulator.screen

    again: dict[str, object] = {"attempt": 1, "of": 3, "wait": 0}
    watched.tell("step_retried", "work[1].fix", message="exit code 1", data=again)
    watched.wait(1)
    watched.tell("step_failed", "work[1].fix", seconds=22.0, message="exit code 2: no\nmore")
    watched.tell("iteration_ended", "work[1]", "loop")
    watched.wait(1)

    assert [
        "↻ work[1].fix  2/3 Phase 2: Export  attempt 1 of 3 failed: exit code 1",
        "✗ work[1].fix  2/3 Phase 2: Export  22.0 s  exit code 2: no",
        "",
        "   0:25 · 1 done · 1 failed",
    ] == watched.emulator.screen[2:]


def test_the_attempt_and_a_failure_between_attempts_are_shown() -> None:
    watched = Watched()
    watched.tell("step_started", "a")
    data: dict[str, object] = {"attempt": 1, "of": 3, "wait": 30.0}
    watched.tell("step_retried", "a", message="exit code 7", data=data)
    watched.wait(2)

    assert [" ▸ a  0:02  attempt 2/3  │ exit code 7", "   0:02"] == watched.block


def test_a_run_that_takes_no_second_is_told_by_its_lines_alone() -> None:
    watched = Watched()
    watched.tell("step_started", "a")
    watched.wait(0.9)
    watched.tell("step_done", "a", seconds=0.9)
    watched.screen.clear()

    assert ["▶ flow-1", "✓ a  900 ms"] == watched.emulator.all
    assert 0 == watched.screen.redraws - 1  # Its lines came at once.


def test_what_an_action_prints_goes_above_what_runs() -> None:
    watched = Watched()
    watched.tell("step_started", "act", "python")
    watched.wait(1)
    watched.write("act", "loading\nhalf a l", "python")
    watched.wait(1)
    watched.screen.pass_on(b"from a child\x1b[2J\n\x1b[31mred\x1b[0m\nhalf")
    watched.wait(1)

    assert [
        "▶ flow-1",
        "│ act  loading",
        "from a child\\x1b[2J",
        "red",
        "",
        " ▸ act  0:03  │ half a l",
        "   0:03",
    ] == watched.emulator.screen


# --- how long yet ---------------------------------------------------------------------------------


def test_the_estimate_is_made_of_the_last_run() -> None:
    """What is over and what is half done counts as it took then, side by side as then."""
    watched = Watched()
    watched.past = Past(60.0, {"a": 30.0, "b": 60.0, "c": 30.0})  # 120 s of work, two at a time
    watched.tell("step_recalled", "a")
    watched.tell("step_started", "b")
    watched.wait(10)

    # 30 s and 10 s of 120 s are over, that is a third.
    assert "   0:10 · about 0:40 left · 1 recalled" == watched.block[-1]

    watched.wait(120)  # It takes longer than then, so half of the work is left at least.

    assert "   2:10 · about 0:15 left · 1 recalled" == watched.block[-1]


def test_a_run_without_a_past_has_no_estimate() -> None:
    watched = Watched()
    watched.tell("step_started", "a")
    watched.wait(10)

    assert "   0:10" == watched.block[-1]


# --- whatever the terminal ------------------------------------------------------------------------

NAMES = ["short", "漢字" * 30, "e\u0301" * 50, "x" * 200, "👨\u200d👩\u200d👧 family"]


def _forty(watched: Watched) -> None:
    for number in range(40):
        about: dict[str, object] = {"number": number + 1, "count": 40, "name": NAMES[number % 5]}
        watched.tell("iteration_started", f"work[{number}]", "loop", data=about)
        watched.tell("step_started", f"work[{number}].implement_what_is_asked")
        watched.write(f"work[{number}].implement_what_is_asked", f"{NAMES[number % 5]}\n")


@pytest.mark.parametrize(
    ("columns", "rows"),
    list(itertools.product([1, 2, 5, 20, 60, 100, 160], [1, 2, 3, 4, 5, 8, 24, 60])),
)
def test_the_block_is_never_higher_or_wider_than_the_terminal(columns: int, rows: int) -> None:
    """Forty steps are folded to what fits, and none is counted twice."""
    watched = Watched(columns, rows)
    _forty(watched)
    watched.wait(2)
    block = watched.block

    assert len(block) <= max(rows - 1, 1)
    assert not any(line.goes_on for line in watched.emulator.lines)
    if columns >= 20:
        steps = [line for line in block if line.startswith(" ▸")]
        more = [int(line.split()[1]) for line in block if line.strip().startswith("and ")]
        assert 40 == len(steps) + sum(more) or rows < 3
        assert STATUS.search(block[-1])


def test_forty_steps_leave_room_for_what_scrolls_by() -> None:
    watched = Watched(80, 24)
    _forty(watched)
    watched.wait(2)

    assert "   and 28 more" == watched.block[-2]


@pytest.mark.parametrize("reflows", [True, False], ids=["reflowing", "cutting"])
@pytest.mark.parametrize("steps", [1, 40])
def test_a_terminal_that_is_resized_shows_one_block_and_every_line_once(
    steps: int, reflows: bool
) -> None:
    """Also while it shrinks: a terminal breaks the lines that are there anew, or cuts them off."""
    watched = Watched(100, 24, reflows=reflows)
    names = [f"step_{number}" for number in range(60)]
    if steps == 40:
        _forty(watched)
    else:
        watched.tell("step_started", "a_step_with_quite_a_long_name")
        watched.write("a_step_with_quite_a_long_name", "and it has a lot to say " * 10)
    sizes = [
        *((width, 24) for width in range(98, 58, -2)),
        *((60, height) for height in range(23, 5, -1)),
        *((width, 6) for width in range(57, 20, -3)),
        (20, 24),
        (100, 24),
        (60, 10),
        (160, 50),
    ]
    for number, (columns, rows) in enumerate(sizes):
        watched.tell("step_done", names[number], seconds=1.0)
        watched.wait(0.3 if number % 3 else 1.3)
        watched.emulator.resize(columns, rows)
    watched.wait(1)

    assert [f"✓ {name}  1.0 s" for name in names[: len(sizes)]] == [
        line for line in watched.emulator.written if line.startswith("✓")
    ]
    assert 1 == sum(bool(STATUS.search(line)) for line in watched.emulator.all)
    assert (2 if steps == 1 else 27) == len(watched.block)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=6),
    st.integers(0, 100),
    st.randoms(use_true_random=False),
)
def test_parts_of_a_line_share_the_room_that_is_there(
    wanted: list[int], room: int, random: Random
) -> None:
    order = list(range(len(wanted)))
    random.shuffle(order)
    given = share(wanted, [min(size, 12) for size in wanted], room, order)

    assert sum(given) <= room
    assert all(0 <= got <= size for got, size in zip(given, wanted, strict=True))
    assert given == wanted or sum(wanted) > room


# --- however much is written ----------------------------------------------------------------------


def test_a_flood_makes_four_redraws_a_second_and_is_not_kept() -> None:
    """A step writes 100,000 lines a second; the display looks whenever it likes."""
    watched = Watched()
    watched.tell("step_started", "flood")
    watched.wait(1)
    before, writes = watched.screen.redraws, watched.terminal.writes
    for second in range(3):
        for piece in range(1000):
            text = "".join(f"line {second} {piece} {line}\n" for line in range(100))
            watched.write("flood", text)
            watched.now += 0.001
            watched.live.tick()

    assert 10 <= watched.screen.redraws - before <= 12
    assert watched.terminal.writes - writes <= 12
    assert " ▸ flood  0:03  │ line 2 " in watched.block[0]
    assert len(_kept(watched.live._board)) <= KEPT_CHARACTERS


def _kept(board: Board) -> str:
    return "".join(running.tail for running in board._running.values())


def test_lines_that_nobody_draws_do_not_pile_up() -> None:
    """A terminal that is paused takes nothing, while steps end."""
    watched = Watched()
    for number in range(10_000):
        watched.tell("step_done", f"step_{number}", seconds=1.0)

    assert len(watched.screen._pending) <= 2000

    watched.wait(1)
    watched.screen.clear()
    assert "(8,001 more lines)" == watched.emulator.all[0]
    assert "✓ step_9999  1.0 s" == watched.emulator.all[-1]


def test_a_line_without_an_end_does_not_pile_up() -> None:
    watched = Watched()
    for _ in range(1000):
        watched.screen.pass_on(b"x" * 1000)

    assert len(watched.screen._unended) <= 4000


@pytest.mark.parametrize("kind", ["shell", "python"])
def test_a_line_that_is_painted_again_is_shown_as_it_is_now(kind: str) -> None:
    watched = Watched()
    watched.tell("step_started", "a", kind)
    for percent in range(0, 100, 10):
        watched.write("a", f"\r{percent} %", kind)
    watched.wait(2)

    assert " ▸ a  0:02  │ 90 %" == watched.block[0]
    assert not any(line.startswith("│") for line in watched.emulator.all)


# --- the real program -----------------------------------------------------------------------------

SLOW = "while [ ! -e go ]; do echo waiting; sleep 0.05; done"


def _at(program: Program, *args: str, **options: object) -> AtTerminal:
    command = [sys.executable, "-m", "maverick", *args]
    return AtTerminal(command, cwd=program.root, env=program.environment, **options)  # type: ignore[arg-type]


def test_a_run_on_a_terminal(program: Program) -> None:
    program.flow(f"""
    - {{name: first, type: shell, run: "true"}}
    - {{name: slow, type: shell, run: "{SLOW}"}}
    """)
    out = program.root / "out.txt"

    with _at(program, "run", "flow.yaml", "--json", out=out) as terminal:
        terminal.wait_for(" ▸ slow  0:01  │ waiting")
        terminal.resize(30, 12)
        terminal.wait_for(" ▸ slow  0:01  │ waiting")
        (program.root / "go").touch()
        code = terminal.end()

    run, first, slow, done = filter(None, terminal.emulator.written)
    assert 0 == code
    assert run.startswith("▶ flow-")
    assert first.startswith("✓ first  ")
    assert slow.startswith("✓ slow  ")
    assert " done in " in done
    assert '"status": "done"' in out.read_text()
    assert terminal.emulator.breaks


def test_ctrl_c_leaves_a_clean_screen_and_the_command_that_resumes(program: Program) -> None:
    program.flow(f'- {{name: slow, type: shell, run: "{SLOW}"}}')

    with _at(program, "run", "flow.yaml", columns=100) as terminal:
        terminal.wait_for(" ▸ slow")
        terminal.type("\x03")
        code = terminal.end()

    assert 130 == code
    assert not any(STATUS.search(line) or "▸" in line for line in terminal.emulator.all)
    assert terminal.emulator.all[-1].startswith("maverick run flow.yaml --resume=flow-")
    assert terminal.emulator.breaks


def test_the_third_signal_leaves_a_clean_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the process in the middle of whatever it does."""
    watched = Watched()
    watched.tell("step_started", "a")
    watched.wait(2)
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    clock = itertools.count()
    signals = Signals(Stop(), lambda: float(next(clock)), leave=watched.screen.leave)
    for _ in range(3):
        signals.handle(signal.SIGINT, None)
        signals.announce(lambda _text: None)

    assert [130] == left
    assert ["▶ flow-1"] == watched.emulator.all


def test_ctrl_z_leaves_a_clean_screen_and_the_display_comes_back(program: Program) -> None:
    program.flow(f'- {{name: slow, type: shell, run: "{SLOW}"}}')
    shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"]

    with AtTerminal(shell, cwd=program.root, env={**program.environment, "PS1": "$ "}) as terminal:
        terminal.wait_for("$")
        terminal.type(f"{sys.executable} -m maverick run flow.yaml\n")
        terminal.wait_for(" ▸ slow")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        stopped = terminal.emulator.screen
        terminal.type("fg\n")
        terminal.wait_for(" ▸ slow")
        (program.root / "go").touch()
        terminal.wait_for(" done in ")
        terminal.type("exit\n")
        terminal.end()

    assert not any("▸" in line or STATUS.search(line) for line in stopped)
    assert not any("▸" in line or STATUS.search(line) for line in terminal.emulator.all)


def test_whatever_an_action_writes_to_the_terminal_tears_nothing(program: Program) -> None:
    """By Python's streams, by the descriptors, by a program that it starts."""
    program.file(
        "acts.py",
        """
        import os, pathlib, subprocess, sys, time

        def talk():
            for number in range(20):
                print("printed", number)
                print("complained", number, file=sys.stderr)
                os.write(1, f"written {number}\\n".encode())
                os.write(2, f"said {number}\\n".encode())
                subprocess.run(["echo", f"spoken {number}"])
                time.sleep(0.1)
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
        """,
    )
    program.flow("- {name: talks, type: python, action: 'acts:talk'}")

    with _at(program, "run", "flow.yaml", "--quiet", rows=50) as quiet:
        (program.root / "go").touch()
        quiet.end()
    (program.root / "go").unlink()
    with _at(program, "run", "flow.yaml", rows=50) as terminal:
        terminal.wait_for("spoken 19")
        terminal.wait_for(" ▸ talks")
        (program.root / "go").touch()
        terminal.end()

    shown = terminal.emulator.all
    for what in ("│ talks  printed", "│ talks  complained", "written", "said", "spoken"):
        assert [f"{what} {number}" for number in range(20)] == [
            line for line in shown if line.startswith(what)
        ]
    assert not any("▸" in line or STATUS.search(line) for line in shown)
    assert "▸" not in quiet.written


def test_what_an_action_leaves_behind_goes_on_writing_to_the_terminal(program: Program) -> None:
    """A server that was started outlives the run, and would end by a pipe that nobody reads."""
    program.file(
        "acts.py",
        """
        import subprocess

        def serve():
            script = "while [ ! -e go ]; do sleep 0.05; done; echo still here; exit 0"
            subprocess.Popen(["sh", "-c", script])
        """,
    )
    program.flow("- {name: serve, type: python, action: 'acts:serve'}")

    run = f"{sys.executable} -m maverick run flow.yaml; while [ ! -e end ]; do sleep 0.05; done"

    shell = ["bash", "-c", run]  # It keeps the terminal.
    with AtTerminal(shell, cwd=program.root, env=program.environment) as terminal:
        terminal.wait_for(" done in ")
        (program.root / "go").touch()
        terminal.wait_for("still here")
        (program.root / "end").touch()
        terminal.end()


def test_a_display_that_breaks_says_so_once_and_lines_go_on(program: Program) -> None:
    program.flow(f"""
    - {{name: slow, type: shell, run: "{SLOW}"}}
    - {{name: last, type: shell, run: "true"}}
    """)
    script = (
        "import sys; sys.argv[0] = 'maverick'\n"
        "from maverick.cli.terminal.painter import Painter\n"
        "def broken(*_): raise ZeroDivisionError('in the painter')\n"
        "Painter.lines = broken\n"
        "from maverick.__main__ import main; main()"
    )
    command = [sys.executable, "-c", script, "run", "flow.yaml"]

    with AtTerminal(command, cwd=program.root, env=program.environment, columns=120) as terminal:
        terminal.wait_for("the live display failed")
        (program.root / "go").touch()
        code = terminal.end()

    shown = terminal.emulator.all
    assert 0 == code
    assert 1 == sum("ZeroDivisionError: in the painter" in line for line in shown)
    assert any(re.search(r"\d\d:\d\d:\d\d +done  last", line) for line in shown)
    assert any(" done in " in line for line in shown)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"MAVERICK_PROGRESS": "lines"}])
def test_where_nothing_can_be_drawn_there_are_lines(
    program: Program, environment: dict[str, str]
) -> None:
    program.flow(f'- {{name: slow, type: shell, run: "{SLOW}"}}')
    command = [sys.executable, "-m", "maverick", "run", "flow.yaml"]

    env = {**program.environment, **environment}
    with AtTerminal(command, cwd=program.root, env=env) as terminal:
        terminal.wait_for("│ slow  waiting")
        (program.root / "go").touch()
        terminal.end()

    assert "\x1b[J" not in terminal.written
    assert "▸" not in terminal.written


def test_rich_is_loaded_by_a_display_that_draws_and_by_nothing_else(program: Program) -> None:
    """It takes longer than most commands; nothing waits for it."""
    program.flow(f'- {{name: slow, type: shell, run: "{SLOW}"}}', name="slow")
    program.flow("- {name: quick, type: shell, run: 'true'}")
    script = (
        "import sys, atexit; sys.argv[0] = 'maverick'\n"
        "def tell(): open('rich', 'w').write(str('rich' in sys.modules))\n"
        "atexit.register(tell)\n"
        "from maverick.__main__ import main; main()"
    )

    def loads(flow: str) -> str:
        command = [sys.executable, "-c", script, "run", flow]
        with AtTerminal(command, cwd=program.root, env=program.environment) as terminal:
            if flow == "slow.yaml":
                terminal.wait_for(" ▸ slow")
                (program.root / "go").touch()
            terminal.end()
        return (program.root / "rich").read_text()

    assert ("False", "True") == (loads("flow.yaml"), loads("slow.yaml"))
