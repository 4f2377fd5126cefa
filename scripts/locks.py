"""The locks: `requirements/*.txt`, what `scripts/venv` installs, with versions and hashes.

One lock serves every Python and system that is supported. Run by `scripts/lock`, which makes them;
`check` says offline what is wrong with them, and `news` what the environment at hand has that is
newer.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "x86_64-unknown-linux-gnu": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    },
    "aarch64-unknown-linux-gnu": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "aarch64",
    },
    "x86_64-apple-darwin": {
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "platform_machine": "x86_64",
    },
    "aarch64-apple-darwin": {
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
    },
}
OLDEST_PYTHONS = ("3.11", "3.12", "3.13")
"""Those for which the oldest releases were built."""
EDITABLE = "editables>=0.3"
"""What hatchling imports for an editable installation; it asks for it when it builds, not in its
metadata.
"""
NAMES = ("run", "dev", "bench", "oldest")
_ENTRY = re.compile(
    r"(?P<name>[a-z0-9.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+))?"
    r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one package, for the Pythons and systems that its marker is true of."""

    name: str
    version: Version
    marker: Marker | None
    text: str

    def fits(self, surroundings: dict[str, str]) -> bool:
        """Whether it is installed there."""
        return self.marker is None or self.marker.evaluate(surroundings)


def surroundings() -> Iterator[dict[str, str]]:
    """Every Python on every system, as markers see them."""
    for python, system in itertools.product(PYTHONS, SYSTEMS.values()):
        yield {
            **system,
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_version": f"{python}.0",
        }


def wanted(name: str, root: Path = ROOT) -> list[str]:
    """What the lock *name* has to hold, as `pyproject.toml` and the list of peers ask for it."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    asked = [*project["build-system"]["requires"], EDITABLE, *project["project"]["dependencies"]]
    if name in {"dev", "oldest"}:
        asked += project["dependency-groups"]["dev"]
    if name == "bench":
        peers = (root / "scripts/benchmarks/peers.txt").read_text("utf-8").splitlines()
        asked += [line for line in peers if line and not line.startswith("#")]
    return asked


def head(name: str, asked: list[str]) -> str:
    """The lines that a lock begins with; they change with all that it was made from."""
    command = {
        "oldest": "scripts/test --oldest",
        "bench": "scripts/bench peers",
        "run": "scripts/venv",
    }
    source = hashlib.sha256(
        json.dumps([name, PYTHONS, sorted(SYSTEMS), asked]).encode()
    ).hexdigest()
    return (
        f"# What `{command.get(name, 'scripts/venv dev')}` installs. Made by `scripts/lock`; do "
        "not edit.\n"
        f"# For Python {PYTHONS[0]} to {PYTHONS[-1]} on Linux and macOS.\n"
        f"# Made from sha256 {source}\n"
    )


def entries(text: str) -> tuple[list[Entry], str]:
    """The packages of a lock, and what of its text is none of them."""
    found = [
        Entry(
            match["name"],
            Version(match["version"]),
            Marker(match["marker"]) if match["marker"] else None,
            match[0],
        )
        for match in _ENTRY.finditer(text)
    ]
    return found, _ENTRY.sub("", text)


def problems(name: str, text: str, asked: list[str]) -> list[str]:
    """What is wrong with the *text* of the lock *name*; no line if nothing is."""
    if not text:
        return ["it is not there"]
    wrong: dict[str, str] = {}  # What is wrong, and the first place for which it is.
    if not text.startswith(head(name, asked)):
        wrong["it was not made from what pyproject.toml asks for now"] = ""
    if "://" in text:
        wrong["it names an address"] = ""
    locked, rest = entries(text)
    for line in rest.splitlines():
        if line and not line.startswith("# "):
            wrong[f"it holds a line that is no package with version and hashes: {line[:80]}"] = ""
    for where in surroundings():
        place = (
            f" for Python {where['python_version']} on {where['platform_system']} "
            f"{where['platform_machine']}"
        )
        for problem in _problems_at(where, name, locked, asked):
            wrong.setdefault(problem, place)
    return [f"{problem}{place}" for problem, place in wrong.items()]


def _problems_at(
    where: dict[str, str], name: str, locked: list[Entry], asked: list[str]
) -> Iterator[str]:
    versions: dict[str, Version] = {}
    for entry in locked:
        if entry.fits(where):
            if entry.name in versions:
                yield f"{entry.name} stands twice"
            versions[entry.name] = entry.version
    for requirement in map(Requirement, asked):
        version = versions.get(canonicalize_name(requirement.name))
        if requirement.marker and not requirement.marker.evaluate(where):
            continue
        if version is None:
            yield f"{requirement.name} is missing"
        elif version not in requirement.specifier:
            yield f"it holds {requirement.name} {version}, and asked for is {requirement}"
        elif name == "oldest" and version != _lower_bound(requirement):
            yield f"the oldest release that is tried is {version}, and {requirement} says another"


def _lower_bound(requirement: Requirement) -> Version | None:
    bounds = [part.version for part in requirement.specifier if part.operator in {">=", "==", "~="}]
    return max(map(Version, bounds), default=None)


def make(uv: str, *, upgrade: Iterable[str] | None) -> None:
    """Write every lock. What is locked stays where it still fits; *upgrade* names what may rise,
    `[]` all of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("dev", "run", "bench", "oldest"):
            asked = wanted(name)
            source, target = Path(folder, f"{name}.in"), Path(folder, f"{name}.txt")
            source.write_text("".join(f"{line}\n" for line in asked), "utf-8")
            options = [
                "--universal",
                "--python-version",
                PYTHONS[0],
                "--generate-hashes",
                "--no-header",
            ]
            options += ["--no-annotate", "--no-config", "--quiet", "--output-file", str(target)]
            if name == "oldest":
                options += ["--resolution", "lowest-direct"]
            else:
                if (ROOT / "requirements" / f"{name}.txt").exists():
                    target.write_bytes((ROOT / "requirements" / f"{name}.txt").read_bytes())
                if upgrade is not None:
                    options += [f"--upgrade-package={package}" for package in upgrade] or [
                        "--upgrade"
                    ]
                if name != "dev":
                    options += ["--constraint", str(Path(folder, "dev.txt"))]
            subprocess.run([uv, "pip", "compile", *options, str(source)], check=True, cwd=folder)
            locked, _ = entries(target.read_text("utf-8"))
            kept = [entry.text for entry in locked if any(map(entry.fits, surroundings()))]
            target.write_text(head(name, asked) + "".join(kept), "utf-8")
            _try(uv, target)
        made = {name: Path(folder, f"{name}.txt").read_text("utf-8") for name in NAMES}
    wrong = [
        f"requirements/{name}.txt: {it}"
        for name in NAMES
        for it in problems(name, made[name], wanted(name))
    ]
    if wrong:
        sys.exit("\n".join(["The locks cannot be made:", *wrong]))
    (ROOT / "requirements").mkdir(exist_ok=True)
    for name, text in made.items():
        (ROOT / "requirements" / f"{name}.txt").write_text(text, "utf-8")


def _try(uv: str, lock: Path) -> None:
    """Hold that every Python on every system finds each package ready-built, with a hash of the
    lock.
    """
    options = [
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-config",
        "--quiet",
        "--dry-run",
    ]
    for python, system in itertools.product(PYTHONS, SYSTEMS):
        if lock.stem == "oldest" and python not in OLDEST_PYTHONS:
            continue
        place = [
            "--target",
            str(lock.parent / "target"),
            "--python-version",
            python,
            "--python-platform",
            system,
        ]
        done = subprocess.run(
            [uv, "pip", "install", *options, *place, "--requirement", str(lock)],
            check=False,
            cwd=lock.parent,
        )
        if done.returncode:
            sys.exit(
                f"requirements/{lock.name} does not fit Python {python} on {system}; see above."
            )


def check() -> None:
    """Exit 1 with a line for each thing that is wrong with the locks."""
    wrong = []
    for name in NAMES:
        lock = ROOT / "requirements" / f"{name}.txt"
        text = lock.read_text("utf-8") if lock.exists() else ""
        wrong += [
            f"requirements/{name}.txt: {problem}" for problem in problems(name, text, wanted(name))
        ]
    if wrong:
        sys.exit("\n".join([*wrong, "Run `scripts/lock`."]))


def news() -> None:
    """Say what this environment has in another version than the lock."""
    locked, _ = entries((ROOT / "requirements" / "dev.txt").read_text("utf-8"))
    for entry in locked:
        if entry.marker is None or entry.marker.evaluate():
            try:
                version = metadata.version(entry.name)
            except metadata.PackageNotFoundError:
                continue
            if Version(version) != entry.version:
                print(f"not as in requirements/dev.txt: {entry.name} {entry.version} -> {version}")


def main() -> None:
    """Make the locks, check them, or compare."""
    parser = argparse.ArgumentParser(prog="scripts/lock", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only say what is wrong with them, offline"
    )
    parser.add_argument(
        "--news", action="store_true", help="only say what this environment has in another version"
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything")
    parser.add_argument(
        "--upgrade-package",
        metavar="NAME",
        action="append",
        default=[],
        help="take the newest NAME",
    )
    parser.add_argument("--uv", default="uv", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        check()
    elif options.news:
        news()
    else:
        upgrade = [] if options.upgrade else options.upgrade_package or None
        make(options.uv, upgrade=upgrade)


if __name__ == "__main__":
    main()
