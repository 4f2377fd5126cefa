"""What the command line says of an exception that nobody foresaw."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from maverick.cli.terminal.streams import warn
from maverick.errors import MaverickError


def explained(error: BaseException) -> str:
    """Say what *error* is and where its traceback is: in the store of the project at hand, if there
    is one.
    """
    from maverick.faults import explain  # noqa: PLC0415 - nearly never needed

    return explain(error, *_circumstances())


def warn_of(what: str, error: Exception) -> None:
    """Warn that *what*, which the command can do without, failed by *error*."""
    warn(f"{what}: {error if isinstance(error, MaverickError) else explained(error)}")


def _circumstances() -> tuple[Path | None, Callable[[str], str]]:
    """The folder of the store, and what masks the project's secrets; as far as they can be had.

    What is looked for here may be the very thing that does not work.
    """
    from maverick.dsl.processes.secrets import Scrubber, credentials_in, secrets_of  # noqa: PLC0415

    scrub, folder = Scrubber(credentials_in(os.environ).values()), None
    with suppress(Exception):
        from maverick.cli.here import this_project  # noqa: PLC0415

        project = this_project()
        folder = project.store_folder
        scrub = Scrubber(secrets_of(project.config.secrets, project.environment).values())
    return folder, scrub.text
