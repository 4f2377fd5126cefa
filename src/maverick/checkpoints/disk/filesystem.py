"""Which file systems other hosts may have mounted, too: what locks there keep out is unknown. And
which boot of the system this is.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

_MOUNTS = "/proc/self/mountinfo"
_BOOT = "/proc/sys/kernel/random/boot_id"
# Several hosts, or a host and its guests, may have these mounted at once.
# fmt: off
_SHARED = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fhgfs", "fuse",
    "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs",
    "panfs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs",
})
# fmt: on


def is_shared(path: Path) -> bool:
    """Say whether *path* is on a network file system, or on one of which nothing is known."""
    kind = mounted_as(os.path.realpath(path), _mounts())
    return kind is None or kind in _SHARED or kind.startswith("fuse.")


def mounted_as(path: str, mounts: str) -> str | None:
    """Give the type of the file system that *path* (absolute, without links) is on; None if that is
    unknown.

    *mounts* is the text of `/proc/self/mountinfo`. Of mounts at the same place the last one counts.
    """
    longest, kind = -1, None
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if not separator or len(fields) < 5 or not kinds:
            continue
        point = _unescaped(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:
            longest, kind = len(point), kinds[0]
    return kind


@cache
def boot() -> bytes:
    """Give 16 bytes that are others after the system was started again; zeros if nobody knows."""
    try:
        text = Path(_BOOT).read_text(encoding="ascii")
        return bytes.fromhex(text.strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)


def _mounts() -> str:
    if sys.platform == "darwin":
        return _darwin_mounts()
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - no file of the store
            return file.read()
    except OSError:
        return ""


def _darwin_mounts() -> str:
    """Give what `mount` says, in the form of Linux; what is not marked local is of the kind
    `nfs`.
    """
    import subprocess  # noqa: PLC0415 - only macOS comes here, when something is to go come here

    text = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
    return "\n".join(_darwin_line(line) for line in text.splitlines())


def _darwin_line(line: str) -> str:
    place, _, rest = line.partition(" on ")[2].rpartition(" (")
    words = [word.strip() for word in rest.rstrip(")").split(",")]
    return (
        f"0 0 0:0 / {place.replace(' ', chr(92) + '040')} - "
        f"{words[0] if 'local' in words else 'nfs'}"
    )


def _unescaped(field: str) -> str:
    r"""Give a path with its `\040` and the like replaced by what they stand for."""
    for code, text in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, text)
    return field
