"""Worktrees and what is set aside: safe to repeat, whatever a kill left."""

import threading
from pathlib import Path

import pytest

from kit.repositories import Repository
from maverick.errors import StepFailed
from maverick.library.actions.commits import git_commit, git_push
from maverick.library.actions.git import git_stage_all
from maverick.library.actions.workspace import create_git_branch
from maverick.library.actions.worktrees import Pruned, Worktree, git_set_aside, git_worktree


def add(repository: Repository, name: str = "one", **more: str) -> Worktree:
    made = git_worktree("add", name, cwd=repository.cwd, **more)
    assert isinstance(made, Worktree)
    return made


def remove(repository: Repository, name: str = "one", **more: str) -> Worktree:
    made = git_worktree("remove", name, cwd=repository.cwd, **more)
    assert isinstance(made, Worktree)
    return made


def known(repository: Repository) -> int:
    return repository.git("worktree", "list").count("\n") + 1


class TestWorktrees:
    def test_one_stands_at_the_base_branch_and_git_does_not_see_it(
        self, repository: Repository
    ) -> None:
        made = add(repository)

        assert repository.git("rev-parse", "HEAD") == Repository(Path(made.path)).git(
            "rev-parse", "HEAD"
        )
        assert "" == repository.git("status", "--porcelain")
        assert (2, str(repository.folder / ".maverick/worktrees/one")) == (
            known(repository),
            made.path,
        )

    def test_adding_and_removing_twice_is_as_once(self, repository: Repository) -> None:
        assert add(repository) == add(repository)
        assert remove(repository) == remove(repository)
        assert 1 == known(repository)

    def test_of_a_folder_below_it_gives_the_same_folder(self, repository: Repository) -> None:
        repository.commit("app/x.txt")

        made = git_worktree("add", "one", cwd=str(repository.folder / "app"))

        assert isinstance(made, Worktree)
        assert f"{made.path}/app" == made.cwd.rstrip("/")
        assert (Path(made.cwd) / "x.txt").exists()

    @pytest.mark.parametrize(
        "left", ["half made", "folder without git", "git without folder", "broken link"]
    )
    def test_what_a_kill_left_is_made_anew(self, repository: Repository, left: str) -> None:
        made = Path(add(repository).path)
        own = repository.folder / ".git/worktrees/one"
        if left == "half made":
            (own / "locked").write_text("initializing")
            (made / "README.md").unlink()
        elif left == "folder without git":
            for path in sorted(own.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
            own.rmdir()
        elif left == "git without folder":
            (own / "locked").write_text("initializing")
            for path in sorted(made.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
            made.rmdir()
        else:
            (made / ".git").write_text("gitdir: /nowhere\n")

        add(repository)

        assert "hello\n" == (made / "README.md").read_text()
        assert (2, "") == (known(repository), Repository(made).git("status", "--porcelain"))
        remove(repository)
        assert (1, False) == (known(repository), made.exists())

    def test_removing_keeps_what_was_not_committed(self, repository: Repository) -> None:
        made = Repository(Path(add(repository).path))
        made.write("README.md", "changed\n")
        made.write("new.txt", "new\n")

        removed = remove(repository, idempotency_key="key-1")
        again = remove(repository, idempotency_key="key-1")

        assert "maverick: what was not committed in the worktree one" == removed.set_aside
        assert removed == again
        repository.git("stash", "pop", "-q")
        assert ("changed\n", "new\n") == tuple(
            (repository.folder / name).read_text() for name in ("README.md", "new.txt")
        )

    def test_pruning_removes_all(self, repository: Repository) -> None:
        add(repository)
        add(repository, "two")

        assert Pruned(removed=["one", "two"]) == git_worktree("prune", cwd=repository.cwd)
        assert (1, False) == (
            known(repository),
            (repository.folder / ".maverick/worktrees").exists(),
        )
        assert Pruned() == git_worktree("prune", cwd=repository.cwd)

    @pytest.mark.parametrize("name", ["", "../x", ".git", "a/b"])
    def test_a_name_that_leads_elsewhere_is_refused(
        self, repository: Repository, name: str
    ) -> None:
        with pytest.raises(StepFailed, match="cannot be the name of a worktree"):
            git_worktree("remove", name, cwd=repository.cwd)

    def test_many_at_once_do_not_meet(self, repository: Repository, remote: Repository) -> None:
        """Git refuses where two commands write its settings or its list of worktrees at the same
        time.
        """
        errors: list[BaseException] = []

        def work(number: int) -> None:
            try:
                made = Repository(Path(add(repository, f"w{number}").path))
                create_git_branch(f"b{number}", cwd=made.cwd)
                made.write(f"f{number}")
                git_stage_all(made.cwd)
                git_commit(f"Add f{number}", cwd=made.cwd)
                git_push(cwd=made.cwd)
                made.write("rest")
                remove(repository, f"w{number}")
            except BaseException as error:  # noqa: BLE001 - shown below
                errors.append(error)

        threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert ([], 1) == (errors, known(repository))
        assert [f"b{number}" for number in range(6)] == remote.git("branch", "--list", "b*").split()
        assert 6 == len(repository.git("stash", "list").splitlines())


class TestSettingAside:
    def test_files_in_maverick_stay(self, repository: Repository) -> None:
        repository.write("README.md", "changed\n")
        repository.write(".maverick/issues/1.md")

        aside = git_set_aside("for later", cwd=repository.cwd)

        assert ("for later (on main)", "?? .maverick/") == (
            aside.stash,
            repository.git("status", "--porcelain"),
        )

    def test_with_nothing_to_set_aside_there_is_no_stash(self, repository: Repository) -> None:
        repository.write(".maverick/issues/1.md")

        assert git_set_aside("for later", cwd=repository.cwd).stash is None
        assert "" == repository.git("stash", "list")


def test_new_files_in_maverick_are_not_staged_but_changed_ones_are(repository: Repository) -> None:
    """A branch would take the user's local issues away when it is left."""
    repository.commit(".maverick/workflows/x.yaml", "one")
    repository.write(".maverick/workflows/x.yaml", "two")
    repository.write(".maverick/issues/1.md")
    repository.write("new.txt")

    assert [".maverick/workflows/x.yaml", "new.txt"] == git_stage_all(repository.cwd).files
