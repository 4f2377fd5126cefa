"""One child process: how it is started, and its pipes while it runs.

Where a process can be known by a mark from its fork on (Linux), that is noted before it is started.
Elsewhere it is held at a gate, a shell, until its pid has been noted.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from maverick.dsl.processes.process_table import naming_forks, summary
from maverick.dsl.processes.programs import check_startable
from maverick.dsl.processes.stop_request import LONGEST_WAIT_SECONDS
from maverick.dsl.processes.threads import start_thread
from maverick.encoding import encode, file_name
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.processes.stop_request import Stop

StreamName = Literal["stdout", "stderr"]
OnOutput: TypeAlias = Callable[[StreamName, bytes], None]

_READ_BYTES = 64 * 1024
_PIPE_BYTES = 1024 * 1024
"""The most that a pipe can hold."""
_GATE = 'read -r _ || exit 125; exec "$@" <"$0"'
_GATE_WITH_INPUT = 'read -r _ || { rm -f "$0"; exit 125; }; exec <"$0"; rm -f "$0"; exec "$@"'


class _Watch(Protocol):
    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Tail:
    """The last *limit* bytes of a stream."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.truncated = False

    def add(self, piece: bytes) -> None:
        """Append *piece*, and let go of what is too old."""
        self._kept += piece
        if len(self._kept) > 2 * self._limit:
            self._cut()

    @property
    def data(self) -> bytes:
        """What is kept."""
        if len(self._kept) > self._limit:
            self._cut()
        return bytes(self._kept)

    def _cut(self) -> None:
        del self._kept[: len(self._kept) - self._limit]
        self.truncated = True


class ChildProcess:
    """A command, the leader of a session of its own, `pid`.

    With *mark*, which its environment has to hold, it runs at once; without, it waits at its gate
    until `open_gate`.

    `exited` becomes true in `pump`; the dead leader is kept unreaped until `close`, so that no
    other process can get its pid while its group is dealt with. `StepFailed` if it cannot be
    started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path,
        env: Mapping[str, str],
        stdin: bytes,
        limit: int,
        on_output: OnOutput | None,
        mark: str = "",
    ) -> None:
        program = check_startable(argv, cwd, env)
        self._input: Path | None = None
        self._on_output = on_output
        self.exited = False
        self.tails: dict[StreamName, Tail] = {"stdout": Tail(limit), "stderr": Tail(limit)}
        try:
            if mark:
                self._process = _start_at_once(program, argv, cwd, env, stdin, mark)
            else:
                self._input = _write_input(stdin) if stdin else None
                self._process = _start_at_gate(argv, cwd, env, self._input)
        except (OSError, ValueError) as error:
            self._remove_input()
            raise StepFailed(
                f"cannot start `{summary(argv)}`: {why_not_started(error, argv, env)}"
            ) from error
        except StepFailed:
            self._remove_input()
            raise
        self.pid = self._process.pid
        self._selector = selectors.DefaultSelector()
        self._exit = _watch_exit(self.pid)
        self._selector.register(self._exit, selectors.EVENT_READ, "exit")
        for pipe, name in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr")):
            fd = cast("IO[bytes]", pipe).fileno()
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ, name)

    def open_gate(self) -> None:
        """Let the command run, if it waits at a gate."""
        if gate := self._process.stdin:
            with suppress(BrokenPipeError):  # Somebody else killed it.
                gate.write(b"\n")
                gate.close()

    def watch(self, stop: Stop) -> None:
        """Make `pump` return when a stop is requested."""
        self._selector.register(stop, selectors.EVENT_READ, "stop")

    def unwatch(self, stop: Stop) -> None:
        """Let `pump` wait again although the stop was requested."""
        self._selector.unregister(stop)

    def pump(self, timeout: float | None) -> None:
        """Wait *timeout* seconds for output, the command's end or a stop request; take output.

        It may return earlier without any of these: a selector cannot wait for a month.
        """
        for key, _ in self._selector.select(
            None if timeout is None else min(timeout, LONGEST_WAIT_SECONDS)
        ):
            if key.data == "exit":
                self.exited = True
                self._selector.unregister(self._exit)
            elif key.data != "stop":
                self._read(key.fd, key.data)

    def drain(self) -> None:
        """Take what stands in the pipes now; whoever still writes to them is not waited for."""
        for key in list(self._selector.get_map().values()):
            if key.data in self.tails:
                taken = 0
                while taken < _PIPE_BYTES and (size := self._read(key.fd, key.data)):
                    taken += size

    def wait(self) -> int:
        """Reap the dead leader and give its exit code, which is -n after signal n."""
        return self._process.wait(timeout=1)

    def close(self) -> None:
        """Reap the leader, and let go of everything that belongs to it."""
        with suppress(subprocess.TimeoutExpired):  # It hangs in the kernel; the caller has said so.
            self.wait()
        self._selector.close()
        self._exit.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._remove_input()

    def _read(self, fd: int, name: StreamName) -> int:
        try:
            piece = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return 0
        if not piece:
            self._selector.unregister(fd)
            return 0
        self.tails[name].add(piece)
        if self._on_output:
            self._on_output(name, piece)
        return len(piece)

    def _remove_input(self) -> None:
        if self._input:
            self._input.unlink(missing_ok=True)


def _start_at_once(
    program: str,
    argv: Sequence[str],
    cwd: str | Path,
    env: Mapping[str, str],
    stdin: bytes,
    mark: str,
) -> subprocess.Popen[bytes]:
    """Start *program* as execvp(3) does: what names no interpreter is a script of the shell."""
    words, environment = encoded_words(argv), encoded_environment(env)
    file = words[0] if os.sep in argv[0] else os.fsencode(Path(program).absolute())
    environment[b"PWD"] = _logical_folder(cwd, env.get("PWD", ""))
    with ExitStack() as cleanup:
        source = cleanup.enter_context(input_file(stdin)) if stdin else subprocess.DEVNULL
        cleanup.enter_context(naming_forks(mark))
        try:
            return _popen(words, cwd, environment, source, executable=file)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            return _popen([b"/bin/sh", file, *words[1:]], cwd, environment, source)


def _logical_folder(cwd: str | Path, pwd: str) -> bytes:
    """Give what a shell hands on as PWD in *cwd*: *pwd*, which it was handed, if that is there."""
    with suppress(OSError, ValueError):
        if pwd.startswith(os.sep) and os.path.samefile(file_name(pwd), cwd):  # noqa: PTH121
            return encode(pwd, "PWD")
    return os.fsencode(os.path.realpath(cwd))


def _start_at_gate(
    argv: Sequence[str], cwd: str | Path, env: Mapping[str, str], stdin: Path | None
) -> subprocess.Popen[bytes]:
    gate = [_GATE_WITH_INPUT, str(stdin)] if stdin else [_GATE, os.devnull]
    words = ["/bin/sh", "-c", *gate, *_with_odd_names(argv, env)]
    return _popen(encoded_words(words), cwd, encoded_environment(env), subprocess.PIPE)


def _popen(
    words: list[bytes],
    cwd: str | Path,
    env: dict[bytes, bytes],
    stdin: int | IO[bytes],
    executable: bytes | None = None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words,
        executable=executable,
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


def _with_odd_names(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Let `env` set variables whose names are no identifiers: some shells do not hand them on."""
    odd = [
        f"{name}={value}"
        for name, value in env.items()
        if not (name.isascii() and name.isidentifier())
    ]
    return ["env", *odd, *argv] if odd else list(argv)


def encoded_words(argv: Sequence[str]) -> list[bytes]:
    """Give the arguments as the system takes them, in UTF-8. Raises StepFailed."""
    return [encode(word, "an argument") for word in argv]


def encoded_environment(env: Mapping[str, str]) -> dict[bytes, bytes]:
    """Give the variables as the system takes them, in UTF-8. Raises StepFailed."""
    try:
        texts = "\0".join(chain.from_iterable(env.items())).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        texts = b""
    words = texts.split(b"\0")
    if len(words) == 2 * len(env):
        return dict(zip(words[::2], words[1::2], strict=True))
    what = "the variable {} of the environment"
    for name, value in env.items():
        if "\0" in value:
            raise StepFailed(
                f"{what.format(name)} holds a NUL character, which no variable can hold"
            )
    return {
        encode(name, what.format(repr(name))): encode(value, what.format(name))
        for name, value in env.items()
    }


def why_not_started(
    error: OSError | ValueError, argv: Sequence[str], env: Mapping[str, str]
) -> str:
    """Say why the system did not start a command; name what is too long, and what to do instead."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.ENOENT:
        return "the interpreter that its first line names, or its loader, is not there"
    if error.errno != errno.E2BIG:
        return error.strerror or str(error)
    sizes = {name: len(encode(value, name)) for name, value in env.items()}
    name = max(sizes, key=lambda name: sizes[name], default="")
    longest = max(len(encode(word, "an argument")) for word in argv)
    if longest > sizes.get(name, 0):
        return (
            f"one of its arguments is too long ({longest:,} bytes; the system takes 128 KiB of "
            "one on Linux, and 1 MiB of all on macOS): hand the text over in a file, or on "
            "standard input"
        )
    total = sum(sizes.values())
    return (
        f"the environment cannot hold the variable {name} ({sizes[name]:,} bytes, {total:,} in "
        "all; the system takes 128 KiB of one on Linux, and 1 MiB of all on macOS): hand the "
        "value over on standard input, `stdin: ${{ … }}`, or in the script, `${{ quote(…) "
        "}}`"
    )


@contextmanager
def input_file(data: bytes) -> Iterator[IO[bytes]]:
    """Give a file that holds *data*, at its beginning, and has no name. Raises StepFailed."""
    with ExitStack() as cleanup:
        try:
            file = cleanup.enter_context(tempfile.TemporaryFile())
            file.write(data)
            file.seek(0)
        except OSError as error:
            raise _unwritable("a temporary file", error) from error
        yield file


def _unwritable(where: str, error: OSError) -> StepFailed:
    return StepFailed(f"cannot write the input of a command to {where}: {error.strerror}")


def _write_input(stdin: bytes) -> Path:
    try:
        fd, name = tempfile.mkstemp(prefix="maverick-")
    except OSError as error:
        raise _unwritable("a temporary file", error) from error
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(stdin)
    except OSError as error:
        Path(name).unlink()
        raise _unwritable(name, error) from error
    return Path(name)


def _watch_exit(pid: int) -> _Watch:
    """Give what becomes readable when that child has ended, without reaping it."""
    if sys.platform != "linux":
        queue = select.kqueue()
        event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue.control([event], 0)
        return queue
    with suppress(OSError):  # A kernel before 5.3, or one that is not let use it.
        return open(os.pidfd_open(pid), "rb", buffering=0)  # noqa: PTH123 - of a descriptor
    return _watch_exit_by_thread(pid)


def _watch_exit_by_thread(pid: int) -> _Watch:
    read, write = os.pipe()

    def wait() -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # type: ignore[attr-defined, unused-ignore]
        os.close(write)

    start_thread(threading.Thread(target=wait, name=f"waits for pid {pid}", daemon=True))
    return open(read, "rb", buffering=0)  # noqa: PTH123 - of a descriptor
