"""Check the store for damage.

The exit code is 20 if there is any. Each finding names the runs that it affects. Nothing is
changed, unless by --repair.

A repair removes nothing: it copies what is whole out of damaged files, moves those to quarantine/,
and makes each run stand at its newest whole checkpoint. On network file systems other hosts cannot
be kept out of the store. Nothing is repaired there, unless by --alone.

Examples:
  maverick checkpoint fsck
  maverick checkpoint fsck --read-data --json
  maverick checkpoint fsck --repair
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import now_ms
from maverick.cli.terminal.streams import print_err
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
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="Nothing else uses the store now: repair also where locks keep nobody out.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints.fsck.check import check  # noqa: PLC0415

    folder = this_project().store_folder
    done = _repair(folder, trust_locks=alone or None) if repair else []
    findings = list(check(folder, read_data=read_data or repair))
    is_whole = all(finding.severity != "error" for finding in findings)
    rows = [_row(finding) for finding in findings]
    reply(
        {"repaired": [asdict(each) for each in done], "findings": rows} if repair else rows,
        as_json=as_json,
        text="".join(f"{each.kind}: {each.message}\n" for each in done)
        + "".join(map(_line, findings))
        + ("the store is whole\n" if is_whole else ""),
    )
    if not is_whole:
        # What another version wrote is nothing to be repaired.
        if not repair and not as_json and all(finding.kind != "too-new" for finding in findings):
            print_err(
                "`maverick checkpoint fsck --repair` saves what is whole, and removes nothing"
            )
        raise typer.Exit(StoreDamaged.exit_code)


def _repair(folder: Path, *, trust_locks: bool | None) -> "list[Repair]":
    from maverick.checkpoints.fsck.repair import repair  # noqa: PLC0415

    return repair(folder, clock=now_ms, trust_locks=trust_locks)


def _row(finding: "Finding") -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "object": finding.object or None,
        "file": finding.file or None,
        "runs": list(finding.runs),
        "message": finding.message,
    }


def _line(finding: "Finding") -> str:
    affected = f" (runs: {', '.join(finding.runs)})" if finding.runs else ""
    return f"{finding.severity}: {finding.message}{affected}\n"
