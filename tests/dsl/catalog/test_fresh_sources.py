"""Actions whose source is edited twice within what Python's bytecode can tell apart."""

from __future__ import annotations

import linecache
import os
import py_compile
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.runs import Runs
from maverick.dsl.catalog.actions import add_to_path, importing_from, load_action

OLD = "def give():\n    return 1\n"
NEW = "def give():\n    return 2\n"


def _write(file: Path, source: str, moment: float) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(source)
    os.utime(file, (moment, moment))


def _give(root: Path, module: str = "edited", function: str = "give") -> object:
    with importing_from(str(root)):
        add_to_path(str(root))
        return load_action(f"{module}:{function}", root=root).function()


@pytest.mark.parametrize("place", ["edited.py", "package/edited.py"])
def test_an_edit_within_a_second_is_run(tmp_path: Path, place: str) -> None:
    """The step's key is of the new source, so its output has to be, too."""
    file, module = tmp_path / place, place.removesuffix(".py").replace("/", ".")
    now = time.time()
    _write(file, OLD, now)
    assert 1 == _give(tmp_path, module)
    _write(file, NEW, now)

    assert 2 == _give(tmp_path, module)


def test_a_module_that_an_action_imports_is_as_fresh(tmp_path: Path) -> None:
    """Whoever imports it."""
    now = time.time()
    _write(tmp_path / "outer.py", "import edited\n\ndef give():\n    return edited.give()\n", now)
    _write(tmp_path / "edited.py", OLD, now)
    assert 1 == _give(tmp_path, "outer")
    _write(tmp_path / "edited.py", NEW, now)

    assert 2 == _give(tmp_path, "outer")


def test_bytecode_that_another_program_left_is_not_taken(tmp_path: Path) -> None:
    """A test runner imports the module between the two edits."""
    file = tmp_path / "edited.py"
    _write(file, OLD, time.time())
    moment = file.stat().st_mtime
    py_compile.compile(str(file), doraise=True)
    _write(file, NEW, moment)

    assert 2 == _give(tmp_path)


def test_a_source_that_has_settled_keeps_its_bytecode(tmp_path: Path) -> None:
    """Importing it again compiles nothing: the bytecode stays as it is."""
    file = tmp_path / "edited.py"
    _write(file, OLD, time.time() - 10)
    assert 1 == _give(tmp_path)
    (cached,) = (tmp_path / "__pycache__").iterdir()
    written = cached.stat().st_mtime_ns
    file_time = file.stat().st_mtime
    _write(file, NEW, file_time)

    # Python's own check cannot tell the two apart, which shows that the bytecode was taken.
    assert (1, written) == (_give(tmp_path), cached.stat().st_mtime_ns)


def test_an_installed_package_in_the_project_is_left_to_python(tmp_path: Path) -> None:
    """Large ones are compiled as they are installed, and not at each import."""
    site = tmp_path / ".venv" / "site-packages"
    site.mkdir(parents=True)
    now = time.time()
    _write(site / "edited.py", OLD, now)
    code = (
        "import sys; from maverick.dsl.catalog.actions import add_to_path; "
        f"add_to_path({str(tmp_path)!r}); sys.path.append({str(site)!r}); import edited"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    assert (site / "__pycache__").is_dir()


def test_a_step_runs_the_source_that_its_key_is_of(runs: Runs) -> None:
    """An edit between two executions, as quick as that."""
    now = time.time()
    _write(runs.root / "edited.py", OLD, now)
    runs.flow("""
    - {name: a, type: python, action: "edited:give"}
    - {name: b, type: python, action: unless, args: [b, ready]}
    """)
    runs.start()
    sys.modules.pop("edited")
    linecache.clearcache()  # Another process has none.
    _write(runs.root / "edited.py", NEW, now)
    runs.resume(policy="rerun")
    sys.modules.pop("edited")

    assert 2 == runs.value("steps/a")
