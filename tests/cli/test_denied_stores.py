"""A store that this user may not read, or not all of it: one line that says whose it is, and never
that it is damaged.

Permissions do not stop root, who runs tests in containers; then another user does the work, in a
process of his own.
"""

from __future__ import annotations

import json
import os
import pkgutil
import shutil
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import pytest

import maverick
from kit.program import Program, Quick
from kit.shards import sharded, share
from kit.stores import begin, extend
from maverick.checkpoints import Store
from maverick.checkpoints.disk.files import Files

IS_ROOT = os.geteuid() == 0
OTHER = 65534 if IS_ROOT else os.geteuid()
"""Who looks at the store."""
COMMANDS = [
    ["runs"],
    ["run", "flow.yaml"],
    ["run", "flow.yaml", "--resume"],
    *(
        ["checkpoint", *words]
        for words in (
            ["list"],
            ["log"],
            ["show", "@latest"],
            ["cat", "@latest:steps.works.output"],
            ["diff", "@latest~1", "@latest"],
            ["create"],
            ["restore", "files@latest", "--yes"],
            ["tag", "@latest", "name"],
            ["drop", "{run}", "--yes"],
            ["fork", "{run}"],
            ["edit", "@latest", "steps.works.output", "--set", "=1"],
            ["undo", "--yes"],
            ["export", "@latest", "exported"],
            ["import", "run.maverick", "--as", "taken"],
            ["gc"],
            ["gc", "--dry-run"],
            ["fsck"],
            ["fsck", "--read-data"],
            ["fsck", "--repair"],
        )
    ),
]


@contextmanager
def _open_folder() -> Iterator[Path]:
    """Give a folder that every user may enter, and that belongs to who looks at the store."""
    made = Path(tempfile.mkdtemp(prefix="maverick-test-"))
    made.chmod(0o755)
    os.chown(made, OTHER, -1)
    yield made
    for path in [made, *made.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(made)


@pytest.fixture
def folder() -> Iterator[Path]:
    with _open_folder() as made:
        yield made


@pytest.fixture(scope="module")
def filled() -> Iterator[tuple[Program, str]]:
    """A project of who looks at it, and one of its runs; nothing changes it."""
    with _open_folder() as made, pytest.MonkeyPatch.context() as patched:
        program, run = _fill(made, patched)
        for path in [made, *made.rglob("*")]:
            os.chown(path, OTHER, -1, follow_symlinks=False)
        yield program, run


def _as_other(work: Callable[[], object]) -> object:
    """Do *work* in a process of the other user; gives what it gives, which JSON can say."""
    for module in pkgutil.walk_packages(maverick.__path__, "maverick."):
        import_module(module.name)  # what is imported needs not be read
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if IS_ROOT:
                os.setgroups([])
                os.setresgid(OTHER, OTHER, OTHER)
                os.setresuid(OTHER, OTHER, OTHER)
            with os.fdopen(theirs, "w") as told:
                told.write(json.dumps(work()))
            status = 0
        except BaseException:  # noqa: BLE001 - told, and then the process ends
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(theirs)
    with os.fdopen(ours) as told:
        text = told.read()
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(text)


def _fill(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Program, str]:
    """A project with runs of each kind, and each file that a store can have."""
    program = Program(folder / "project")
    program.environment["PATH"] = (
        "/usr/local/bin:/usr/bin:/bin"  # where every user may look for programs
    )
    os.chown(program.root, OTHER, -1)
    program.file(
        "fails.yaml",
        "version: '1.0'\nname: fails\nsteps: [{name: bad, type: shell, run: 'exit 1'}]\n",
    )
    program.flow("- {name: works, type: shell, run: 'echo done'}\n- {name: mark, type: checkpoint}")
    monkeypatch.chdir(program.root)
    monkeypatch.setenv("HOME", str(folder))
    quick = Quick(program)
    quick("run", "fails.yaml")
    quick("checkpoint", "create")
    quick("run", "flow.yaml")
    run = quick("runs", "--json").json[0]["run"]
    quick("checkpoint", "export", run, "run.maverick")
    quick("checkpoint", "fork", run)
    quick("checkpoint", "drop", quick("runs", "--json").json[0]["run"], "--yes")
    for _ in range(2):
        quick("run", "flow.yaml")
    quick("checkpoint", "gc", "--keep-last", "1", "--keep-dropped")
    root = program.root / ".maverick/checkpoints"
    for name in ("tmp/1-0011223344556677", "quarantine/old.ref", f"trash/{'0' * 64}.pack"):
        (root / name).write_bytes(b"left")
    return program, quick("runs", "--json").json[0]["run"]


def _in(project: Path, program: Program, command: list[str], run: str) -> list[object]:
    """Run *program* in the folder *project*; gives how it ended."""
    os.chdir(project)
    try:
        ended = Quick(program)(*(word.format(run=run) for word in command))
    except AssertionError as error:  # it is about an exception that nobody has foreseen
        return [99, "", "".join(traceback.format_exception(*error.args[0]))]
    return [ended.code, ended.out, ended.err]


def _kinds(root: Path) -> list[str]:
    """The folders of the store and the first and last file in each; those of the store's own folder
    all.
    """
    found = [".maverick", ".maverick/checkpoints"]
    for path in sorted((root / ".maverick/checkpoints").iterdir()):
        inside = sorted(path.iterdir()) if path.is_dir() else []
        found += [
            str(it.relative_to(root)) for it in dict.fromkeys([path, *inside[:1], *inside[-1:]])
        ]
    return found


def _judge(command: list[str], where: str, ended: list[object]) -> bool:
    """Check how a command ended; says whether it was denied something."""
    code, out, err = ended
    assert isinstance(err, str)
    assert isinstance(out, str)
    place = f"{command} with {where}: {code}\n{out}{err}"
    assert code in {0, 1}, place
    assert "Traceback" not in err, place
    for word in ("damaged", "torn", "altered", "--repair", "missing", "is gone"):
        assert word not in err + out, place
    denied = "lets its owner in" in err or "a store is one user's" in err
    assert denied or code == 0, place
    return denied


@pytest.mark.parametrize(
    ("command", "shard"),
    sharded(*COMMANDS),
    ids=lambda given: " ".join(given) if isinstance(given, list) else None,
)
def test_what_may_not_be_read_is_not_damaged(
    filled: tuple[Program, str], command: list[str], shard: int
) -> None:
    """Each kind of file and each folder of a store, by each command."""
    program, run = filled
    everywhere = [
        (name, mode)
        for name in _kinds(program.root)
        for mode in ((0o000, 0o600) if (program.root / name).is_dir() else (0o000,))
    ]
    places = share(shard, everywhere)

    def work() -> object:
        found = []
        for number, (name, mode) in enumerate(places):
            copy = program.root.with_name(f"copy{number}")
            shutil.copytree(program.root, copy)
            (copy / name).chmod(mode)
            found.append([f"{name} of mode {mode:o}", _in(copy, program, command, run)])
            with suppress(FileNotFoundError):  # gc may have removed it
                (copy / name).chmod(0o700)
            shutil.rmtree(copy)
        return found

    ended = _as_other(work)

    assert isinstance(ended, list)
    denied = [where for where, how in ended if _judge(command, where, how)]
    for name in (".maverick/checkpoints", ".maverick/checkpoints/format.json"):
        assert (f"{name} of mode 0" in denied) == ((name, 0) in places)


def test_a_store_of_another_user_says_whose_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each command, as after a `sudo maverick run` of an earlier version; the modes do it where
    nobody is root.
    """
    program, run = _fill(folder, monkeypatch)
    store = program.root / ".maverick/checkpoints"
    if IS_ROOT:
        for path in (store, *store.rglob("*")):
            os.chown(path, 0, 0)
    else:
        store.chmod(0)

    ended = _as_other(lambda: [_in(program.root, program, command, run) for command in COMMANDS])

    whose, way = "checkpoints has mode 0000; ", f"`chmod -R u+rwX {program.root}/.maverick`"
    if IS_ROOT:
        whose, way = (
            "checkpoints belongs to root (uid 0), and this is ",
            f"`sudo chown -R {OTHER} {program.root}/.maverick`",
        )
    assert isinstance(ended, list)
    for command, (code, _, err) in zip(COMMANDS, ended, strict=True):
        (line,) = [it for it in err.splitlines() if it.startswith("error: ")]
        assert (1, True, True) == (code, whose in line, way in line), f"{command}: {err}"


class _Giving:
    """Notes what root gives away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: set[int] = set()
        self._really = os.fchown
        monkeypatch.setattr(os, "fchown", self)
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def __call__(self, descriptor: int, uid: int, gid: int) -> None:
        self.given.add(os.fstat(descriptor).st_ino)
        self._really(descriptor, uid, gid)


def test_what_root_writes_into_a_store_is_its_owners(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One `sudo maverick run` in a user's project leaves the store usable: every file and folder,
    whoever made it.
    """
    giving = _Giving(monkeypatch)

    program, run = _fill(folder, monkeypatch)

    store = program.root / ".maverick"
    # by hand, above
    left = {"tmp/1-0011223344556677", "quarantine/old.ref", f"trash/{'0' * 64}.pack"}
    made = [path for path in store.rglob("*") if not any(str(path).endswith(name) for name in left)]
    for path in (store, *made):
        # whose folders are his already
        given = path.stat().st_ino in giving.given or (path.is_dir() and not IS_ROOT)
        assert (OTHER, True) == (path.stat().st_uid, given), path
    for name in left:
        (store / "checkpoints" / name).unlink()
    monkeypatch.undo()
    monkeypatch.chdir(program.root)
    os.chown(program.root, OTHER, -1)
    for command in (
        ["runs"],
        ["checkpoint", "gc"],
        ["checkpoint", "fsck"],
        ["checkpoint", "drop", run, "--yes"],
    ):
        assert 0 == _as_other(lambda command=command: _in(program.root, program, command, run))[0]  # type: ignore[index, misc]


def test_where_nothing_can_be_given_nothing_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that has no owners, or in a container that may not change them."""
    _Giving(monkeypatch)

    def refuse(descriptor: int, uid: int, gid: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    store = Store.create(folder / "store")

    assert 3 == extend(store, begin(store), range(2)).sequence


def test_nothing_is_given_by_path_nor_to_the_owner_of_another_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who puts a link where the store's folder was must not be given a file that root makes
    elsewhere.
    """
    monkeypatch.setattr(os, "chown", None)
    giving = _Giving(monkeypatch)
    own, theirs = folder / "own", folder / "theirs"
    own.mkdir()
    theirs.mkdir()
    os.lchown(own, 0 if IS_ROOT else OTHER, -1)
    os.lchown(theirs, OTHER, -1)
    files = Files()
    os.close(files.create(theirs / "a"))  # it is known now whose that folder is
    theirs.rename(folder / "moved")
    theirs.symlink_to(own)

    os.close(files.create(theirs / "b"))
    files.make_folder(theirs / "c")

    if IS_ROOT:
        assert (0, 0) == ((own / "b").stat().st_uid, (own / "c").stat().st_uid)
    assert stat.S_ISDIR((own / "c").stat().st_mode)
    assert (folder / "moved/a").stat().st_ino in giving.given


def test_who_is_no_root_and_whose_own_store_it_is_asks_the_system_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save costs what it cost."""
    store = Store.create(tmp_path / "store")
    at = begin(store)

    def never(*_: object) -> None:
        raise AssertionError("asked")

    for name in ("fchown", "chown", "mkdir"):
        monkeypatch.setattr(os, name, never)
    real, opened = os.open, []

    def watch(path: str, flags: int, *more: int, **options: int) -> int:
        opened.append(str(path))
        assert not options
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", watch)
    extend(store, at, range(1))
    # two folders are synced
    assert len(opened) == len([path for path in opened if not Path(path).is_dir()]) + 2
