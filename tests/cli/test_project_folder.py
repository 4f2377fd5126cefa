"""`-C`, MAVERICK_PROJECT, and how the program says which folder is the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit.program import Program, Quick
from kit.runs import whole

FLOW = """
steps:
  - {name: here, type: shell, run: pwd}
outputs: ${{ steps.here.output.value }}
"""


@pytest.fixture
def nested(quick: Quick) -> Quick:
    """A project with a folder in it, a workflow in each."""
    quick.program.file("flow.yaml", whole(FLOW, "flow"))
    quick.program.file("sub/inner.yaml", whole(FLOW, "inner"))
    return quick


@pytest.fixture
def root(nested: Quick) -> str:
    return str(nested.program.root)


class TestSayingTheRoot:
    def test_the_first_line_names_it_where_it_is_not_the_current_folder(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(nested.program.root / "sub")

        done = nested("run", "inner.yaml")

        assert (0, f"{root}\n") == (done.code, done.out)
        assert f" project  {root}" == done.err.splitlines()[0]
        assert f" project  {root}" == nested("run", "inner.yaml", "--plan").err.splitlines()[0]
        assert "" == nested("run", "inner.yaml", "--quiet").err

    def test_elsewhere_nothing_is_said(self, nested: Quick) -> None:
        assert " project  " not in nested("run", "flow.yaml").err

    def test_a_current_folder_behind_a_link_is_the_root_itself(
        self, nested: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "link").symlink_to(nested.program.root)
        monkeypatch.chdir(tmp_path / "link")

        assert " project " not in nested("run", "flow.yaml").err

    def test_a_name_with_escapes_is_shown_without(
        self, nested: Quick, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = nested.program.root / "\x1b[31m"
        (folder / "sub").mkdir(parents=True)
        (folder / "maverick.yaml").touch()
        monkeypatch.chdir(folder / "sub")

        assert (
            "\x1b" not in nested("run", str(nested.program.root / "flow.yaml")).err.splitlines()[0]
        )


class TestJson:
    @pytest.mark.parametrize(
        "args",
        [
            ("run", "inner.yaml"),
            ("run", "nosuch"),
            ("run",),
            ("run", "inner.yaml", "--rerun"),
            ("run", "inner.yaml", "--nosuch"),
            ("run", "inner.yaml", "-i", "nosuch=1"),
            ("run", "inner.yaml", "--resume"),
            ("fly", "--nosuch"),
        ],
        ids=" ".join,
    )
    def test_it_always_has_the_project(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
    ) -> None:
        """Whether a run came to be or not."""
        monkeypatch.chdir(nested.program.root / "sub")

        assert root == nested(*args, "--json").json["project"]

    def test_it_is_null_where_nobody_knows(
        self, nested: Quick, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(nested.program.environment, "MAVERICK_PROJECT", "nosuch")

        done = nested("run", "flow.yaml", "--json")

        assert (2, None) == (done.code, done.json["project"])


class TestBeginningElsewhere:
    def test_files_are_meant_from_there(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("/")
        nested.program.file("sub/given.yaml", "{}")

        done = nested(
            "-C", f"{root}/sub", "run", "inner.yaml", "--inputs", "given.yaml", "--events", "events"
        )

        assert (0, f"{root}\n") == (done.code, done.out), done.err
        assert f" project  {root}" == done.err.splitlines()[0]
        assert (nested.program.root / "sub/events").exists()
        assert "/" == str(Path.cwd())

    def test_each_is_seen_from_the_one_before(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in git; an empty one changes nothing."""
        monkeypatch.chdir(nested.program.root.parent)

        assert (
            f"{root}\n" == nested("-C", "project", "-C", "", "-C", "sub", "run", "inner.yaml").out
        )
        assert f"{root}\n" == nested("-Cproject", "run", "flow.yaml").out

    @pytest.mark.parametrize("folder", ["nosuch", "flow.yaml", "nul\0"])
    def test_a_folder_that_is_none_exits_2(self, nested: Quick, folder: str) -> None:
        done = nested("-C", folder, "run", "flow.yaml", "--json")

        assert (2, None) == (done.code, done.json["project"])
        assert done.err.startswith(f"error: cannot go to {folder!r} (-C): ")
        assert 2 == nested("-C", "sub", "-C", folder, "runs").code

    def test_a_failure_there_is_answered_from_there(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("/")

        assert root == nested("-C", f"{root}/sub", "run", "nosuch", "--json").json["project"]

    def test_the_command_that_resumes_begins_there_too(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("/")
        nested.program.file(
            "sub/fragile.yaml", whole("- {name: a, type: shell, run: 'test -e ready'}", "fragile")
        )

        failed = nested("-C", f"{root}/sub", "run", "fragile.yaml", "--json")

        assert (
            f"maverick -C {root}/sub run fragile.yaml --resume={failed.json['run']}"
            == failed.json["resume"]
        )
        assert failed.last_line == failed.json["resume"]
        nested.program.file("ready", "")
        assert 0 == nested(*failed.json["resume"].split()[1:]).code

    def test_it_stands_before_the_command(self, nested: Quick) -> None:
        assert 2 == nested("run", "-C", "sub", "inner.yaml").code

    @pytest.mark.parametrize(
        "args",
        [
            ("runs",),
            ("workflow", "list"),
            ("checkpoint", "list"),
            ("fly", "--help"),
            ("--version",),
        ],
    )
    def test_all_commands_take_it(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
    ) -> None:
        nested("run", "flow.yaml")
        monkeypatch.chdir("/")

        assert 0 == nested("-C", root, *args).code
        assert "/" == str(Path.cwd())


class TestNamingTheRoot:
    def test_steps_run_there_and_files_are_meant_from_here(
        self, nested: Quick, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "else").mkdir()
        (tmp_path / "else/mine.yaml").write_text((nested.program.root / "flow.yaml").read_text())
        monkeypatch.chdir(tmp_path / "else")
        monkeypatch.setitem(nested.program.environment, "MAVERICK_PROJECT", "../project")

        done = nested("run", "mine.yaml", "--json")

        assert (root, root) == (done.json["output"], done.json["project"])
        assert f" project  {root}" == done.err.splitlines()[0]
        assert 1 == len(nested("runs", "--json").json)

    def test_what_is_started_elsewhere_finds_the_same_project(
        self, nested: Quick, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Steps run in other folders, and so does what collects garbage after a run."""
        nested.program.flow(
            "steps:\n  - {name: a, type: shell, run: 'echo $MAVERICK_PROJECT'}", "told"
        )
        started: list[tuple[list[str], dict[str, str]]] = []

        def start(argv: list[str], cwd: Path, env: dict[str, str]) -> object:
            del cwd
            started.append((argv, env))
            raise ProcessLookupError

        monkeypatch.setattr("maverick.checkpoints.store.collecting_pays", lambda _store: True)
        monkeypatch.setattr(
            "maverick.cli.here._start",
            start,
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(nested.program.environment, "MAVERICK_PROJECT", "project")

        nested("run", "project/told.yaml")

        (argv, environment) = started[0]
        assert root == environment["MAVERICK_PROJECT"]
        assert "-P" in argv
        shown = nested("checkpoint", "show", "@latest:steps.a.output.value", "--json").json
        assert root == shown

    def test_a_relative_name_is_seen_from_where_the_command_begins(
        self, nested: Quick, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As git sees GIT_DIR with -C."""
        monkeypatch.chdir("/")
        monkeypatch.setitem(nested.program.environment, "MAVERICK_PROJECT", "sub")

        assert f"{root}/sub\n" == nested("-C", root, "run", "sub/inner.yaml").out

    @pytest.mark.parametrize(
        "args", [("run", "flow.yaml"), ("runs",), ("fly", "--help"), ("checkpoint", "create")]
    )
    def test_what_is_no_folder_exits_2(
        self, nested: Quick, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
    ) -> None:
        for name in ("nosuch", "flow.yaml"):
            monkeypatch.setitem(nested.program.environment, "MAVERICK_PROJECT", name)

            done = nested(*args)

            assert 2 == done.code
            assert f"error: MAVERICK_PROJECT names {name!r}" in done.err


def test_a_home_that_was_run_in_does_not_take_over_what_is_below(program: Program) -> None:
    """One `maverick run` in the home is enough to leave a store there."""
    outside = program.root.parent
    home = outside / "home"
    repository = home / "code/repository"
    for folder in (outside, repository):  # Where everybody may write, the search ends.
        (folder / ".git").mkdir(parents=True)
        (folder / ".git/HEAD").write_text("ref: refs/heads/main\n")
    outside.chmod(0o777)
    (repository / "plain").mkdir()
    for folder in (home, repository, home / "code"):
        (folder / "flow.yaml").write_text(
            program.file("flow.yaml", whole(FLOW, "flow")).read_text()
        )
    assert f"{home}\n" == program.run("run", "flow.yaml", cwd=home).out

    assert f"{repository}\n" == program.run("run", "flow.yaml", cwd=repository).out
    assert f"{repository}\n" == program.run("run", "../flow.yaml", cwd=repository / "plain").out
    assert f"{home}/code\n" == program.run("run", "flow.yaml", cwd=home / "code").out


def test_a_removed_folder_is_left(program: Program, tmp_path: Path) -> None:
    program.flow(FLOW)
    gone = tmp_path / "gone"

    done = program.shell(
        f"mkdir {gone}; cd {gone}; rmdir {gone}; maverick -C {program.root} run flow.yaml"
    )

    assert (0, f"{program.root}\n") == (done.code, done.out), done.err


# --- what stands in for what ships ----------------------------------------------------------------


class TestOverriding:
    @pytest.fixture
    def overridden(self, nested: Quick) -> Quick:
        """A project with a `validate_and_fix` of its own, and a workflow that calls it by another
        spelling.
        """
        nested.program.flow("- {name: a, type: shell, run: 'true'}", ".maverick/workflows/mine")
        path = nested.program.root / ".maverick/workflows/mine.yaml"
        path.write_text(
            path.read_text().replace("name: .maverick/workflows/mine", "name: validate_and_fix")
        )
        nested.program.flow("- {name: b, type: subworkflow, workflow: validate-and-fix}", "caller")
        return nested

    NOTE = ".maverick/workflows/mine.yaml, instead of the one that ships"

    def test_a_run_says_it(self, overridden: Quick) -> None:
        assert (
            f"    note  the workflow validate-and-fix is {self.NOTE}"
            in overridden("run", "caller.yaml").err
        )
        assert (
            f"    note  the workflow validate_and_fix is {self.NOTE}"
            in overridden("run", "validate_and_fix").err
        )

    def test_a_plan_says_it(self, overridden: Quick) -> None:
        done = overridden("run", "caller.yaml", "--plan", "--json")

        assert [f"the workflow validate-and-fix is {self.NOTE}"] == done.json["notes"]

    def test_a_resumption_says_it(self, overridden: Quick) -> None:
        overridden.program.flow(
            "- {name: b, type: subworkflow, workflow: validate-and-fix}\n"
            "- {name: c, type: shell, run: 'test -e ready'}",
            "caller",
        )
        overridden("run", "caller.yaml")

        assert self.NOTE in overridden("run", "caller.yaml", "--resume").err
        assert self.NOTE in str(
            overridden("run", "caller.yaml", "--resume", "--plan", "--json").json["notes"]
        )

    def test_fly_says_it(self, overridden: Quick) -> None:
        overridden.program.file(
            ".maverick/workflows/fly.yaml",
            'version: "1.0"\nname: fly\nsteps: [{name: a, type: shell, run: "true"}]\n',
        )

        assert (
            ".maverick/workflows/fly.yaml, instead of the one that ships" in overridden("fly").err
        )
        assert "" == overridden("fly", "--quiet").err

    def test_a_users_file_counts_as_well(self, overridden: Quick) -> None:
        (overridden.program.root / ".maverick/workflows/mine.yaml").unlink()
        folder = Path(overridden.program.environment["HOME"]) / ".config/maverick/workflows"
        folder.mkdir(parents=True)
        (folder / "v.yaml").write_text(
            'version: "1.0"\nname: validate\nsteps: [{name: a, type: shell, run: "true"}]\n'
        )

        assert (
            f"note  the workflow validate is {folder}/v.yaml, instead"
            in overridden("run", "validate").err
        )

    def test_a_file_that_is_named_and_names_that_do_not_ship_are_no_news(
        self, overridden: Quick
    ) -> None:
        overridden.program.file(
            ".maverick/workflows/own.yaml",
            'version: "1.0"\nname: own\nsteps: [{name: a, type: shell, run: "true"}]\n',
        )

        assert "note" not in overridden("run", ".maverick/workflows/mine.yaml").err
        assert "note" not in overridden("run", "own").err


def test_a_check_imports_modules_and_a_check_of_syntax_does_not(quick: Quick) -> None:
    """As the help says."""
    module = f"looked_at_{os.getpid()}_{abs(hash(quick.program.root)):x}"
    quick.program.file(
        f"{module}.py", "import pathlib\n\npathlib.Path(__file__).with_name('ran').touch()\n"
    )
    quick.program.file("maverick.yaml", f"actions: [{module}]\n")
    quick.program.flow("- {name: a, type: python, action: nosuch}")
    ran = quick.program.root / "ran"

    assert 0 == quick("workflow", "check", "flow.yaml", "--syntax").code
    assert not ran.exists()
    assert 3 == quick("workflow", "check", "flow.yaml").code
    assert ran.exists()
    assert "With --syntax it imports nothing" in " ".join(
        quick("workflow", "check", "--help").out.split()
    )
    assert "Modules of actions are imported" in " ".join(quick("run", "--help").out.split())
