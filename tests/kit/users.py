"""Acting as somebody else, in folders that others may enter."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from kit.program import Ended
from maverick.cli.app import app

NOBODY = 65534
IS_ROOT = os.geteuid() == 0


@contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that every user may enter, as a test's own never is."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="maverick-test-")))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give_away(*paths: Path) -> None:
    """Make *paths* those of a user who is not root; where this process is not root's, they are its
    user's.
    """
    if IS_ROOT:
        for path in paths:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def as_ordinary_user(act: Callable[[], Any]) -> Any:
    """Give what *act* gives, as JSON has it, when a user calls it who is not root.

    Where this process is root's, that is another one, which loads no module that *act* has not
    loaded before: the interpreter's own files may be closed to him.
    """
    if not IS_ROOT:
        return act()
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        # Of forking beside the threads of the test runner.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(ours)
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with os.fdopen(theirs, "w") as pipe:
                json.dump(act(), pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    assert text, "the other user's process ended early"
    return json.loads(text)


def command(
    *args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Callable[[], list[Any]]:
    """The program in this process, as something that `as_ordinary_user` may call; gives code,
    output, errors.

    Without *cwd* it stays where it is.
    """

    def act() -> list[Any]:
        before, folder = dict(os.environ), os.getcwd()  # noqa: PTH109 - given back as it is
        if cwd is not None:
            os.chdir(cwd)
        os.environ.clear()
        os.environ.update(
            {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", **(env or {})}
        )
        try:
            done = CliRunner().invoke(app, list(args))
        finally:
            os.environ.clear()
            os.environ.update(before)
            if cwd is not None:
                os.chdir(folder)
        crash = done.exception is not None and not isinstance(done.exception, SystemExit)
        return [
            -1 if crash else done.exit_code,
            done.stdout,
            done.stderr + (repr(done.exc_info) if crash else ""),
        ]

    return act


def ended(act: Callable[[], list[Any]], *, ordinary: bool = False) -> Ended:
    """How a `command` ended, here or as `as_ordinary_user`."""
    code, out, err = as_ordinary_user(act) if ordinary else act()
    return Ended(code, out, err)
