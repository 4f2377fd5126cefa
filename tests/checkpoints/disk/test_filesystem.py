"""Which file systems are trusted with locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from maverick.checkpoints.disk import filesystem
from maverick.checkpoints.disk.filesystem import mounted_as

MOUNTS = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:27 / /home rw,relatime shared:5 master:2 - nfs4 server:/home rw
31 30 8:1 / /home/me/local\040disk rw - xfs /dev/sda1 rw
32 22 0:30 / /data rw - ext4 /dev/sdb1 rw
33 22 0:31 / /data rw - fuse.sshfs me@host: rw
broken line
34 22 0:32 / /short
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/etc/passwd", "ext4"),
        ("/homely", "ext4"),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/home/me/local disk/x", "xfs"),
        ("/data/x", "fuse.sshfs"),
    ],
)
def test_the_innermost_mount_counts_and_of_several_the_last(path: str, kind: str) -> None:
    assert kind == mounted_as(path, MOUNTS)


def test_nothing_is_known_without_mounts() -> None:
    assert mounted_as("/", "") is None


@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        ("ext4", False),
        ("overlay", False),
        ("fuseblk", False),
        ("nfs4", True),
        ("9p", True),
        ("fuse.sshfs", True),
    ],
)
def test_network_file_systems_are_not_trusted(
    monkeypatch: pytest.MonkeyPatch, kind: str, shared: bool
) -> None:
    """Two local descriptors prove nothing about other hosts."""
    monkeypatch.setattr(filesystem, "_mounts", lambda: f"1 1 0:1 / / rw - {kind} none rw")

    assert shared is filesystem.is_shared(Path("/x"))


def test_what_is_unknown_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "_mounts", lambda: "")

    assert filesystem.is_shared(Path("/x"))


def test_mounts_of_macos_are_understood() -> None:
    lines = [
        "/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)",
        "//me@server/share on /Volumes/My Share (smbfs, nodev, nosuid, mounted by me)",
    ]
    mounts = "\n".join(map(filesystem._darwin_line, lines))

    assert ["apfs", "nfs"] == [
        mounted_as("/Users/me", mounts),
        mounted_as("/Volumes/My Share/x", mounts),
    ]
