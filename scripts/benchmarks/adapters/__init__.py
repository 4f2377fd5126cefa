"""The stores that are compared, by name. Each is imported only by the process that uses it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.subject import Subject

PLACES = {
    "maverick": "maverick_store:Maverick",
    "git commit": "git_commit:GitCommit",
    "git commit, fsync": "git_commit:GitCommitSynced",
    "git fast-import": "git_import:FastImport",
    "git fast-import, checkpoint": "git_import:FastImportSynced",
    "dulwich": "dulwich_repository:Dulwich",
    "dulwich, fsync": "dulwich_repository:DulwichSynced",
    "disk-objectstore, pack": "object_container:PackedContainer",
    "disk-objectstore, loose": "object_container:LooseContainer",
    "langgraph-checkpoint-sqlite": "langgraph_saver:LangGraph",
    "diskcache": "disk_cache:DiskCache",
    "diskcache, fsync": "disk_cache:DiskCacheSynced",
    "bare writes": "limits:BareWrites",
    "BLAKE3 alone": "limits:Hashing",
    "zstd 3 alone": "limits:Compressing",
}
"""Where each stands in `adapters`, in the order of the table; the others are compared with the
first.
"""

LIMITS = ("bare writes", "BLAKE3 alone", "zstd 3 alone")


def load(name: str) -> Callable[[], Subject]:
    """Import a subject. Its class makes one when called."""
    module, _, kind = PLACES[name].partition(":")
    found: Callable[[], Subject] = getattr(import_module(f"adapters.{module}"), kind)
    return found
