"""Where a command's program is, looked for as execvp(3) does.

What cannot be read is remembered, and told only if nothing is found elsewhere.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from maverick.dsl.processes.process_table import summary
from maverick.encoding import file_name, name_text
from maverick.errors import StepFailed

_BEGIN = """
import sys
module, path, *words = sys.argv[1:]
sys.path[:] = path.split("\\n")
del sys.argv[1:]
from importlib import import_module
import_module(module).main(*words)
"""


def python_command(module: str, *words: str) -> list[str]:
    """Give the command that calls `main(*words)` of *module* in a process that can be stopped.

    It imports from where this process does. The path is handed over beside the environment: what
    the child starts itself has the user's PYTHONPATH. Nothing of the current folder is taken for a
    module (`-P`).
    """
    return [sys.executable, "-P", "-c", _BEGIN, module, "\n".join(filter(None, sys.path)), *words]


class _Search(NamedTuple):
    """What came of looking for a program. `found` is empty if it cannot be started."""

    found: str = ""
    unexecutable: str = ""
    """A file of that name that may not be executed."""
    closed: str = ""
    """A folder that may not be searched."""


def is_there(program: str, root: str | Path, environment: Mapping[str, str]) -> bool:
    """Whether *program* can be started in the folder *root*."""
    return bool(where_is(program, root, environment))


def where_is(program: str, root: str | Path, environment: Mapping[str, str]) -> str:
    """Give the path of *program* as a word of a command in the folder *root*; empty if it cannot be
    started there.
    """
    found = _search(program, root, environment).found
    return found and name_text(Path(found).absolute())


def check_startable(argv: Sequence[str], cwd: str | Path, env: Mapping[str, str]) -> str:
    """Give the path of the program that a command starts.

    Raises:
        StepFailed: The folder or the program is not there. A shell's `127` would say less.
    """
    program = argv[0]
    _check_folder(summary(argv), cwd)
    search = _search(program, cwd, env)
    if search.found:
        return search.found
    if search.unexecutable:
        path = search.unexecutable
        raise StepFailed(
            f"`{program}` is not executable ({path}); make it so with `chmod +x {path}`"
        )
    if os.sep in program:
        where = Path(cwd) / program
        if search.closed:
            raise StepFailed(
                f"`{program}` cannot be started: {search.closed} may not be searched by this user"
            )
        raise StepFailed(
            f"there is no program `{program}` (looked for {where}); correct the path or create "
            "the file"
        )
    but = (
        f" ({search.closed}, which is on it, may not be searched by this user)"
        if search.closed
        else ""
    )
    raise StepFailed(
        f"the program `{program}` is not on PATH{but}; install it, or add its folder to PATH"
    )


def _check_folder(command: str, cwd: str | Path) -> None:
    try:
        if stat.S_ISDIR(os.stat(cwd).st_mode):  # noqa: PTH116 - is_dir takes what cannot be read for missing
            return
        why = "that is no folder"
    except FileNotFoundError:
        why = "there is no such folder"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise StepFailed(f"cannot run `{command}` in {cwd}: {why}")


def _search(program: str, cwd: str | Path, env: Mapping[str, str]) -> _Search:
    found = next(filter(_is_program, _candidates(program, cwd, env)), "")
    return _Search(found=found) if found else _why_not_found(program, cwd, env)


def _is_program(path: str) -> bool:
    """Asked of each folder of PATH for each command: what is not there raises nothing."""
    try:
        return os.access(path, os.X_OK) and stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _why_not_found(program: str, cwd: str | Path, env: Mapping[str, str]) -> _Search:
    unexecutable = closed = ""
    for candidate in _candidates(program, cwd, env):
        try:
            is_file = stat.S_ISREG(os.stat(candidate).st_mode)  # noqa: PTH116 - is_file takes what cannot be read for missing
        except PermissionError:
            closed = closed or os.path.dirname(candidate)  # noqa: PTH120
        except (OSError, ValueError):
            continue
        else:
            unexecutable = unexecutable or (candidate if is_file else "")
    return _Search(unexecutable=unexecutable, closed=closed)


def _candidates(program: str, cwd: str | Path, env: Mapping[str, str]) -> Iterator[str]:
    name = file_name(program)
    if os.sep in program:
        yield os.path.join(cwd, name)  # noqa: PTH118 - done often
        return
    for folder in file_name(env.get("PATH", os.defpath)).split(os.pathsep) if name else ():
        yield f"{folder}/{name}" if folder[:1] == os.sep else os.path.join(cwd, folder, name)  # noqa: PTH118
