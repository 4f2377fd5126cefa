import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.patience import ASLEEP, GROWING_SECONDS, PATIENCE_SECONDS
from kit.processes import IGNORES_TERM, Bench, runs, until
from maverick.dsl.processes import child as child_module
from maverick.dsl.processes import groups, process_table
from maverick.dsl.processes.child import ChildProcess, Tail
from maverick.dsl.processes.process_table import can_name_forks, living
from maverick.dsl.processes.processes import (
    Completed,
    NotedGroup,
    Processes,
    Stop,
    Stopped,
    stop_leftovers,
)
from maverick.errors import StepFailed, StepTimeout

ways_to_start = pytest.mark.usefixtures("start")


@ways_to_start
class TestRunning:
    def test_gives_output_and_exit_code(self, bench: Bench) -> None:
        done = bench.sh("echo out; echo err >&2; exit 3")

        assert Completed(exit_code=3, stdout=b"out\n", stderr=b"err\n") == done

    def test_a_signal_is_named_and_gives_128_and_its_number(self, bench: Bench) -> None:
        done = bench.sh("kill -KILL $$")

        assert (137, "SIGKILL") == (done.exit_code, done.signal)

    def test_stdin_is_empty_unless_given(self, bench: Bench) -> None:
        """A command that asks a question ends instead of waiting for ever."""
        assert b"" == bench.sh("cat").stdout

    @pytest.mark.parametrize("size", [1, 1_000_000])
    def test_stdin_gets_every_byte(self, bench: Bench, size: int) -> None:
        """More than a pipe holds, to a command that writes as it reads: no deadlock."""
        given_bytes = (b"\0\xff\n'\"" * size)[:size]

        assert given_bytes == bench.sh("cat", stdin=given_bytes).stdout

    def test_the_file_behind_stdin_is_gone_before_the_command_runs(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A prompt is not left in /tmp by a killed engine."""
        monkeypatch.setattr("tempfile.tempdir", str(bench.folder))

        done = bench.sh("ls -A", stdin=b"a prompt")

        assert b"" == done.stdout

    def test_runs_in_a_session_of_its_own(self, bench: Bench) -> None:
        pid, session = map(
            int, bench.python("import os; print(os.getpid(), os.getsid(0))").stdout.split()
        )

        assert pid == session != os.getsid(0)

    def test_inherits_no_descriptors(self, bench: Bench) -> None:
        """A lock or a pipe that a daemon keeps open outlives the run."""
        read, write = os.pipe()
        os.set_inheritable(write, True)
        try:
            script = (
                "import os; print([fd for fd in range(100) if os.path.exists(f'/dev/fd/{fd}')])"
            )
            done = bench.python(script)
        finally:
            os.close(read)
            os.close(write)

        assert b"[0, 1, 2]\n" == done.stdout

    def test_env_is_the_whole_environment_and_git_never_asks(self, bench: Bench) -> None:
        environment = {"PATH": os.environ["PATH"], "A": "1"}

        done = bench.python("import os; print(sorted(os.environ))", env=environment)

        names = set(json.loads(done.stdout.replace(b"'", b'"')))
        assert {"A", "PATH", "GIT_TERMINAL_PROMPT"} <= names
        assert "HOME" not in names

    def test_variables_that_are_no_identifiers_arrive(self, bench: Bench) -> None:
        """Some shells drop them: exported bash functions, and names with dots that some servers
        want.
        """
        environment = {**os.environ, "a.b": "1 2", "BASH_FUNC_hello%%": "() { echo hi; }"}

        assert b"hi\n" == bench.sh("hello", env=environment).stdout
        assert (
            b"1 2\n" == bench.python("import os; print(os.environ['a.b'])", env=environment).stdout
        )

    def test_output_streams_while_it_runs(self, bench: Bench) -> None:
        """The command waits for a file that appears only once its first line was seen."""
        seen: list[tuple[str, bytes]] = []

        def on_output(stream: str, piece: bytes) -> None:
            seen.append((stream, piece))
            (bench.folder / "go").touch()

        bench.sh(
            "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two >&2", on_output=on_output
        )

        assert [("stdout", b"one\n"), ("stderr", b"two\n")] == seen

    def test_a_flood_is_read_to_its_end_in_bounded_memory(self, bench: Bench) -> None:
        size = 50_000_000
        total = {"stdout": 0, "stderr": 0}

        def on_output(stream: str, piece: bytes) -> None:
            total[stream] += len(piece)

        done = bench.sh(
            f"head -c {size} /dev/zero & head -c {size} /dev/zero >&2; wait; printf END",
            on_output=on_output,
            limit=100_000,
        )

        assert {"stdout": size + 3, "stderr": size} == total
        assert (100_000, 100_000, True) == (len(done.stdout), len(done.stderr), done.truncated)
        assert b"\0END" == done.stdout[-4:]

    def test_closed_pipes_are_not_its_end(self, bench: Bench) -> None:
        fifo = bench.folder / "fifo"
        os.mkfifo(fifo)
        writer = threading.Thread(target=lambda: fifo.write_text("went on"))
        writer.start()

        done = bench.sh("exec >&- 2>&-; cat fifo > result; exit 3")
        writer.join()

        assert (3, "went on") == (done.exit_code, (bench.folder / "result").read_text())

    def test_works_without_pidfds(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Old kernels and some sandboxes have none."""
        monkeypatch.setattr(child_module, "_watch_exit", child_module._watch_exit_by_thread)

        assert (3, b"x\n") == ((done := bench.sh("echo x; exit 3")).exit_code, done.stdout)

    @given(limit=st.integers(1, 20), pieces=st.lists(st.binary(max_size=30)))
    def test_a_tail_is_the_last_bytes(self, limit: int, pieces: list[bytes]) -> None:
        tail = Tail(limit)
        for piece in pieces:
            tail.add(piece)

        everything = b"".join(pieces)
        assert (everything[-limit:], len(everything) > limit) == (tail.data, tail.truncated)


@ways_to_start
class TestNotStarting:
    def test_a_missing_program_is_named(self, bench: Bench) -> None:
        with pytest.raises(StepFailed, match="`no-such-program` is not on PATH; install it"):
            bench.processes.run(
                ["no-such-program"], cwd=bench.folder, env={"PATH": "/usr/bin:/bin"}
            )

    def test_the_childs_path_counts(self, bench: Bench) -> None:
        with pytest.raises(StepFailed, match="`bash` is not on PATH"):
            bench.sh("true", env={"PATH": str(bench.folder)})

    def test_a_relative_program_starts_at_the_commands_folder(self, bench: Bench) -> None:
        script = bench.folder / "tool"
        script.write_text("#!/bin/sh\necho here\n")
        script.chmod(0o700)

        assert b"here\n" == bench.processes.run(["./tool"], cwd=bench.folder).stdout

    @pytest.mark.parametrize("program", ["./tool", "tool"])
    def test_a_script_without_a_first_line_is_the_shells(self, bench: Bench, program: str) -> None:
        """As execvp(3) has it, and a terminal."""
        script = bench.folder / "tool"
        script.write_text("echo $0: $1\n")
        script.chmod(0o700)
        environment = {"PATH": f"{bench.folder}:{os.environ['PATH']}"}

        done = bench.processes.run([program, "a b"], cwd=bench.folder, env=environment)

        called = program if "/" in program else str(script)
        assert (0, f"{called}: a b\n".encode(), b"") == (done.exit_code, done.stdout, done.stderr)

    @pytest.mark.parametrize("pwd", ["its own", "another's", ""])
    def test_it_is_told_its_folder(self, bench: Bench, pwd: str) -> None:
        """As a shell tells it: by the links that it came by, if it came."""
        link = bench.folder / "link"
        link.symlink_to(bench.folder / "there")
        (bench.folder / "there").mkdir()
        given_pwd = {"its own": str(link), "another's": "/", "": ""}[pwd]
        environment = {"PATH": os.environ["PATH"], "PWD": given_pwd}

        done = bench.python("import os; print(os.environ['PWD'])", env=environment, cwd=link)

        told = given_pwd if pwd == "its own" else os.path.realpath(link)
        assert f"{told}\n".encode() == done.stdout

    def test_a_file_without_the_right_to_run_says_chmod(self, bench: Bench) -> None:
        (bench.folder / "tool").write_text("#!/bin/sh\n")

        with pytest.raises(StepFailed, match=r"not executable .* `chmod"):
            bench.processes.run(["./tool"], cwd=bench.folder)

    def test_a_missing_interpreter_is_told(self, bench: Bench, start: str) -> None:
        """By the shell that is the gate, if there is one."""
        script = bench.folder / "tool"
        script.write_text("#!/no/such/program\n")
        script.chmod(0o700)

        if start == "gate":
            assert 127 == bench.processes.run(["./tool"], cwd=bench.folder).exit_code
        else:
            with pytest.raises(StepFailed, match=r"`\./tool`: the interpreter .* is not there"):
                bench.processes.run(["./tool"], cwd=bench.folder)

    def test_a_missing_folder_is_named(self, bench: Bench) -> None:
        with pytest.raises(StepFailed, match=r"nowhere: there is no such folder"):
            bench.processes.run(["true"], cwd=bench.folder / "nowhere")

    @pytest.mark.parametrize("word", ["a\0b", "x" * 10_000_000])
    def test_what_the_kernel_refuses_is_a_failed_step(self, bench: Bench, word: str) -> None:
        with pytest.raises(StepFailed, match="cannot start `true"):
            bench.processes.run(["true", word], cwd=bench.folder)


@ways_to_start
class TestNoting:
    def test_noted_before_it_runs_and_forgotten_after_it_ended(
        self, bench: Bench, start: str
    ) -> None:
        """Without a gate, what is known of it before it is started; then who leads it."""
        ran = bench.folder / "ran"
        seen: list[bool] = []

        def note(noted: list[NotedGroup]) -> None:
            seen.append(ran.exists())
            bench.noted.append(noted)

        bench.processes = Processes(bench.stop, note)

        bench.sh("touch ran", step="build")

        assert (False, True) == (seen[0], seen[-1])
        *begun, [group], none = bench.noted
        leader = {"pid", "start_time"}
        told = {name: value for name, value in group.items() if name not in leader}
        assert ([] if start == "gate" else [[told]], []) == (begun, none)
        assert leader <= set(group)
        assert ("bash -c touch ran", "build", groups.this_host()) == (
            group["command"],
            group["step"],
            group["host"],
        )
        assert json.loads(json.dumps(group)) == group

    def test_what_cannot_be_noted_does_not_run(self, bench: Bench) -> None:
        def full(noted: list[NotedGroup]) -> None:
            bench.noted.append(noted)
            if noted:
                raise OSError("disk full")

        bench.processes = Processes(bench.stop, full)

        with pytest.raises(OSError, match="disk full"):
            bench.sh("touch ran")

        assert not (bench.folder / "ran").exists()
        [[group], []] = bench.noted
        assert [] == living({group["pid"]} if "pid" in group else set(), {group["mark"]})

    def test_what_cannot_be_noted_any_more_is_stopped(self, bench: Bench, start: str) -> None:
        """Its pid is noted when it has begun, if it needs no gate."""

        def full(noted: list[NotedGroup]) -> None:
            bench.noted.append(noted)
            if noted and "pid" in noted[0]:
                raise OSError("disk full")

        bench.processes = Processes(bench.stop, full)

        with pytest.raises(OSError, match="disk full"):
            bench.sh("sleep 1000 & wait")

        assert [] == living({bench.leader}, {bench.noted[0][0]["mark"]})
        assert [] == bench.noted[-1] or start == "gate"

    def test_an_exception_while_it_is_started_leaves_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a signal handler, as Python's own of SIGINT."""
        popen = child_module._popen
        started: list[subprocess.Popen[bytes]] = []

        def interrupted(*args: Any, **options: Any) -> Any:
            started.append(popen(*args, **options))
            raise KeyboardInterrupt

        monkeypatch.setattr(child_module, "_popen", interrupted)

        with pytest.raises(KeyboardInterrupt):
            bench.sh("sleep 1000 & touch ran; wait")

        [child] = started
        for pipe in filter(None, (child.stdin, child.stdout, child.stderr)):
            pipe.close()  # As they are when nobody knows it any more.
        until(lambda: not living({child.pid}, set()))
        assert not any(bench.noted[-1:])
        child.wait()

    def test_a_closed_gate_never_opens(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the engine dies before the gate, the pipe ends and so does the child; its input
        goes.
        """
        monkeypatch.setattr("tempfile.tempdir", str(bench.folder))
        argv = ["bash", "-c", "touch ran"]
        child = ChildProcess(
            argv, cwd=bench.folder, env=os.environ, stdin=b"x", limit=1, on_output=None
        )

        child._process.stdin.close()  # type: ignore[union-attr]
        while not child.exited:
            child.pump(None)

        assert 125 == child.wait()
        assert [] == list(bench.folder.iterdir())
        child.close()

    def test_an_engine_killed_while_noting_runs_nothing(self, tmp_path: Path, start: str) -> None:
        """The real thing: SIGKILL between the note and the start, or the opening of the gate."""
        script = (
            "import os, sys\n"
            "from maverick.dsl.processes.processes import Processes, Stop\n"
            "from maverick.dsl.processes import processes\n"
            f"if {start == 'gate'}:\n"
            "    processes.can_name_forks = lambda: False\n"
            "def note(groups):\n"
            "    print(groups[0].get('pid', os.getpid()), flush=True)\n"
            "    os.kill(os.getpid(), 9)\n"
            "Processes(Stop(), note).run(['touch', 'ran'], cwd='.')\n"
        )
        engine = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, check=False
        )

        assert -signal.SIGKILL == engine.returncode
        until(lambda: not runs(int(engine.stdout)))
        assert not (tmp_path / "ran").exists()

    def test_threads_note_one_at_a_time(self, bench: Bench, start: str) -> None:
        threads = [threading.Thread(target=bench.sh, args=("true",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        changes = [
            len(after) - len(before)
            for before, after in zip([[], *bench.noted], bench.noted, strict=False)
        ]
        without_leader = 0 if start == "gate" else 8
        assert Counter({1: 8, -1: 8, 0: without_leader}) == Counter(changes)
        assert [] == bench.noted[-1]


@ways_to_start
class TestLeftovers:
    def test_background_processes_are_stopped_and_named(self, bench: Bench) -> None:
        """The step ends when its command does, although the pipes are still held."""
        done = bench.sh(f"sleep 1000 & {ASLEEP}; echo $!; exit 4")

        pid = int(done.stdout)
        assert (4, (f"pid {pid} (sleep 1000)",)) == (done.exit_code, done.leftovers)
        assert not runs(pid)

    def test_so_are_those_in_process_groups_of_their_own(self, bench: Bench) -> None:
        """What job control does in a script with `set -m`."""
        done = bench.sh(f"set -m; sleep 1000 & {ASLEEP}; echo $!")

        pid = int(done.stdout)
        assert (f"pid {pid} (sleep 1000)",) == done.leftovers
        assert not runs(pid)

    def test_those_that_ignore_sigterm_are_killed(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, grace=0.05)
        (tmp_path / "stubborn").write_text(IGNORES_TERM)
        os.mkfifo(tmp_path / "ready")

        done = bench.sh("bash stubborn > ready & read -r pid < ready; echo $pid")

        pid = int(done.stdout)
        assert f"pid {pid} (bash stubborn)" in done.leftovers
        assert not runs(pid)

    def test_what_ends_by_itself_is_waited_for(self, bench: Bench) -> None:
        """`> >(tee log)` is common; its output is not lost and not complained of."""
        done = bench.sh("exec > >(sed s/a/b/); echo a")

        assert (b"b\n", ()) == (done.stdout, done.leftovers)

    def test_a_daemon_that_left_the_session_does_not_hang_us(
        self, bench: Bench, victims: list[int]
    ) -> None:
        """It holds our pipes for ever, and is out of reach."""
        script = (
            "import os, time\n"
            "read, write = os.pipe()\n"
            "if pid := os.fork():\n"
            "    os.read(read, 1); print(pid)\n"
            "else:\n"
            "    os.setsid(); os.write(write, b'x'); time.sleep(1000)\n"
        )

        done = bench.python(script)

        victims.append(int(done.stdout))
        assert ((), True) == (done.leftovers, runs(int(done.stdout)))


@ways_to_start
class TestStopping:
    def test_a_timeout_stops_the_whole_group(self, bench: Bench) -> None:
        lines: list[bytes] = []

        for seconds in GROWING_SECONDS:
            expected = rf"`bash -c sleep 1000 .*` took longer than its timeout of {seconds:g} s"
            with pytest.raises(StepTimeout, match=expected):
                bench.sh(
                    "sleep 1000 & echo $!; wait",
                    timeout=seconds,
                    on_output=lambda _, piece: lines.append(piece),
                )
            if lines:
                break

        assert not runs(int(lines[0]))
        assert [] == bench.noted[-1]

    @pytest.mark.parametrize("timeout", [PATIENCE_SECONDS, 30 * 86400, 1e12, float("inf")])
    def test_a_command_that_ends_in_time_is_no_timeout(self, bench: Bench, timeout: float) -> None:
        """However long it may take: no call of the system waits for 25 days."""
        assert 0 == bench.sh("sleep 0.01", timeout=timeout).exit_code

    def test_sigterm_lets_it_tidy_up(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, grace=PATIENCE_SECONDS)
        script = "trap 'touch tidied; exit' TERM; echo ready; while :; do sleep 0.01; done"

        with pytest.raises(Stopped, match="enough"):
            bench.sh(script, on_output=bench.stop_once)

        assert (bench.folder / "tidied").exists()

    def test_a_stopped_process_is_woken_to_end(self, tmp_path: Path) -> None:
        """SIGTERM alone would stay pending behind SIGSTOP until the grace is over."""
        bench = Bench(tmp_path, grace=PATIENCE_SECONDS)
        script = (
            "trap 'touch tidied; exit' TERM; echo ready; kill -STOP $$; while :; do sleep 0.01; "
            "done"
        )

        with pytest.raises(Stopped):
            bench.sh(script, on_output=bench.stop_once)

        assert (bench.folder / "tidied").exists()

    def test_sigkill_comes_after_the_grace(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, grace=0.05)

        with pytest.raises(Stopped):
            bench.sh(IGNORES_TERM, on_output=bench.stop_once)

        assert not runs(bench.leader)

    def test_a_second_request_does_not_wait_for_the_grace(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, grace=1e6)

        def on_output(*_: object) -> None:
            bench.stop.request("first")
            bench.stop.request("second")

        with pytest.raises(Stopped, match="first"):
            bench.sh(IGNORES_TERM, on_output=on_output)

    def test_a_request_reaches_every_thread(self, bench: Bench) -> None:
        stopped: list[str] = []

        def work() -> None:
            try:
                bench.sh("exec sleep 1000")
            except Stopped as error:
                stopped.append(error.reason)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: bench.noted and len(bench.noted[-1]) == 4)
        bench.stop.request("all of you")
        for thread in threads:
            thread.join()

        assert ["all of you"] * 4 == stopped
        pids = {group["pid"] for noted in bench.noted for group in noted if "pid" in group}
        assert (4, False) == (len(pids), any(map(runs, pids)))

    def test_nothing_starts_after_a_request(self, bench: Bench) -> None:
        bench.stop.request("over")

        with pytest.raises(Stopped, match="over"):
            bench.sh("touch ran")

        assert ([], []) == (bench.noted, list(bench.folder.iterdir()))

    def test_a_callback_that_fails_leaves_nothing_running(self, bench: Bench) -> None:
        def on_output(*_: object) -> None:
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            bench.sh("echo x; sleep 1000", on_output=on_output)

        assert not runs(bench.leader)

    def test_no_descriptors_leak(self, bench: Bench) -> None:
        def count() -> int:
            return len(list(Path("/dev/fd").iterdir()))

        bench.sh("true")
        before = count()
        for _ in range(5):
            bench.sh("echo x", stdin=b"y")

        assert before == count()


class TestStop:
    def test_waiting_ends_with_the_request(self) -> None:
        stop = Stop()
        waiter = threading.Thread(target=stop.wait)
        waiter.start()

        stop.request("now")
        waiter.join()

        assert (True, "now") == (stop.wait(1e6), stop.reason)

    @pytest.mark.parametrize("seconds", [30 * 86400, 1e12, float("inf")])
    def test_waiting_may_take_any_time(self, seconds: float) -> None:
        """The system waits 25 days at most at once."""
        stop = Stop()
        threading.Timer(0.05, stop.request, ["now"]).start()

        assert stop.wait(seconds)

    def test_waiting_goes_on_in_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("maverick.dsl.processes.stop_request.LONGEST_WAIT_SECONDS", 0.001)
        begun = time.monotonic()

        assert not Stop().wait(0.05)
        assert time.monotonic() - begun >= 0.05

    def test_waiting_in_vain_says_so(self) -> None:
        assert not Stop().wait(0.001)

    def test_a_signal_handler_may_ask_at_any_moment(self) -> None:
        """No lock is held, so the handler cannot wait for the code that it interrupts."""
        stop = Stop()
        before = signal.signal(signal.SIGUSR1, lambda *_: stop.request("signal"))
        try:
            threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
            assert stop.wait(PATIENCE_SECONDS)
        finally:
            signal.signal(signal.SIGUSR1, before)

        assert "signal" == stop.reason

    def test_endless_requests_block_nobody(self) -> None:
        stop = Stop()
        for _ in range(100_000):
            stop.request("again")

        assert stop.urgent


ENGINE = """
import json, os, pathlib, sys
from maverick.dsl.processes.processes import Processes, Stop
def note(groups):
    pathlib.Path("noted.tmp").write_text(json.dumps(groups))
    os.replace("noted.tmp", "noted")
Processes(Stop(), note).run(["bash", "-c", sys.argv[1]], cwd=".", step="implement")
"""


LEADERS = ["noted", "not noted"] if can_name_forks() else ["noted"]


def as_noted(noted: list[NotedGroup], leader: str) -> list[NotedGroup]:
    """What stands there if the engine was killed before the pid was known, as it may be on Linux;
    or what it *noted*.
    """
    if leader == "not noted":
        for group in noted:
            del group["pid"], group["start_time"]
    return noted


class TestAfterAKill:
    """A real engine process is killed with SIGKILL while its child runs; another one stops what is
    left.
    """

    def kill_engine(
        self, folder: Path, script: str, victims: list[int], pids: int
    ) -> list[NotedGroup]:
        """The groups noted by an engine that was killed once *script* had written so many pids to
        `pids`.
        """
        engine = subprocess.Popen([sys.executable, "-c", ENGINE, script], cwd=folder)
        file = folder / "pids"
        until(lambda: file.exists() and len(file.read_text().splitlines()) == pids)
        until(lambda: "pid" in json.loads((folder / "noted").read_text())[0])
        engine.kill()
        engine.wait()
        victims.extend(map(int, file.read_text().split()))
        noted: list[NotedGroup] = json.loads((folder / "noted").read_text())
        return noted

    @pytest.mark.parametrize("leader", LEADERS)
    @pytest.mark.parametrize("job", ["sleep 1000", "env -i sleep 1000"])
    def test_the_group_is_stopped_and_described(
        self, tmp_path: Path, victims: list[int], leader: str, job: str
    ) -> None:
        """What dropped its mark, too: it is in a session of the group's."""
        script = f"{job} & echo $! >> pids; echo $$ >> pids; wait"
        noted = as_noted(self.kill_engine(tmp_path, script, victims, 2), leader)
        assert all(map(runs, victims))
        # A fork has its parent's name first.
        until(lambda: groups.find_process(victims[0]).command == "sleep")

        [text] = stop_leftovers(noted)

        assert not any(map(runs, victims))
        assert f"pid {victims[0]} (sleep 1000)" in text
        assert text.endswith("of step implement")
        assert [] == stop_leftovers(noted)

    @pytest.mark.parametrize("leader", LEADERS)
    def test_so_is_what_remains_when_the_leader_is_gone(
        self, tmp_path: Path, victims: list[int], leader: str
    ) -> None:
        script = f"sleep 1000 & {ASLEEP}; echo $! >> pids; echo $$ >> pids; wait"
        noted = as_noted(self.kill_engine(tmp_path, script, victims, 2), leader)
        os.kill(victims[1], signal.SIGKILL)
        until(lambda: not runs(victims[1]))

        [text] = stop_leftovers(noted)

        assert (f"pid {victims[0]} (sleep 1000) of step implement", False) == (
            text,
            runs(victims[0]),
        )

    def test_a_leader_that_drops_its_mark_is_known_by_its_pid(
        self, tmp_path: Path, victims: list[int]
    ) -> None:
        script = "echo $$ > pids; exec env -i sleep 1000"
        noted = self.kill_engine(tmp_path, script, victims, 1)
        until(lambda: groups.find_process(victims[0]).command == "sleep")

        [text] = stop_leftovers(noted)

        assert (f"pid {victims[0]} (sleep 1000) of step implement", False) == (
            text,
            runs(victims[0]),
        )

    @pytest.mark.parametrize("leader", LEADERS)
    def test_what_ignores_sigterm_is_killed(
        self, tmp_path: Path, victims: list[int], leader: str
    ) -> None:
        script = f"echo $$ > pids; {IGNORES_TERM} > /dev/null"
        noted = as_noted(self.kill_engine(tmp_path, script, victims, 1), leader)

        stop_leftovers(noted, grace=0.05)

        assert not runs(victims[0])

    @pytest.mark.parametrize(
        "change",
        [
            {"start_time": 1},
            {"host": "another boot"},
            {"pid": os.getpid()},
            {"pid": 1},
            {"pid": None},
            {"pid": None, "mark": "0123456789abcdef"},
        ],
    )
    def test_a_stranger_under_the_same_pid_lives_on(
        self, bench: Bench, victims: list[int], change: dict[str, Any]
    ) -> None:
        """Pids are used again: only the start time, on the same boot, tells whose it is."""
        stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        victims.append(stranger.pid)
        process = groups.find_process(stranger.pid)
        assert process
        group = NotedGroup(
            pid=process.pid,
            start_time=process.start_time,
            host=groups.this_host(),
            mark="",
            command="",
            step="",
        )

        assert [] == stop_leftovers([{**group, **change}])
        assert stranger.poll() is None
        stranger.kill()
        stranger.wait()

    def test_a_strangers_session_without_leader_lives_on(self, victims: list[int]) -> None:
        """Daemons are made so: the leader forks and ends. Without our mark the session is not
        ours.
        """
        daemon = subprocess.Popen(
            ["bash", "-c", "sleep 1000 & echo $!"], stdout=subprocess.PIPE, start_new_session=True
        )
        assert daemon.stdout
        victims.append(int(daemon.stdout.readline()))
        daemon.stdout.close()
        daemon.wait()

        group = NotedGroup(
            pid=daemon.pid,
            start_time=0,
            host=groups.this_host(),
            mark="0123456789abcdef",
            command="",
            step="",
        )

        assert [victims[0]] == [process.pid for process in groups.members(daemon.pid)]
        assert [] == stop_leftovers([group])
        assert runs(victims[0])

    def test_a_resume_started_by_the_leftover_does_not_stop_itself(self, tmp_path: Path) -> None:
        script = (
            "import os, json\n"
            "from maverick.dsl.processes import groups\n"
            "pid = os.getpid()\n"
            "started = groups.find_process(pid).start_time\n"
            "group = dict(pid=pid, start_time=started, host=groups.this_host(), mark='', "
            "step='x')\n"
            "print(groups.stop_leftovers([group]))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            start_new_session=True,
            capture_output=True,
            text=True,
            check=False,
        )

        assert (0, True) == (done.returncode, "left alone" in done.stdout)


def test_ps_tells_the_same_as_proc() -> None:
    """There is no /proc on macOS; the way taken there is tried here as far as it can be."""
    mine = groups.find_process(os.getpid())
    [told] = process_table._ps("-p", str(os.getpid()))

    assert mine is not None
    assert (mine.pid, mine.group, mine.session, mine.zombie) == (
        told.pid,
        told.group,
        told.session,
        told.zombie,
    )
    assert abs(time.time() - told.start_time) < 3600
