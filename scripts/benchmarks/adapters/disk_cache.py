"""diskcache: contents under their hashes, a manifest for each checkpoint, one transaction for each
save.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, ClassVar

from diskcache import Cache

from adapters.subject import content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapters.subject import State


class DiskCache:
    """Its defaults, but for eviction: 32 KiB and more in a file, the rest in SQLite, `synchronous =
    NORMAL`.
    """

    name: ClassVar[str] = "diskcache"
    durable: ClassVar[str] = "no"
    how: ClassVar[str] = (
        "`transact`: `add` under the SHA-256, `set` of a manifest; eviction off; `delete`"
    )
    skips: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[dict[str, Any]] = {"eviction_policy": "none", "cull_limit": 0}

    def open(self, folder: Path) -> None:
        """Open or make the cache."""
        self.cache = Cache(str(folder / "store"), **self.settings)
        self.manifests: dict[str, dict[str, str]] = {}

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Add what is new, then the manifest, then the run's newest checkpoint."""
        manifest = self.manifests.setdefault(run, {})
        with self.cache.transact():
            for name, piece in changed.items():
                data = content(piece)
                key = hashlib.sha256(data).hexdigest()
                self.cache.add(key, data)
                manifest[name] = key
            sequence = self.cache.get(f"run {run}", 0) + 1
            self.cache.set(f"{run} {sequence}", json.dumps(manifest))
            self.cache.set(f"run {run}", sequence)
        return f"{run} {sequence}"

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Get the manifest, then each content."""
        return {name: self.cache[key] for name, key in json.loads(self.cache[checkpoint]).items()}

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Compare the manifests, get what differs."""
        before, after = (json.loads(self.cache[key]) for key in (old, new))
        return {
            name: (self.cache[before[name]], self.cache[key])
            for name, key in after.items()
            if before[name] != key
        }

    def collect(self, keep: list[str]) -> None:
        """Mark from the runs that stay, delete the rest; SQLite gives the space back by itself
        (`auto_vacuum`).
        """
        live = set()
        for run in keep:
            live.add(f"run {run}")
            for sequence in range(1, self.cache[f"run {run}"] + 1):
                live |= {f"{run} {sequence}", *json.loads(self.cache[f"{run} {sequence}"]).values()}
        with self.cache.transact():
            for key in list(self.cache):
                if key not in live:
                    self.cache.delete(key)

    def close(self) -> None:
        """Close the database."""
        self.cache.close()


class DiskCacheSynced(DiskCache):
    """Everything in SQLite, every transaction synced."""

    name: ClassVar[str] = "diskcache, fsync"
    durable: ClassVar[str] = "yes"
    how: ClassVar[str] = (
        "the same with `sqlite_synchronous=2` and `disk_min_file_size` of 2 GiB (files are not "
        "synced)"
    )
    skips: ClassVar[Mapping[str, str]] = dict.fromkeys(("load", "diff", "gc"), "as the line before")
    settings: ClassVar[dict[str, Any]] = DiskCache.settings | {
        "sqlite_synchronous": 2,
        "disk_min_file_size": 2**31,
    }
