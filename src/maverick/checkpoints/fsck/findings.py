"""What a check of the store reports, and what a repair of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

RepairKind: TypeAlias = Literal[
    "format",  # format.json was written anew
    "folder",  # a missing folder was made
    "salvaged",  # the whole objects of damaged packs were copied into a new one
    "quarantined",  # a damaged file was set aside
    "rolled-back",  # a run stands at an older checkpoint
    "mended",  # a ref names nothing any more that is damaged
    "rebuilt",  # a torn or missing ref was made from the run's checkpoints
    "given-up",  # of a run nothing is left that could be resumed
    "left",  # nothing could be done
]


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was done. `file` is a path inside the store, `run` the run that it is about,
    or empty.
    """

    kind: RepairKind
    message: str
    file: str = ""
    run: str = ""


Severity: TypeAlias = Literal["error", "warning"]
FindingKind: TypeAlias = Literal[
    "format",  # format.json is missing or damaged
    "folder",  # a folder is missing
    "ref",  # a ref is torn, altered, or does not fit the checkpoint it stands at
    "ref-missing",  # a run has checkpoints, but no ref
    "dropped",  # the list of dropped runs is damaged
    "pack",  # a pack's header, records, index or trailer are damaged
    "object-missing",  # something leads to an object that is in no readable pack
    "object-corrupt",  # objects, one or a row of them, are not what was written
    # a tree or checkpoint is not in its canonical form, or says wrong things of another
    "object-malformed",
    "too-new",  # a newer version wrote it; nothing is known about it
    "unreadable",  # the operating system cannot read it
    "leftover",  # something that a killed process left behind; gc removes it
    "stray",  # a file that does not belong there
]
_ADVICE = re.compile(r"; run `maverick checkpoint fsck( --read-data)?`\Z")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. An `error` is damage, a `warning` is not.

    `object` is an object's id, `file` a path inside the store; empty where the finding is about
    none. `runs` are the runs that are affected: those whose refs lead to what is damaged.
    """

    severity: Severity
    kind: FindingKind
    message: str
    object: str = ""
    file: str = ""
    runs: tuple[str, ...] = ()


def error(
    kind: FindingKind, message: str, *, object_id: str = "", file: str = "", run: str | None = None
) -> Finding:
    """Give a finding that is damage, to *run* if that is known yet; of *message* without the advice
    to run fsck.
    """
    runs = () if run is None else (run,)
    return Finding("error", kind, _ADVICE.sub("", message), object_id, file, runs)


def warning(kind: FindingKind, message: str, *, file: str = "") -> Finding:
    """Give a finding that is no damage."""
    return Finding("warning", kind, message, "", file)
