"""A project's scripts are not taken for modules that maverick imports; its actions' modules are
found, or refused.
"""

from __future__ import annotations

import os
import subprocess
import sys
import types
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from kit.program import Program
from kit.runs import Runs
from maverick.dsl.catalog.actions import add_to_path
from maverick.project import Project

_IMPORTED_LATE = [
    *(
        "random",
        "copy",
        "datetime",
        "calendar",
        "numbers",
        "decimal",
        "fractions",
        "textwrap",
        "base64",
        "tempfile",
    ),
    *(
        "difflib",
        "statistics",
        "inspect",
        "asyncio",
        "shlex",
        "shutil",
        "json",
        "uuid",
        "secrets",
        "attr",
        "attrs",
    ),
    *("jsonschema", "referencing", "rpds", "yaml", "typer", "blake3"),
]
_FLOW = """
- {name: a, type: python, action: "tools.work:sync", timeout: 5m, args: ["${{ quote('a b') }}"]}
- {name: b, type: python, action: "tools.work:sync", args: [1]}
- {name: c, type: python, action: "tools.work:later", timeout: 5m}
- {name: d, type: agent, agent: h, context: {x: 1}, output_schema: {type: object,
   properties: {a: {pattern: ^x}}}}
- {name: e, type: shell, run: echo "$X", env: {X: 1}}
- {name: f, type: generate, generator: commit_message, context: {}}
"""


@pytest.fixture
def shadowed(tmp_path: Path) -> Program:
    """A project that uses much of maverick, among scripts named like modules; importing one of them
    fails.
    """
    program = Program(tmp_path / "project")
    program.environment.pop("PYTHONPATH")
    program.file("maverick.yaml", "agents: {h: {provider: command, command: [echo, '{}']}}\n")
    program.file("tools/work.py", "def sync(x): return x\nasync def later(): return 3\n")
    program.file("flow.yaml", f'version: "1.0"\nname: flow\nsteps:{_FLOW}')
    return program


def _run(program: Program, *command: str) -> None:
    for words in (
        ["workflow", "check", "flow.yaml"],
        ["run", "flow.yaml", "--quiet"],
        ["runs"],
        ["checkpoint", "gc"],
    ):
        done = subprocess.run(
            [sys.executable, *command, *words],
            cwd=program.root,
            env=program.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (
            done.returncode,
            "".join(line for line in [done.stderr] if "Error" in line),
        ), words


def test_no_script_replaces_a_module_of_python_or_of_a_package(shadowed: Program) -> None:
    """Whatever it is called: all names at once, started as the installed program is."""
    for name in {*sys.stdlib_module_names, *packages_distributions()} - {"tools", "maverick"}:
        if PathFinder.find_spec(name) is None and name not in sys.builtin_module_names:
            continue  # A module of another system.
        shadowed.file(f"{name}.py", f"raise RuntimeError('Error: the project has {name}')\n")

    _run(shadowed, "-P", "-m", "maverick")


@pytest.mark.parametrize("path", ["", "."])
def test_nor_where_the_current_folder_is_the_first_place(shadowed: Program, path: str) -> None:
    """As for `python -m maverick`, and with a PYTHONPATH that names it."""
    for name in _IMPORTED_LATE:
        shadowed.file(f"{name}.py", f"raise RuntimeError('Error: the project has {name}')\n")
    if path:
        shadowed.environment["PYTHONPATH"] = path

    _run(shadowed, "-m", "maverick")


def test_an_action_starts_programs_with_the_environment_of_the_user(runs: Runs) -> None:
    """PYTHONPATH is not maverick's own way to its modules."""
    runs.set_actions(
        """
    def path():
        import os
        import sys
        return [os.environ.get("PYTHONPATH"), sys.argv[1:]]
    """
    )
    runs.flow("- {name: a, type: python, action: path, timeout: 5m}")

    assert [None, []] == runs.start().output


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("os._exit(7)", "exit code 7, and it wrote nothing; did it call `os._exit`"),
        ("os._exit(0)", "exit code 0, and it wrote nothing"),
        ("print('no disk', file=sys.stderr, flush=True); os._exit(3)", "exit code 3: no disk"),
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL; the system does so where memory runs out"),
        ("os.kill(os.getpid(), 6)", "killed by SIGABRT: Fatal Python error: Aborted\nstderr:\n"),
    ],
)
def test_a_process_that_ends_too_early_says_why(runs: Runs, body: str, why: str) -> None:
    runs.set_actions(f"import sys\ndef end():\n    {body}\n")
    runs.flow("- {name: a, type: python, action: end, timeout: 5m}")

    error = runs.start().error

    assert f"the process of action end ended before the action did: {why}" in error


def test_an_action_that_cannot_be_loaded_again_says_why(runs: Runs) -> None:
    """In the child, too: the file may have changed since."""
    runs.set_actions(
        "import os\nif os.getppid() != PARENT: raise LookupError('gone')\n".replace(
            "PARENT", str(os.getppid())
        )
    )
    runs.flow(f"- {{name: a, type: python, action: '{runs.module}:give', timeout: 5m}}")

    assert "importing it fails: LookupError: gone" in runs.start().error


# --- modules of the project that are hidden -------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "action", "whose"),
    [
        (
            "random.py",
            "random:f",
            "random.py of the project is hidden by Python's own module random (",
        ),
        ("sys.py", "sys:f", "sys.py of the project is hidden by Python's own module sys;"),
        (
            "json/mine.py",
            "json.mine:f",
            "json/mine.py of the project is hidden by Python's own module json (",
        ),
        (
            "yaml.py",
            "yaml:f",
            "yaml.py of the project is hidden by the package yaml that is installed (",
        ),
        (
            "maverick/own.py",
            "maverick.own:f",
            "maverick/own.py of the project is hidden by the package maverick",
        ),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_a_module_that_python_would_not_take_is_refused_at_check(
    runs: Runs, file: str, action: str, whose: str, listed: bool
) -> None:
    """Both are named, and the way out; the other one is not called in its place."""
    runs.file(file, "def f(): return 1\n")
    runs.flow(f"- {{name: a, type: python, action: {'f' if listed else repr(action)}}}")
    if listed:
        runs.file("maverick.yaml", f"actions: [{action.removesuffix(':f')}]\n")

    checked = Project(runs.root, runs.environment).catalog().check("flow.yaml")

    messages = [problem.message for problem in checked.problems]
    assert 1 == len(messages)
    assert whose in messages[0]
    assert messages[0].endswith("give it another name")


def test_folders_that_share_a_name_without_being_packages_are_both_searched(
    runs: Runs, tmp_path: Path
) -> None:
    """A `tools` that is no package hides nothing."""
    other = tmp_path / "installed"
    (other / "shared_7").mkdir(parents=True)
    (other / "shared_7" / "theirs.py").write_text("def f(): return 'theirs'\n")
    runs.file("shared_7/ours.py", "def f(): return 'ours'\n")
    runs.flow("""
    - {name: a, type: python, action: 'shared_7.theirs:f'}
    - {name: b, type: python, action: 'shared_7.ours:f', args: []}
    """)
    sys.path.append(str(other))
    try:
        done = runs.start()
    finally:
        sys.path.remove(str(other))

    assert "ours" == done.output


def test_projects_of_one_process_each_have_their_own_modules(tmp_path: Path) -> None:
    """Also where they are called the same, and after one another's turn."""
    names = ("one", "two")
    for name in names:
        program = Program(tmp_path / name)
        program.file(
            "same_7.py",
            f"from same_package_7.inner import NAME\ndef f(): return NAME == {name!r}\n",
        )
        program.file("same_package_7/inner.py", f"NAME = {name!r}\n")

    for name in (*names, *names):
        catalog = Project(tmp_path / name, {}).catalog()
        assert catalog.action("same_7:f").function()


def test_what_is_installed_can_be_named_where_the_project_has_none_of_that_name(runs: Runs) -> None:
    runs.flow("- {name: a, type: python, action: 'platform:system'}")

    assert os.uname().sysname == runs.start().output


class Importing(types.ModuleType):
    """A module that is asked for its file while another thread imports."""

    def __getattribute__(self, name: str) -> object:
        if name == "__file__":
            sys.modules.setdefault("imported_meanwhile", types.ModuleType("imported_meanwhile"))
        return super().__getattribute__(name)


def test_another_project_is_left_while_a_thread_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Iterations that run side by side load their actions when they come to them."""
    monkeypatch.setattr("maverick.dsl.catalog.actions._roots", [])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {"importing": Importing("importing"), **sys.modules})

    for project in ("one", "other", "one"):
        add_to_path(str(tmp_path / project))

    assert str(tmp_path / "one") in sys.path
    assert "imported_meanwhile" in sys.modules
