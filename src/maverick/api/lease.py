"""What a process has once: a current folder, git's variables, and the modules that it has imported.

A run needs those of its project. Runs of one project share them; those of another one wait. When
the last run has ended they are the caller's again.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from maverick.dsl.catalog.actions import importing_from
from maverick.errors import UsageError
from maverick.repositories import bound_as_in
from maverick.roots import current_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_inside: ContextVar[Path | None] = ContextVar("inside", default=None)
"""The project whose run this code is part of."""


class _Lease:
    """Who has the process's current folder: runs of the project at `root`, so many of them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.root: Path | None = None
        self.runs = 0
        self.stack = ExitStack()


_lease = _Lease()


@contextmanager
def project_of_the_process(root: Path) -> Iterator[None]:
    """While the block runs, be in the folder *root*; wait until runs of other projects have ended.

    Raises:
        UsageError: The caller is a step of another project's run, which would wait for itself.
    """
    outer = _inside.get()
    with _lease.changed:
        while _lease.root not in (None, root):
            if outer is not None and outer != root:
                raise UsageError(
                    f"a step of a run in {outer} cannot start one in {root} in the same process, "
                    "which has one current folder: start a process for it"
                )
            _lease.changed.wait()
        if _lease.root is None:
            with ExitStack() as stack:
                stack.enter_context(current_folder(root))
                stack.enter_context(bound_as_in(root, os.environ))
                stack.enter_context(importing_from(str(root)))
                _lease.stack = stack.pop_all()
            _lease.root = root
        _lease.runs += 1
    token = _inside.set(root)
    try:
        yield
    finally:
        _inside.reset(token)
        with _lease.changed:
            _lease.runs -= 1
            if not _lease.runs:
                _lease.root = None
                _lease.stack.close()
                _lease.changed.notify_all()
