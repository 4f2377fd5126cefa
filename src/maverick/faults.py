"""Exceptions that nobody foresaw: what to say of them, and the file that keeps the traceback.

Nothing here raises, whatever state the process is in: it is the last thing that speaks.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from maverick import __version__
from maverick.checkpoints.disk.files import create_file, create_folder
from maverick.errors import Fault
from maverick.visible import visible

FOLDER: Final = "faults"
"""In the store's folder, which git ignores."""


def explain(error: BaseException, store_folder: Path | None, scrub: Callable[[str], str]) -> str:
    """Say what *error* is, where its traceback is now, and what to do with that file.

    The file is in *store_folder* if that is there, else among the temporary files; only its owner
    reads it. *scrub* masks secrets. Where no file can be written, the traceback is part of the
    text.
    """
    cause = error.__cause__ if isinstance(error, Fault) and error.__cause__ is not None else error
    fault = error if isinstance(error, Fault) else Fault.of(error)
    text = scrub(visible(_report(cause, fault.step)))
    request = f"; please report it{_address()} with " if fault.is_ours else ""
    try:
        file = _write(text, store_folder)
    except OSError as problem:
        where = f"the traceback cannot be written ({problem.strerror}), so it follows"
        return f"{scrub(str(fault))}; {where}{request and f'{request}it'}\n{text}"
    return f"{scrub(str(fault))}; the traceback is in {file}{request and f'{request}that file'}"


def _address() -> str:
    """Say where to report: the project's page, if the package names one."""
    from importlib.metadata import PackageNotFoundError, metadata  # noqa: PLC0415 - nearly never needed

    try:
        named = metadata("maverick").get_all("Project-URL") or []
    except PackageNotFoundError:
        named = []
    urls = {
        label.strip().lower(): url.strip()
        for label, _, url in (line.partition(",") for line in named)
    }
    url = urls.get("issues") or next(iter(urls.values()), "")
    return f" at {url}" if url else " to the maintainers of maverick"


def _report(error: BaseException, step: str) -> str:
    lines = [
        f"maverick {__version__}, Python {sys.version.split()[0]}, {' '.join(os.uname()[::2])}",
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        f"command: {' '.join(['maverick', *sys.argv[1:]])}",
        *([f"step: {step}"] if step else []),
        "",
    ]
    return "\n".join(lines) + "\n" + "".join(traceback.format_exception(error))


def _write(text: str, store_folder: Path | None) -> Path:
    if store_folder is not None and (store_folder / "format.json").is_file():
        with suppress(OSError):  # A store that cannot be written: then among the temporary files.
            return _write_into(_folder_in(store_folder), text)
    import tempfile  # noqa: PLC0415

    return _write_into(Path(tempfile.gettempdir()), text, prefix="maverick-")


def _folder_in(store_folder: Path) -> Path:
    folder = store_folder / FOLDER
    try:
        create_folder(folder, 0o700)
    except FileExistsError:
        if folder.is_symlink():  # It may lead out of the store.
            raise NotADirectoryError from None
    return folder


def _write_into(folder: Path, text: str, prefix: str = "") -> Path:
    """Write a new file that nobody else reads; what cannot be written whole is removed."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    path = folder / f"{prefix}fault-{moment}-{os.urandom(4).hex()}.txt"
    descriptor = create_file(path, os.O_WRONLY)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path
