"""disk-objectstore: contents and a manifest for each checkpoint as objects, a file that names a
run's checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from disk_objectstore import CompressMode, Container

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.subject import State


class PackedContainer:
    """Objects go straight into a pack, as the documentation advises for many small ones.

    Its `do_fsync`, which is on, syncs no pack on Linux in 1.5.0: with `use_fullsync`,
    `safe_flush_to_disk` leaves the file out and calls `fcntl(descriptor, 0)` for the folder, which
    is F_DUPFD. So a save that was acknowledged may be lost, although the index was synced, and each
    leaves a descriptor open.
    """

    name: ClassVar[str] = "disk-objectstore, pack"
    durable: ClassVar[str] = "no"
    how: ClassVar[str] = (
        "`add_objects_to_pack` of what `has_objects` lacks (`do_fsync` syncs no pack on Linux); "
        "`repack`"
    )
    skips: ClassVar[Mapping[str, str]] = {}

    def open(self, folder: Path) -> None:
        """Open or make the container."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.container = Container(folder / "store")
        if not self.container.is_initialised:
            self.container.init_container()
        self.refs = folder / "store" / "runs"
        self.refs.mkdir(exist_ok=True)
        self.manifests: dict[str, dict[str, str]] = {}
        self.logs: dict[str, list[str]] = {}

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Add the objects that are not there, then the manifest, then note the checkpoint."""
        found = {name: self._pending(piece) for name, piece in changed.items()}
        manifest = self.manifests.setdefault(run, {})
        manifest.update({name: key for name, (key, _) in found.items()})
        text = json.dumps(manifest).encode()
        key = hashlib.sha256(text).hexdigest()
        new = dict([*found.values(), (key, text)])
        keys = list(new)
        there = self.container.has_objects(keys)
        self.add([new[each] for each, known in zip(keys, there, strict=True) if not known])
        log = self.logs.setdefault(run, [])
        log.append(key)
        self._note(run, log)
        return key

    def _pending(self, piece: bytes | Path) -> tuple[str, bytes | Path]:
        if isinstance(piece, bytes):
            return hashlib.sha256(piece).hexdigest(), piece
        with piece.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), piece

    def add(self, pieces: list[bytes | Path]) -> None:
        """Add to a pack; what is a file is streamed."""
        self.container.add_objects_to_pack([piece for piece in pieces if isinstance(piece, bytes)])
        for piece in pieces:
            if isinstance(piece, Path):
                with piece.open("rb") as file:
                    self.container.add_streamed_object_to_pack(file)

    def _note(self, run: str, log: list[str]) -> None:
        """The container has no names: those of the run's checkpoints go into a file of the
        caller's, durably.
        """
        temporary = self.refs / "temporary"
        with temporary.open("w") as file:
            file.write("\n".join(log))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.refs / run)
        descriptor = os.open(self.refs, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Read the manifest, then all objects at once."""
        manifest = json.loads(self.container.get_object_content(checkpoint))
        found = self.container.get_objects_content(list(set(manifest.values())))
        return {name: found[key] for name, key in manifest.items()}

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Compare the manifests, read what differs."""
        before, after = (json.loads(self.container.get_object_content(key)) for key in (old, new))
        read = self.container.get_object_content
        return {
            name: (read(before[name]), read(key))
            for name, key in after.items()
            if before[name] != key
        }

    def collect(self, keep: list[str]) -> None:
        """Mark from the runs that stay, delete the rest, repack compressed."""
        live = set()
        for log in self.refs.iterdir():
            if log.name not in keep:
                log.unlink()
                continue
            for key in log.read_text().split():
                live |= {key, *json.loads(self.container.get_object_content(key)).values()}
        self.container.delete_objects(
            [key for key in self.container.list_all_objects() if key not in live]
        )
        self.container.pack_all_loose()
        self.container.repack(CompressMode.YES)
        self.container.clean_storage()

    def close(self) -> None:
        """Close the files and the database."""
        self.container.close()


class LooseContainer(PackedContainer):
    """A file for each object, the default of the documentation."""

    name: ClassVar[str] = "disk-objectstore, loose"
    durable: ClassVar[str] = "yes"
    how: ClassVar[str] = "`add_object` for each; synced by itself"
    skips: ClassVar[Mapping[str, str]] = {
        "wide": "many small objects belong into a pack, says its documentation",
        **dict.fromkeys(("load", "diff", "gc"), "as the line before"),
    }

    def add(self, pieces: list[bytes | Path]) -> None:
        """Add one by one; what is a file is streamed."""
        for piece in pieces:
            if isinstance(piece, bytes):
                self.container.add_object(piece)
            else:
                with piece.open("rb") as file:
                    self.container.add_streamed_object(file)
