"""Large files of a workspace: read, stored and restored in parts."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.workspaces import Project
from maverick.checkpoints.workspace import Disk, capture, plan_restore, reading, restore
from maverick.errors import StoreDamaged, WorkspaceUnreadable

LARGE = 400_000
"""Here, files from this size on are large."""


@pytest.fixture(autouse=True)
def _threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reading, restore):
        monkeypatch.setattr(module, "STREAMED_FROM_BYTES", LARGE)


def _bytes(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    """Beside small ones, read once, executable or not."""
    project = Project(tmp_path)
    project.put("large", _bytes(3 * LARGE))
    project.put("just", _bytes(LARGE, 2)).chmod(0o755)
    project.put("small", "s")
    project.save()
    assert ["just", "large", "small"] == project.disk.names()
    project.tip = project.store.save("run", {}, parent=project.tip, kind="label", label="then")
    for name in ("large", "just"):
        project.put(name, _bytes(2 * LARGE, 3))

    project.restore("run@then")

    assert [_bytes(3 * LARGE), _bytes(LARGE, 2)] == [
        (project.root / it).read_bytes() for it in ("large", "just")
    ]
    assert (0o644, 0o755) == tuple(
        (project.root / it).stat().st_mode & 0o777 for it in ("large", "just")
    )


def test_a_small_change_is_stored_small(tmp_path: Path) -> None:
    """What did not change of a large file is there already, wherever it stands now."""
    project = Project(tmp_path)
    data = _bytes(10 * LARGE)
    project.put("large", data)
    project.save()
    objects = project.store.root / "objects"
    before = sum(path.stat().st_size for path in objects.iterdir())

    project.put("large", data[:LARGE] + b"inserted" + data[LARGE:])
    project.save()

    added = sum(path.stat().st_size for path in objects.iterdir()) - before
    assert added < len(data) / 5


class Growing(Disk):
    """Appends to the file while it is read, so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    @contextmanager
    def parts(
        self, path: str
    ) -> Iterator[tuple[Callable[[int], bytes], Callable[[], os.stat_result]]]:
        with super().parts(path) as (read, status):

            def growing(count: int) -> bytes:
                if self.left:
                    self.left -= 1
                    with Path(path).open("ab") as file:
                        file.write(b"more")
                return read(count)

            yield growing, status


def test_one_that_grows_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    """What is stored was there at one instant."""
    project = Project(tmp_path, disk=Growing(1))
    project.put("large", _bytes(LARGE))

    project.save()

    assert _bytes(LARGE) + b"more" == project.store.load("run").data("workspace/large")


def test_one_that_never_holds_still_is_named(tmp_path: Path) -> None:
    """After some attempts, none of which reads on for ever."""
    project = Project(tmp_path, disk=Growing(1_000_000))
    project.put("large", _bytes(LARGE))

    with pytest.raises(WorkspaceUnreadable, match="large: it changes while it is read"):
        project.save()


def test_what_is_watched_for_is_found_across_parts(tmp_path: Path) -> None:
    """A secret does not hide where one part ends."""
    project = Project(tmp_path)
    for at in (0, 131_070, 1_048_570, LARGE - 6):
        data = bytearray(2_000_000)
        data[at : at + 6] = b"secret"
        project.put(f"at{at}", bytes(data))
    project.put("none", bytes(2_000_000))

    taken = capture(project.store, project.workspace, watch_for=lambda data: b"secret" in data)
    project.store.save("run", taken.changes, parent=None)

    assert ["at0", "at1048570", "at131070", f"at{LARGE - 6}"] == sorted(taken.watched)


def test_a_damaged_one_leaves_the_file_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it was written aside when that came out; nothing of it stays."""
    project = Project(tmp_path)
    project.put("large", _bytes(3 * LARGE))
    project.save()
    project.put("large", _bytes(2 * LARGE, 2))
    read = project.store.read_chunks

    def damaged(object_id: object) -> Iterator[bytes]:
        yield next(read(object_id))  # type: ignore[arg-type]
        raise StoreDamaged("a chunk is damaged")

    monkeypatch.setattr(project.store, "read_chunks", damaged)

    with pytest.raises(StoreDamaged, match="a chunk is damaged"):
        plan_restore(project.store, project.store.load("run"), project.workspace).execute()

    assert ["large"] == [path.name for path in project.root.iterdir()]
    assert _bytes(2 * LARGE, 2) == (project.root / "large").read_bytes()


CHILD = """
import os, sys
from pathlib import Path
from maverick.checkpoints import Store
from maverick.checkpoints.workspace import capture, open_workspace, plan_restore

root = Path(sys.argv[1]) / "project"
root.mkdir()
store = Store.create(Path(sys.argv[1]) / "store")

def fill(number):
    with (root / f"large{number}").open("wb") as file:
        for _ in range(90):
            file.write(os.urandom(1 << 20))

fill(1)
fill(2)
tip = store.save("run", capture(store, open_workspace(root)).changes, parent=None)
fill(1)
plan_restore(store, store.snapshot(tip), open_workspace(root)).execute()
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    """Files of nearly 100 MB, the limit, are saved, compared and restored in less than 150 MB."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) * 1024 < 150_000_000
