"""The program as a user to whom files are closed, and in folders that belong to somebody else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.users import IS_ROOT, NOBODY, command, ended, give_away, open_folder

FLOW = (
    'version: "1.0"\nname: {name}\nsteps: [{{name: a, type: shell, run: "pwd"}}]\n'
    "outputs: ${{{{ steps.a.output.value }}}}\n"
)
only_root = pytest.mark.skipif(
    not IS_ROOT, reason="only root can give files away; test_trust.py plays their owners"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A project that every user may enter, its owner (no root) may change, with a folder that is
    closed to him.
    """
    with open_folder() as folder:
        (folder / "project").mkdir()
        (folder / "project/maverick.yaml").touch()
        (folder / "project/flow.yaml").write_text(FLOW.format(name="flow"))
        (folder / "closed/maverick/workflows").mkdir(parents=True)
        (folder / "closed/.config/maverick/workflows").mkdir(parents=True)
        give_away(folder / "project")
        (folder / "closed").chmod(0o700 if IS_ROOT else 0)
        yield folder
        (folder / "closed").chmod(0o700)


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": "{0}/closed"},
        {"XDG_CONFIG_HOME": "{0}/closed"},
        {"HOME": "{0}/project/flow.yaml"},
        {"HOME": "relative"},
        {"HOME": ""},
        {"HOME": "/nonexistent", "XDG_CONFIG_HOME": "{0}/project/flow.yaml"},
    ],
    ids=str,
)
def test_a_home_that_is_none_holds_no_workflow(place: Path, variables: dict[str, str]) -> None:
    """Containers and `su` keep the home of another user."""
    environment = {name: text.format(place) for name, text in variables.items()}
    listing = command("workflow", "list", cwd=place / "project", env=environment)
    asked = command("workflow", "show", "validate", cwd=place / "project", env=environment)
    ended(listing), ended(asked)  # Loads all that they need.

    listed, shown = ended(listing, ordinary=True), ended(asked, ordinary=True)

    assert (0, 0) == (listed.code, shown.code), (listed.err, shown.err)
    assert "validate_and_fix" in listed.out
    if any(text.endswith("closed") for text in variables.values()):
        closed = place / "closed"
        assert f"warning: {closed}" in listed.err
        assert (
            f"is left out because it cannot be listed: Permission denied; {closed} belongs to "
            in listed.err
        )
    else:
        assert "" == listed.err


def test_a_folder_of_workflows_that_is_closed_is_left_out_and_named(place: Path) -> None:
    folder = place / "project/.maverick/workflows"
    folder.mkdir(parents=True)
    folder.chmod(0o700 if IS_ROOT else 0)
    listing = command("workflow", "list", cwd=place / "project")
    ended(listing)

    listed = ended(listing, ordinary=True)

    folder.chmod(0o700)
    assert 0 == listed.code, listed.err
    assert (
        f"warning: {folder} is left out because it cannot be listed: Permission denied; it belongs to "
        in listed.err
    )


@pytest.mark.parametrize("name", ["maverick.yaml", "flow.yaml", ".maverick/workflows/other.yaml"])
def test_a_file_that_may_not_be_read_is_named_with_its_owner(place: Path, name: str) -> None:
    file = place / "project" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(FLOW.format(name="other") if "other" in name else file.read_text())
    wanted = command(
        "run", "other" if "other" in name else "flow.yaml", "--plan", cwd=place / "project"
    )
    ended(wanted)
    file.chmod(0o600 if IS_ROOT else 0)

    done = ended(wanted, ordinary=True)

    assert 3 == done.code, done.err
    assert 1 == len(done.err.splitlines())
    mode = "0600" if IS_ROOT else "0000"
    assert f"{name}: cannot be read: Permission denied; it belongs to" in done.err
    assert done.err.endswith(f"(uid {os.geteuid()}) and has mode {mode}\n")


@pytest.mark.parametrize(
    "args", [("runs",), ("run", "flow.yaml", "--json"), ("-C", "{0}/closed", "runs")], ids=str
)
def test_a_folder_that_may_not_be_entered_is_named_with_its_owner(
    place: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    (place / "closed").chmod(0o700)
    monkeypatch.chdir(place / ("project" if "-C" in args else "closed"))
    wanted = command(*(word.format(place) for word in args))
    ended(wanted)
    (place / "closed").chmod(0o700 if IS_ROOT else 0)

    done = ended(wanted, ordinary=True)

    assert 2 == done.code, done.err
    assert 1 == len(done.err.splitlines())
    assert "belongs to" in done.err
    assert "closed" in done.err
    if "--json" in args:
        assert '"project": null' in done.out


@pytest.mark.parametrize("mark", ["", "maverick.yaml", ".maverick"])
def test_so_it_is_below_a_project(place: Path, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """Whether it is a project of its own cannot be seen."""
    closed = place / "project/closed"
    closed.mkdir()
    if mark:
        (closed / mark).mkdir()
    monkeypatch.chdir(closed)
    wanted = command("run", "../flow.yaml")
    ended(wanted)
    closed.chmod(0o700 if IS_ROOT else 0)

    done = ended(wanted, ordinary=True)

    closed.chmod(0o700)
    assert (2, 1) == (done.code, len(done.err.splitlines())), done.err
    assert f"{closed} may not be entered: it belongs to " in done.err


@pytest.mark.parametrize("by", ["-C", "MAVERICK_PROJECT"])
@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_project_can_be_named_from_a_folder_that_may_not_be_entered(
    place: Path, monkeypatch: pytest.MonkeyPatch, by: str, plan: tuple[str, ...]
) -> None:
    """`sudo -u service maverick -C /srv/project` in root's home: nobody can go back there, nor has
    to.
    """
    (place / "closed").chmod(0o700)
    monkeypatch.chdir(place / "closed")
    project = str(place / "project")
    options, environment = (
        (["-C", project], {}) if by == "-C" else ([], {"MAVERICK_PROJECT": project})
    )
    wanted = command(*options, "run", f"{project}/flow.yaml", *plan, env=environment)
    ended(
        command(*options, "run", f"{project}/flow.yaml", env={**environment, "TMPDIR": str(place)})
    )
    (place / "closed").chmod(0o700 if IS_ROOT else 0)
    give_away(*(place / "project").rglob("*"))

    done = ended(wanted, ordinary=True)

    assert 0 == done.code, done.err
    assert plan or f"{project}\n" == done.out


def test_a_folder_that_may_be_entered_but_not_listed_is_a_project(place: Path) -> None:
    """Looking nothing up needs no more."""
    wanted = command("workflow", "check", "flow.yaml", cwd=place / "project")
    ended(wanted)
    (place / "project").chmod(0o111 if not IS_ROOT else 0o711)
    if IS_ROOT:
        os.chown(place / "project", 0, 0)

    done = ended(wanted, ordinary=True)

    (place / "project").chmod(0o755)
    assert (0, "ok\n") == (done.code, done.out), done.err


# --- files of somebody else -----------------------------------------------------------------------


def git(*args: str, cwd: Path) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=n@n"]
    subprocess.run(["git", *who, *args], cwd=cwd, check=True, capture_output=True)


@only_root
@pytest.mark.parametrize(
    "args",
    [
        ("run", "../flow.yaml"),
        ("run", "../flow.yaml", "--plan"),
        ("runs",),
        ("fly", "--help"),
        ("workflow", "list"),
        ("workflow", "check", "../flow.yaml"),
        ("checkpoint", "list"),
        ("checkpoint", "create"),
        ("checkpoint", "fsck"),
        ("checkpoint", "import", "x.mav"),
    ],
    ids=" ".join,
)
def test_every_command_refuses_a_strangers_configuration_above(
    place: Path, args: tuple[str, ...]
) -> None:
    project = place / "project"
    os.chown(project, 0, 0)
    (project / "sub").mkdir()
    give_away(project / "maverick.yaml")

    done = ended(command(*args, cwd=project / "sub"))

    assert (2, "") == (done.code, done.out), done.err
    assert f"error: {project}/maverick.yaml belongs to nobody (uid {NOBODY})" in done.err
    assert f"write `trust: [{project}]`" in done.err


@only_root
def test_a_stranger_in_a_folder_for_all_is_not_obeyed(place: Path) -> None:
    """As in /tmp: his workflow is what `run` of that name would run."""
    project = place / "project"
    (project / ".maverick/workflows").mkdir(parents=True)
    (project / ".maverick/workflows/validate.yaml").write_text(FLOW.format(name="validate"))
    os.chown(project, 0, 0)
    project.chmod(0o1777)
    give_away(
        project / ".maverick",
        project / ".maverick/workflows",
        project / ".maverick/workflows/validate.yaml",
    )

    done = ended(command("run", "validate", "--json", cwd=project))

    assert 2 == done.code
    assert f"{project}/.maverick belongs to nobody" in done.err
    assert str(project) == done.json["project"]
    assert not (project / ".maverick/checkpoints").exists()


@only_root
def test_a_stranger_in_his_own_folder_is_obeyed_by_who_goes_there(place: Path) -> None:
    """`cd` says it."""
    (place / "project/maverick.yaml").write_text("validation: {stages: {a: pwd}}\n")
    give_away(place / "project/maverick.yaml", place / "project/flow.yaml")

    done = ended(command("run", "flow.yaml", "--quiet", cwd=place / "project"))

    assert (0, f"{place}/project\n") == (done.code, done.out), done.err


@only_root
def test_a_container_that_is_root_works_in_somebodys_checkout(place: Path) -> None:
    """Git alone refuses: `dubious ownership`. Actions with a timeout run in a process of their
    own.
    """
    project = place / "project"
    (project / "flow.yaml").write_text(
        'version: "1.0"\nname: flow\ncheckpoints: {workspace: label}\nsteps:\n'
        "  - {name: a, type: python, action: git_status}\n"
        "  - {name: b, type: python, action: git_branch, timeout: 300}\n"
        "outputs: ${{ steps.b.output.name }}\n"
    )
    os.chown(project, 0, 0)
    git("init", "-q", "-b", "main", cwd=project)
    git("add", "-A", cwd=project)
    git("commit", "-qm", "one", cwd=project)
    everything = [project, *project.rglob("*")]
    give_away(*everything)

    done = ended(command("run", "flow.yaml", "--quiet", cwd=project, env={"HOME": str(place)}))

    assert (0, "main\n") == (done.code, done.out), done.err
    kept = ended(command("checkpoint", "create", "--json", cwd=project, env={"HOME": str(place)}))
    assert (2, []) == (kept.json["files"], kept.json["skipped"]), kept.err


@only_root
def test_git_itself_judges_where_a_third_user_owns_the_repository(place: Path) -> None:
    """His settings of git would be programs of his."""
    project = place / "project"
    git("init", "-q", cwd=place)
    os.chown(place / ".git", 4321, 4321)

    done = ended(command("checkpoint", "create", cwd=project))

    assert 2 == done.code, done.err
    assert f"git cannot list the files of {project}: fatal: detected dubious ownership" in done.err
