"""The machine and the versions that figures were taken with."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "dulwich",
    "disk-objectstore",
    "langgraph-checkpoint-sqlite",
    "diskcache",
    "blake3",
    "backports.zstd",
    "pyfastcdc",
)


def describe(folder: Path) -> dict[str, str]:
    """Give what a reader of figures taken in *folder* needs to know, by name."""
    found = {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "disk": _disk(folder),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "git": _git(),
        "SQLite": sqlite3.sqlite_version,
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 2**30:.0f} GiB"


def _disk(folder: Path) -> str:
    """Give the file system and the device that hold *folder*."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    except OSError:
        return platform.platform()
    within = [it for it in mounts if folder.resolve().is_relative_to(it[1])]
    device, _, kind, options = max(within, key=lambda it: len(it[1]))[:4]
    return f"{kind} on {device} ({options})"


def _git() -> str:
    if not shutil.which("git"):
        return "none"
    return subprocess.run(
        ["git", "--version"], check=True, capture_output=True, text=True
    ).stdout.split()[2]
