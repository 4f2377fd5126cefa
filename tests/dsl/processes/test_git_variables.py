"""Variables that bind git to a repository: who gets them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kit.repositories import Repository
from kit.runs import Runs, whole
from maverick.repositories import LOCAL_VARIABLES, bound_as_in, environment_in, without_repository


@pytest.fixture
def ours(tmp_path: Path) -> Repository:
    """A repository with a commit, a folder in it, and a linked worktree beside it."""
    return made(tmp_path / "ours")


def made(folder: Path) -> Repository:
    repository = Repository(folder)
    folder.mkdir()
    repository.git("init", "-q", "-b", "main")
    repository.git("config", "user.email", "n@n")
    repository.git("config", "user.name", "n")
    repository.commit("in/file")
    return repository


def test_the_list_has_all_that_git_names() -> None:
    """Of the git that is there: a newer one may know more."""
    done = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    )

    assert set() == set(done.stdout.split()) - LOCAL_VARIABLES


def test_git_gets_none_of_them() -> None:
    environment = {
        **dict.fromkeys(LOCAL_VARIABLES, "x"),
        "GIT_AUTHOR_NAME": "n",
        "GIT_SSH_COMMAND": "ssh",
        "A": "b",
    }

    assert {"GIT_AUTHOR_NAME": "n", "GIT_SSH_COMMAND": "ssh", "A": "b"} == without_repository(
        environment
    )


class TestInherited:
    def test_nothing_changes_where_there_are_none(self, ours: Repository) -> None:
        environment = {"A": "b"}

        assert environment_in(environment, "/", ours.folder) is environment

    @pytest.mark.parametrize("where", [".", "in"])
    def test_a_hooks_index_stays_in_the_projects_own_work_tree(
        self, ours: Repository, where: str
    ) -> None:
        for index in (
            ".git/index",
            f"{ours.folder}/.git/index.lock",
            f"{ours.folder}/.git/next-index-1.lock",
        ):
            environment = {"GIT_INDEX_FILE": index, "GIT_PREFIX": "", "A": "b"}

            assert environment == environment_in(environment, ours.folder / where, ours.folder)

    def test_what_git_finds_there_by_itself_goes(self, ours: Repository) -> None:
        """From a linked worktree git tells its hooks all; a script that goes elsewhere would take
        it along.
        """
        linked = ours.folder.parent / "linked"
        ours.git("worktree", "add", "-q", str(linked))
        for top, folder in (
            (ours.folder, ours.folder / ".git"),
            (linked, ours.folder / ".git/worktrees/linked"),
        ):
            environment = {
                "GIT_DIR": str(folder),
                "GIT_WORK_TREE": str(top),
                "GIT_INDEX_FILE": f"{folder}/index",
                "GIT_AUTHOR_NAME": "n",
            }

            assert {"GIT_AUTHOR_NAME": "n"} == environment_in(environment, top, top)
            assert {"GIT_AUTHOR_NAME": "n"} == environment_in(
                {**environment, "GIT_WORK_TREE": "."}, top, top
            )

    def test_another_repository_that_was_named_on_purpose_stays(
        self, ours: Repository, tmp_path: Path
    ) -> None:
        environment = {"GIT_DIR": str(tmp_path / "other.git"), "GIT_WORK_TREE": str(ours.folder)}

        assert environment == environment_in(environment, ours.folder, ours.folder)

    def test_they_go_in_any_other_work_tree(self, ours: Repository, tmp_path: Path) -> None:
        """A repository in the project's and its worktrees, too: each has an index of its own."""
        other = made(tmp_path / "other")
        nested = made(ours.folder / "nested")
        linked = ours.folder / ".maverick/worktrees/one"
        ours.git("worktree", "add", "-q", str(linked))
        environment = dict.fromkeys(LOCAL_VARIABLES, ".git/index") | {"A": "b"}

        for folder in (other.folder, nested.folder, linked, tmp_path, ours.folder / ".git"):
            assert {"A": "b"} == environment_in(environment, folder, ours.folder), folder
        assert {"A": "b"} == environment_in(environment, tmp_path, tmp_path)

    def test_a_bare_repository_is_its_own(self, ours: Repository, tmp_path: Path) -> None:
        """In `pre-receive` the new commits are only seen through these."""
        bare = tmp_path / "bare.git"
        ours.git("clone", "-q", "--bare", ".", str(bare))
        quarantine = {
            "GIT_OBJECT_DIRECTORY": f"{bare}/objects/incoming",
            "GIT_QUARANTINE_PATH": "x",
        }

        assert quarantine == environment_in({**quarantine, "GIT_DIR": "."}, bare, bare)

    def test_links_do_not_make_another_work_tree(self, ours: Repository, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(ours.folder)
        environment = {"GIT_INDEX_FILE": ".git/index"}

        assert environment == environment_in(environment, tmp_path / "link/in", ours.folder)


def test_this_processes_own_are_put_back(ours: Repository) -> None:
    environment = {"GIT_DIR": str(ours.folder / ".git"), "GIT_INDEX_FILE": ".git/index", "A": "b"}
    before = dict(environment)

    with bound_as_in(ours.folder, environment):
        assert {"GIT_INDEX_FILE": ".git/index", "A": "b"} == environment

    assert before == environment


STEPS = """
steps:
  - {name: here, type: shell, run: 'echo "${GIT_INDEX_FILE-none}"'}
  - {name: there, type: shell, cwd: ../there, run: 'echo "${GIT_INDEX_FILE-none}"'}
  - {name: told, type: shell, cwd: ../there, env: {GIT_INDEX_FILE: mine},
     run: 'echo "${GIT_INDEX_FILE-none}"'}
  - {name: checked, type: validate, stages: ['echo "${GIT_INDEX_FILE-none}"']}
  - {name: checked_there, type: validate, cwd: ../there, stages: ['echo "${GIT_INDEX_FILE-none}"']}
  - {name: asked_there, type: agent, agent: speaker, cwd: ../there, context: {}}
  - {name: called, type: subworkflow, cwd: ../there, workflow: called.yaml}
outputs:
  - ${{ steps.here.output.value }}
  - ${{ steps.there.output.value }}
  - ${{ steps.told.output.value }}
  - ${{ steps.checked.output.stages[0].output }}
  - ${{ env.GIT_INDEX_FILE }}
  - ${{ steps.checked_there.output.stages[0].output }}
  - ${{ steps.asked_there.output }}
  - ${{ steps.called.output }}
"""
CALLED = """
steps:
- {name: shell, type: shell, run: 'echo "${GIT_INDEX_FILE-none}"'}
- {name: child, type: python, action: "told:told", timeout: 300}
- {name: thread, type: python, action: "told:run"}
outputs: ["${{ steps.shell.output.value }}", "${{ steps.child.output }}", "${{ steps.thread.output }}"]
"""
TOLD = """
import os
from maverick.dsl.processes.commands import run_command


def told():
    return os.environ.get("GIT_INDEX_FILE", "none")


def run(cwd="."):
    return run_command(["sh", "-c", "echo ${GIT_INDEX_FILE-none}"], cwd=cwd).stdout.decode().strip()
"""


@pytest.mark.parametrize("in_repository", [True, False])
def test_steps_get_them_in_the_projects_own_repository_only(
    runs: Runs, in_repository: bool
) -> None:
    """What a step's own `env` says always counts, and `env.NAME` reads what there was."""
    if in_repository:
        Repository(runs.root).git("init", "-q")
    (runs.root.parent / "there").mkdir()
    runs.environment = {**runs.environment, "GIT_INDEX_FILE": "/some/index.lock"}
    runs.file(
        "maverick.yaml",
        "agents: {speaker: {provider: command, command: [sh, -c, 'echo ${GIT_INDEX_FILE-none}']}}",
    )
    runs.file("called.yaml", whole(CALLED, "called"))
    runs.file("told.py", TOLD)
    runs.flow(STEPS)

    output = runs.start().output

    kept = "/some/index.lock" if in_repository else "none"
    assert [kept, "none", "mine", kept, "/some/index.lock"] == output[:5]
    assert ["none", "none", ["none"] * 3] == output[5:]
