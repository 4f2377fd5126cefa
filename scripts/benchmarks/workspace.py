"""What a snapshot of about 50,000 files and 1 GB costs, beside git, restic and borg on the same
tree.

`scripts/bench workspace [FOLDER]` takes a copy of FOLDER (default: the interpreter's own
installation) and one program after the other through: a first snapshot, again unchanged (the median
of five), again when 1 % of the files changed, restoring these, restoring all into a new folder, and
the bytes stored. Figures of one run belong together; compare ratios. Programs that are not
installed are skipped, with the Debian package that has them. `--quick` takes 2,000 files, to see
whether it works; `--markdown` prints the table for docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from maverick.checkpoints import Checkpoint, Store
from maverick.checkpoints.workspace import capture, open_workspace, plan_copy, plan_restore

ROUNDS = 5
QUICK_FILES = 2_000
PACKAGES = {"git": "git", "restic": "restic", "borg": "borgbackup"}
"""The Debian package that has a program."""
QUIET = {
    **os.environ,
    "RESTIC_PASSWORD": "benchmark",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
}
QUIET |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
ROWS = ["first", "unchanged", "1 % changed", "restore 1 %", "restore all", "MB stored"]


def run(command: str, folder: Path) -> str:
    """Run a command line in *folder*; gives what it prints."""
    done = subprocess.run(
        command, shell=True, cwd=folder, check=True, capture_output=True, text=True, env=QUIET
    )
    return done.stdout.strip()


def megabytes(folder: Path) -> float:
    """The bytes of all files below *folder*."""
    return sum(it.stat().st_size for it in folder.rglob("*") if it.is_file()) / 1e6


class Cost(NamedTuple):
    """Seconds by the clock, and of all processors: the second holds on a machine that does other
    things too.
    """

    seconds: float
    processor: float


class Maverick:
    """Snapshots by the library, as in a run: Python is started already. A save is durable when it
    returns.
    """

    name = "maverick"

    def __init__(self, tree: Path, folder: Path) -> None:
        self.tree, self.folder = tree, folder

    def prepare(self) -> None:
        """Make an empty store."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.store = Store.create(self.folder)
        self.tip: Checkpoint | None = None

    def save(self) -> None:
        """Save a snapshot."""
        taken = capture(self.store, open_workspace(self.tree))
        self.tip = self.store.save("bench", taken.changes, parent=self.tip)

    def restore(self) -> None:
        """Put the files back as they were in the first snapshot."""
        plan_restore(
            self.store, self.store.load("bench@first"), open_workspace(self.tree)
        ).execute()

    def restore_all(self, target: Path) -> None:
        """Write all files of the first snapshot into a new folder."""
        plan_copy(self.store, self.store.load("bench@first"), target).execute()

    def mark(self) -> None:
        """Give the first snapshot a name."""
        self.store.tag("bench", "first", self.tip)

    def stored(self) -> float:
        """Megabytes in the store, without the reserve and the cache."""
        return megabytes(self.folder / "objects") + megabytes(self.folder / "refs")


class Program:
    """A program that is run by command lines. `{store}`, `{tree}` and `{target}` stand for
    folders.
    """

    def __init__(self, name: str, tree: Path, folder: Path, **commands: str) -> None:
        self.name, self.tree, self.folder, self.commands = name, tree, folder, commands
        self.first = ""

    def _run(self, what: str, **places: Path) -> str:
        names = {"store": self.folder, "tree": self.tree, "first": self.first, **places}
        return run(self.commands[what].format(**names), self.tree)

    def prepare(self) -> None:
        """Make an empty store."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._run("init")

    def save(self) -> None:
        """Save a snapshot."""
        said = self._run("save")
        self.first = self.first or said

    def mark(self) -> None:
        """The name of the first snapshot is known already."""

    def restore(self) -> None:
        """Put the files back as they were in the first snapshot, where the program can do only
        that.
        """
        self._run("restore")

    def restore_all(self, target: Path) -> None:
        """Write all files of the first snapshot into a new folder."""
        target.mkdir()
        self._run("restore_all", target=target)

    def stored(self) -> float:
        """Megabytes in the store."""
        return megabytes(self.folder)


def programs(tree: Path, folder: Path) -> list[Maverick | Program]:
    """Everything that is compared, as far as it is installed; says what is not."""
    inner = "git --git-dir={store} --work-tree={tree}"
    borg = (
        "borg create --files-cache=ctime,size,inode {store}::$(date +%s%N) . && borg list --short "
        "--first 1 {store}"
    )
    peers = [
        Program(
            "git",
            tree,
            folder / "git",
            init=f"git init -q --bare {{store}} && {inner} config core.bare false",
            save=f"{inner} add -A && {inner} write-tree",
            restore=f"{inner} read-tree --reset -u {{first}}",
            restore_all=f"{inner} archive {{first}} | tar -x -C {{target}}",
        ),
        Program(
            "restic",
            tree,
            folder / "restic",
            init="restic -q -r {store} init",
            save="restic -q -r {store} backup . && restic -q -r {store} snapshots --json | head "
            "-c 0",
            restore_all="restic -q -r {store} restore latest --target {target}",
        ),
        Program(
            "borg",
            tree,
            folder / "borg",
            init="borg init -e none {store}",
            save=borg,
            restore_all="cd {target} && borg extract {store}::{first}",
        ),
    ]
    found: list[Maverick | Program] = [Maverick(tree, folder / "maverick")]
    for it in peers:
        if shutil.which(it.name):
            found.append(it)
        else:
            print(
                f"{it.name} is not installed (Debian: apt-get install {PACKAGES[it.name]}); "
                "skipped",
                file=sys.stderr,
            )
    return found


def settle() -> None:
    """Let the disk come to rest and the times of what was written grow old."""
    os.sync()
    time.sleep(2.5)


def seconds(work: Callable[[], object]) -> Cost:
    """How long *work* takes, by the clock and of all processors."""
    start, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return Cost(time.perf_counter() - start, sum(after[:4]) - sum(before[:4]))


def change(files: list[Path], number: int) -> None:
    """Write one in a hundred of *files* anew, as editors do: half in place, half as a new file."""
    chosen = random.Random(number).sample(files, len(files) // 100)
    for at, file in enumerate(chosen):
        data = file.read_bytes() + f"\n# changed {number}\n".encode()
        if at % 2:
            file.write_bytes(data)
        else:
            other = file.with_name(".changing")
            other.write_bytes(data)
            other.replace(file)


def measure(it: Maverick | Program, pristine: Path, tree: Path, folder: Path) -> dict[str, Cost]:
    """Take one program through all there is to do."""
    run(
        f"rsync -a --delete {pristine}/ {tree}/"
        if shutil.which("rsync")
        else f"cp -a {pristine}/. {tree}/",
        folder,
    )
    files = [file for file in sorted(tree.rglob("*")) if file.is_file() and not file.is_symlink()]
    it.prepare()
    settle()
    print(f"{it.name} …", file=sys.stderr)
    times = {"first": seconds(it.save)}
    it.mark()
    settle()
    times["unchanged"] = sorted(seconds(it.save) for _ in range(ROUNDS))[ROUNDS // 2]
    times["MB stored"] = Cost(it.stored(), 0)
    change(files, 1)
    settle()
    times["1 % changed"] = seconds(it.save)
    settle()
    in_place = isinstance(it, Maverick) or "restore" in it.commands
    times["restore 1 %"] = seconds(it.restore) if in_place else Cost(0, 0)
    target = folder / "target"
    times["restore all"] = seconds(lambda: it.restore_all(target))
    shutil.rmtree(target)
    return times


def copy(source: Path, target: Path, most_files: int | None) -> int:
    """Copy *source*, or so many files of it, and give how many there are."""
    if most_files is None:
        shutil.copytree(source, target, symlinks=True)
        return sum(len(files) for _, _, files in os.walk(target))
    count = 0
    for folder, _, names in os.walk(source):
        inside = target / Path(folder).relative_to(source)
        for name in sorted(names)[: most_files - count]:
            inside.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(folder) / name, inside / name, follow_symlinks=False)
            count += 1
        if count == most_files:
            break
    return count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(sys.base_prefix), help="what to take a copy of"
    )
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK_FILES:,} files of it")
    parser.add_argument(
        "--markdown", action="store_true", help="print the table for docs/performance.md"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maverick-bench-") as name:
        folder = Path(name).resolve()
        pristine, tree = folder / "pristine", folder / "tree"
        count = copy(options.folder, pristine, QUICK_FILES if options.quick else None)
        tree.mkdir()
        print(
            f"{count:,} files, {megabytes(pristine):,.0f} MB; {os.cpu_count()} cores, load "
            f"{os.getloadavg()[0]:.1f}"
        )
        print(f"Python {platform.python_version()}, {platform.system()} {platform.release()}")
        print("seconds by the clock (of all processors), and ratios to git\n")
        found = {it.name: measure(it, pristine, tree, folder) for it in programs(tree, folder)}
        print("\n".join(table(found, markdown=options.markdown)))


def table(found: dict[str, dict[str, Cost]], *, markdown: bool) -> Iterator[str]:
    """Yield the lines: one for each row of figures, a column for each program."""
    yield (
        "| | " + " | ".join(found) + " |"
        if markdown
        else f"{'':14}" + "".join(f"{name:>32}" for name in found)
    )
    if markdown:
        yield "| --- |" + " ---: |" * len(found)
    for row in ROWS:
        cells = [_cell(times[row], found.get("git", {}).get(row)) for times in found.values()]
        yield (
            f"| {row} | " + " | ".join(cells) + " |"
            if markdown
            else f"{row:14}" + "".join(f"{it:>32}" for it in cells)
        )


def _cell(cost: Cost, git: Cost | None) -> str:
    """A figure and its ratio to git's, by the clock and, in brackets, of all processors."""
    if not cost.seconds:
        return "-"
    ratio = f" {cost.seconds / git.seconds:.2f} x" if git and git.seconds else ""
    if not cost.processor:
        return f"{cost.seconds:.2f}{ratio}"
    share = f" {cost.processor / git.processor:.2f} x" if git and git.processor else ""
    return f"{cost.seconds:.2f}{ratio} ({cost.processor:.2f}{share})"


if __name__ == "__main__":
    main()
