"""Writes pages into files, each whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.errors import MaverickError, UsageError
from maverick.views.report import rendering
from maverick.views.report.bounds import Budget
from maverick.views.report.gathering import Gathered, gather
from maverick.views.signs import STEP_SIGNS
from maverick.visible import duration, iso_time, one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Ref, Store

FOLDER_OF_PAGES: Final = "runs"
Scrub = Callable[[Any], Any]


class Written(NamedTuple):
    """A file that was written."""

    file: Path
    bytes: int


def write_page(
    project: Path, store: Store, checkpoints: Sequence[Checkpoint], file: Path, scrub: Scrub
) -> Written:
    """Write the page of the runs at *checkpoints* into *file*, in place of what it holds.

    Raises:
        MaverickError: It cannot be written.
    """
    return write_file(file, page_text(project, store, checkpoints, scrub))


def page_text(project: Path, store: Store, checkpoints: Sequence[Checkpoint], scrub: Scrub) -> str:
    """Give the page of the runs at *checkpoints*."""
    budget = Budget()
    return _page([gather(str(project), store, each, budget, scrub) for each in checkpoints], store)


def _page(runs: Sequence[Gathered], store: Store) -> str:
    title = ", ".join(f"{run.data['workflow']} {run.data['status']}" for run in runs[:3])
    heads = [run.head for run in runs]
    return rendering.page(heads, _blocks(runs), title=title, made=_now(store))


def _blocks(runs: Sequence[Gathered]) -> list[rendering.Block]:
    blocks = []
    for number, run in enumerate(runs):
        blocks.append(rendering.json_block(f"run-{number}", run.data))
        for row, detail in run.details.items():
            blocks.append(rendering.json_block(f"step-{number}-{row}", detail))
    return blocks


def write_all(
    project: Path,
    store: Store,
    refs: Sequence[Ref],
    folder: Path,
    scrub: Scrub,
    tell: Callable[[str], None],
) -> list[Written]:
    """Write a page for each run into *folder*, and `index.html`, which lists them.

    A run that cannot be read is told, and listed without a page.
    """
    pages = folder / FOLDER_OF_PAGES
    try:
        pages.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MaverickError(f"cannot make {pages}: {error.strerror}") from error
    written, rows = [], []
    for ref in refs:
        file = pages / f"{ref.run}.html"
        row: dict[str, Any] = {"run": ref.run, "file": f"{FOLDER_OF_PAGES}/{file.name}"}
        try:
            run = gather(str(project), store, store.checkpoint(ref.checkpoint), Budget(), scrub)
        except MaverickError as error:
            tell(f"{ref.run} is left out: {error}")
            rows.append({**row, **_unreadable(ref, error)})
            continue
        written.append(write_file(file, _page([run], store)))
        rows.append({**row, **_row(run)})
    index = rendering.index(rows, project=project.name, made=_now(store))
    return [write_file(folder / "index.html", index), *written]


def _row(run: Gathered) -> dict[str, Any]:
    data, totals = run.data, run.data["totals"]
    error = (run.head["error"] or "; ".join(run.head["notices"])).partition("\n")[0]
    failed_at = data["failed_at"]
    return {
        "status": data["status"],
        "sign": run.head["sign"],
        "look": run.head["look"],
        "started": _moment(data["started"]),
        "time": duration(data["seconds"]),
        "cost": "" if totals["usd"] is None else f"${totals['usd']:.2f}",
        "why": f"{failed_at}: {error}" if failed_at else error,
    }


def _unreadable(ref: Ref, error: MaverickError) -> dict[str, Any]:
    return {
        "file": "",
        "status": "damaged",
        "sign": STEP_SIGNS["failed"],
        "look": "failed",
        "started": _moment(iso_time(ref.started)),
        "time": "",
        "cost": "",
        "why": one_line(str(error)),
    }


def _moment(time: str) -> str:
    return f"{time[:19].replace('T', ' ')} UTC"


def _now(store: Store) -> str:
    return _moment(iso_time(store.now()))


def page_bytes(text: str) -> bytes:
    """Give a page as a file holds it."""
    return text.encode("utf-8", "backslashreplace")


def write_file(file: Path, text: str) -> Written:
    """Make *file* hold *text*: it holds what it held, or all of it.

    Raises:
        MaverickError: It cannot be written.
        UsageError: It is a folder.
    """
    data = page_bytes(text)
    try:
        if _is_regular(file):
            _replace(Path(os.path.realpath(file)), data)
        else:  # A pipe, or a terminal.
            file.write_bytes(data)
    except OSError as error:
        raise MaverickError(f"cannot write {file}: {error.strerror}") from error
    return Written(file, len(data))


def _is_regular(file: Path) -> bool:
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(mode):
        raise UsageError(f"{file} is a folder; name the file to write, or give --all")
    return stat.S_ISREG(mode)


def _replace(file: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(stream.fileno(), 0o666 & ~mask)
        Path(temporary).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
