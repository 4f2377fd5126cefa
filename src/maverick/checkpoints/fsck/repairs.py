"""What a repair of the store reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

RepairKind: TypeAlias = Literal[
    "format",  # format.json was written anew
    "folder",  # a missing folder was made
    "brought-back",  # a pack in trash/ may be needed
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
