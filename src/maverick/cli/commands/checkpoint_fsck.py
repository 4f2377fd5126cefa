"""Check the store for damage.

The exit code is 20 if there is any. Each finding names the runs that it affects. Nothing is
changed, unless by --repair.

A repair removes nothing: it copies what is whole out of damaged files, moves those to quarantine/,
and makes each run stand at its newest whole checkpoint.

Examples:
  maverick checkpoint fsck
  maverick checkpoint fsck --read-data --json
  maverick checkpoint fsck --repair
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text
from maverick.cli.terminal.streams import print_err, print_out
from maverick.errors import StoreDamaged

if TYPE_CHECKING:
    from maverick.checkpoints.fsck.findings import Finding, Repair


def command(
    *,
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Read and verify every object, too.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what is damaged, then check again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints.fsck.check import check  # noqa: PLC0415

    folder = this_project().store_folder
    done = _repair(folder) if repair else []
    found = list(check(folder, read_data=read_data or repair))
    if as_json:
        findings = [_finding(it) for it in found]
        print_out(
            json_text(
                {"repaired": [asdict(it) for it in done], "findings": findings}
                if repair
                else findings
            )
            + "\n"
        )
    else:
        print_out("".join(f"{it.kind}: {it.message}\n" for it in done))
        print_out("".join(_finding_text(it) for it in found) or "the store is whole\n")
    if any(it.severity == "error" for it in found):
        if not repair and not as_json:
            print_err(
                "`maverick checkpoint fsck --repair` saves what is whole, and removes nothing"
            )
        raise typer.Exit(StoreDamaged.exit_code)


def _repair(folder: Path) -> "list[Repair]":
    from maverick.checkpoints.fsck.repair import repair  # noqa: PLC0415

    return repair(folder, clock=lambda: time.time_ns() // 1_000_000)


def _finding(it: "Finding") -> dict[str, Any]:
    return {
        "severity": it.severity,
        "kind": it.kind,
        "object": it.object or None,
        "file": it.file or None,
        "runs": list(it.runs),
        "message": it.message,
    }


def _finding_text(it: "Finding") -> str:
    affected = f" (runs: {', '.join(it.runs)})" if it.runs else ""
    return f"{it.severity}: {it.message}{affected}\n"
