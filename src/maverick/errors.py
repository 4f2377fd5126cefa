"""Every error that maverick raises on purpose, in one tree, grouped by what the caller can do.

A message says what is wrong, which thing it is about, and what to do next. Fields carry the parts
of the message that a program may want; nobody has to parse text. `exit_code` is the process's exit
code when the error ends a command.

::

    MaverickError
    ├── UsageError            2   the command or its values are wrong
    │   ├── InputInvalid      2   workflow inputs are missing, unknown or of the wrong type
    │   └── RunExists         2   a new run is to have the name of one that is there
    ├── WorkflowInvalid       3   a workflow or maverick.yaml has problems (all, with positions)
    ├── StepFailed            1   a step could not do its work
    │   ├── StepTimeout       1   it took longer than its `timeout`
    │   ├── ExpressionFailed  1   an expression could not be evaluated
    │   ├── NobodyStandsIn    1   a test asks an agent that it gives no answer for
    │   └── ValueUnstorable   1   its output cannot be stored; names the path of the value
    ├── NotFound             10   no such store, run, revision or object path
    │   ├── NoSuchName       10   a run has no step or file of that name; a KeyError, too
    │   └── RevisionAmbiguous 10  an abbreviation that fits several runs or checkpoints
    ├── RunConflict          11   another process owns the run
    │   ├── RunOwned         11   its kernel lock is held
    │   └── RefMoved         11   its ref was advanced by somebody else
    ├── RunDiffers           12   inputs, definition or files are not those of the recorded run
    │   ├── InputsDiffer     12
    │   ├── StepsDiffer      12
    │   ├── RunDiverged      12   a run went on in two places
    │   └── FilesDiffer      12   files changed since they were looked at, or HEAD moved
    ├── WorkspaceUnreadable   1   files of the workspace cannot be read, or do not hold still
    ├── WorkspaceUnwritable   1   files of the workspace cannot be restored
    ├── StoreUnwritable       1   the disk is full, or the store is read-only
    │   └── StoreDenied       1   it belongs to another user, or its mode keeps this one out
    ├── StoreTooNew          20   the store was written by a newer version
    ├── StoreDamaged         20   bytes are missing or not what was written
    │   ├── ObjectMissing    20
    │   ├── ObjectCorrupt    20
    │   ├── PackDamaged      20
    │   ├── RefDamaged       20
    │   └── FormatDamaged    20
    ├── Fault                 1   a fault of maverick: an exception that nobody foresaw
    └── Interrupted         130   stopped by a signal; the run can be resumed
"""

from __future__ import annotations

import errno
from typing import ClassVar, Final, NamedTuple

_FAULT_CHARACTERS: Final = 500
"""Of what an exception says that nobody foresaw; the file with its traceback has all."""


class MaverickError(Exception):
    """The base of all errors that maverick raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(MaverickError):
    """The command line, or a value given to the library, is wrong."""

    exit_code = 2


class InputInvalid(UsageError):
    """A workflow input is missing, unknown or of the wrong type."""


class RunExists(UsageError):
    """A new run is to have the name of one that is there."""


class Excerpt(NamedTuple):
    """The line of a file that a problem stands in; of a long one the part around it.

    `column` is that of the problem in `text`, from 1.
    """

    text: str = ""
    column: int = 0
    has_before: bool = False
    has_after: bool = False


class Problem(NamedTuple):
    """One problem of a file, with its place. `line` and `column` count from 1; 0: all of it."""

    file: str
    line: int
    column: int
    message: str
    excerpt: Excerpt = Excerpt()

    def __str__(self) -> str:
        """Give `file:line:column: message`, or `file: message` of a whole file: the message alone
        if it names the file itself.
        """
        if not self.line and repr(self.file) in self.message:
            return self.message
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: {self.message}"


class WorkflowInvalid(MaverickError):
    """A workflow (or `maverick.yaml`) has problems. All of them are reported at once."""

    exit_code = 3

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))


class StepFailed(MaverickError):
    """A step could not do its work.

    `step` is its path where it is known, else empty; `causes` names the classes of the exception
    that a Python action raised, most special first; `recalled` says that the failure was recorded
    before; `others` are those of steps that failed side by side with this one; `command_exit` is
    the exit code of the command which failed it, else None.
    """

    def __init__(self, message: str, *, step: str = "", causes: tuple[str, ...] = ()) -> None:
        self.step = step
        self.causes = causes
        self.recalled = False
        self.others: tuple[StepFailed, ...] = ()
        self.command_exit: int | None = None
        super().__init__(message)

    def every(self) -> list[StepFailed]:
        """Give this failure and all those beside it."""
        return [self, *(failure for other in self.others for failure in other.every())]


class NobodyStandsIn(StepFailed):
    """An agent is asked in a test of a workflow that gives no answer for it."""


class StepTimeout(StepFailed):
    """A step took longer than its `timeout`; `stdout` and `stderr` are what its command wrote."""

    def __init__(
        self, message: str, *, step: str = "", stdout: bytes = b"", stderr: bytes = b""
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(message, step=step)


class ExpressionFailed(StepFailed):
    """An expression could not be evaluated: unlike types, a wrong argument, a limit reached."""


class ValueUnstorable(StepFailed):
    """A value cannot be stored. `path` leads to the part at fault: `output.rows[3].conn`."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"{path}: {why}")


class NotFound(MaverickError):
    """There is no such store, run, revision or path inside a revision."""

    exit_code = 10


class NoSuchName(NotFound, KeyError):
    """A run has no step, or no file, of that name."""

    __str__ = Exception.__str__


class RevisionAmbiguous(NotFound):
    """An abbreviated id fits several runs or checkpoints."""


class RunConflict(MaverickError):
    """Another process works on the run."""

    exit_code = 11


class RunOwned(RunConflict):
    """The run's kernel lock is held by another process."""


class RefMoved(RunConflict):
    """The run's ref is no longer where this process left it."""


class RunDiffers(MaverickError):
    """What is asked for differs from what the run recorded."""

    exit_code = 12


class InputsDiffer(RunDiffers):
    """The inputs given are not those of the recorded run."""


class StepsDiffer(RunDiffers):
    """A finished step would run again, because its definition or its inputs changed."""


class RunDiverged(RunDiffers):
    """A run went on in two places, so neither of the two follows the other."""


class FilesDiffer(RunDiffers):
    """The files are not what they were when they were looked at, or HEAD is not where it was."""


class WorkspaceUnreadable(MaverickError):
    """Files of the workspace cannot be read, or change meanwhile; `reasons` says why, by path."""

    def __init__(self, message: str, reasons: dict[str, str]) -> None:
        self.reasons = reasons
        super().__init__(message)


class WorkspaceUnwritable(MaverickError):
    """Files of the workspace cannot be restored: the disk is full, or a path cannot be written."""


class StoreUnwritable(MaverickError):
    """Nothing can be written to the store: the disk is full, or the folder is read-only."""


class StoreDenied(StoreUnwritable, PermissionError):
    """The system does not let this user read or change a file of the store; it may be whole.

    `why` says whose it is, and the way out.
    """

    def __init__(self, message: str, why: str, path: str, cause: OSError) -> None:
        super().__init__(message)
        self.why = why
        self.errno, self.strerror, self.filename = cause.errno, cause.strerror, path

    def __str__(self) -> str:
        return str(self.args[0])


class StoreTooNew(MaverickError):
    """The store was written by a newer version of maverick."""

    exit_code = 20


class StoreDamaged(MaverickError):
    """Bytes of the store are missing, or are not what was written."""

    exit_code = 20


class ObjectMissing(StoreDamaged):
    """An object that something refers to is in no pack."""


class ObjectCorrupt(StoreDamaged):
    """An object's bytes do not have the hash they are stored under."""


class PackDamaged(StoreDamaged):
    """A pack's header, index or trailer is not what was written."""


class RefDamaged(StoreDamaged):
    """A ref file is torn or altered."""


class FormatDamaged(StoreDamaged):
    """`format.json` is missing, torn or altered while the store holds objects."""


class Fault(MaverickError):
    """A fault of maverick itself: its `__cause__` is an exception that nobody foresaw.

    It is no outcome of a step: it is not tried again, and `continue_on_error` does not go on after
    it. `step` is the path of the step that it happened at, where it is known. If `is_ours` is false
    the system gave no more of something, and there is nothing to report.
    """

    def __init__(self, message: str, *, step: str = "", is_ours: bool = True) -> None:
        self.step = step
        self.is_ours = is_ours
        super().__init__(message)

    @classmethod
    def of(cls, error: BaseException, *, step: str = "") -> Fault:
        """Say what *error* is, in one line."""
        try:
            text = " ".join(str(error).split())
        except Exception as second:  # noqa: BLE001 - the exception itself may be what is broken
            text = f"its text cannot be had ({type(second).__name__})"
        text = text if len(text) <= _FAULT_CHARACTERS else text[: _FAULT_CHARACTERS - 1] + "…"
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
        where = f" (at step {step})" if step else ""
        if isinstance(error, MemoryError):
            return cls(
                f"there is not enough memory for what maverick has to do: {what}{where}",
                step=step,
                is_ours=False,
            )
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return cls(
                f"the disk is full; free some space: {what}{where}", step=step, is_ours=False
            )
        if isinstance(error, RuntimeError) and "start new thread" in text:
            few = "the system lets this user start no more threads; allow more, as with `ulimit -u`"
            return cls(f"{few}: {what}{where}", step=step, is_ours=False)
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            few = (
                "maverick may not open as many files as it has to; allow more, as with `ulimit -n "
                "1024`"
            )
            return cls(f"{few}: {what}{where}", step=step, is_ours=False)
        return cls(f"this is a fault of maverick, not of your workflow: {what}{where}", step=step)


class Interrupted(MaverickError):
    """A signal stopped the command; the run was saved and can be resumed."""

    exit_code = 130
