from pathlib import Path

import pytest

from kit.repositories import Repository
from maverick import repositories
from maverick.errors import StepFailed
from maverick.library.actions.commits import git_commit, git_push
from maverick.library.actions.git import (
    ChangedFile,
    Status,
    check_repository,
    current_branch,
    git_branch,
    git_diff,
    git_has_changes,
    git_stage_all,
    git_status,
)


class TestLooking:
    def test_branch_names_what_is_checked_out(self, repository: Repository) -> None:
        branch = git_branch(repository.cwd)

        assert ("main", repository.git("rev-parse", "HEAD"), False) == (
            branch.name,
            branch.head,
            branch.detached,
        )

    def test_branch_without_a_commit_has_no_head(self, empty: Repository) -> None:
        branch = git_branch(empty.cwd)

        assert ("main", None, False) == (branch.name, branch.head, branch.detached)

    def test_branch_says_when_head_is_detached(self, repository: Repository) -> None:
        repository.git("switch", "-q", "--detach")

        branch = git_branch(repository.cwd)

        assert (None, True) == (branch.name, branch.detached)

    def test_status_sorts_files_by_what_happened(self, repository: Repository) -> None:
        """Names with spaces, umlauts and line ends come as they are."""
        repository.commit("moved.txt", "one\ntwo\nthree\n")
        repository.git("mv", "moved.txt", "new name.txt")
        repository.write("README.md", "changed\n")
        repository.write("ünïcode\n.txt")
        repository.write("staged.txt")
        repository.git("add", "staged.txt")

        assert Status(
            clean=False,
            staged=["new name.txt", "staged.txt"],
            modified=["README.md"],
            untracked=["ünïcode\n.txt"],
        ) == git_status(repository.cwd)

    def test_status_lists_conflicts(self, repository: Repository) -> None:
        repository.git("switch", "-q", "-c", "other")
        repository.commit("README.md", "theirs\n")
        repository.git("switch", "-q", "main")
        repository.commit("README.md", "ours\n")
        with pytest.raises(AssertionError):
            repository.git("merge", "other")

        assert ["README.md"] == git_status(repository.cwd).conflicted

    def test_ignored_files_are_no_change(self, repository: Repository) -> None:
        repository.commit(".gitignore", "*.log\n")
        repository.write("x.log")

        assert not git_has_changes(repository.cwd)
        assert Status(clean=True) == git_status(repository.cwd)

    def test_diff_shows_what_is_not_committed(self, repository: Repository) -> None:
        repository.write("README.md", "hello\nworld\n")

        diff = git_diff(cwd=repository.cwd)

        assert [ChangedFile(path="README.md", added=1, removed=0)] == diff.files
        assert "+world" in diff.text

    def test_diff_from_a_base_leaves_out_what_the_base_did_since(
        self, repository: Repository
    ) -> None:
        repository.git("switch", "-q", "-c", "work")
        repository.commit("mine.txt")
        repository.git("switch", "-q", "main")
        repository.commit("theirs.txt")
        repository.git("switch", "-q", "work")

        assert ["mine.txt"] == [file.path for file in git_diff("main", cwd=repository.cwd).files]

    def test_diff_of_binary_files_has_no_line_counts(self, repository: Repository) -> None:
        (repository.folder / "x.bin").write_bytes(b"\0\1\2")
        repository.git("add", "x.bin")

        assert [ChangedFile(path="x.bin", added=None, removed=None)] == git_diff(
            cwd=repository.cwd
        ).files

    def test_diff_before_the_first_commit_shows_what_is_staged(self, empty: Repository) -> None:
        empty.write("a.txt")
        empty.git("add", "a.txt")

        assert ["a.txt"] == [file.path for file in git_diff(staged=True, cwd=empty.cwd).files]

    def test_diff_names_a_base_that_is_not_there(self, repository: Repository) -> None:
        with pytest.raises(StepFailed, match="no branch or commit `nothing`"):
            git_diff("nothing", cwd=repository.cwd)

    def test_a_folder_without_a_repository_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StepFailed, match=r"is in no git repository .* run `git init`"):
            git_status(str(tmp_path))


class TestCommitting:
    def test_stages_and_commits_from_a_folder_below(self, repository: Repository) -> None:
        """New, changed and removed files of the whole work tree."""
        repository.commit("gone.txt")
        (repository.folder / "gone.txt").unlink()
        repository.write("README.md", "changed\n")
        repository.write("below/new.txt")

        staged = git_stage_all(str(repository.folder / "below"))
        commit = git_commit("Do it", cwd=repository.cwd)

        assert ["README.md", "below/new.txt", "gone.txt"] == staged.files
        assert (True, "Do it", False) == (commit.committed, commit.message, commit.repeated)
        assert repository.git("rev-parse", "HEAD") == commit.commit
        assert git_status(repository.cwd).clean

    def test_nothing_to_commit_is_no_failure(self, repository: Repository) -> None:
        head = repository.git("rev-parse", "HEAD")

        commit = git_commit("Do it", "key-1", cwd=repository.cwd)

        assert (False, head) == (commit.committed, commit.commit)
        assert ["first"] == repository.subjects()

    def test_the_first_commit_of_all(self, empty: Repository) -> None:
        assert (False, None) == (
            (none := git_commit("x", "k", cwd=empty.cwd)).committed,
            none.commit,
        )
        empty.write("a.txt")
        git_stage_all(empty.cwd)

        assert git_commit("Begin", "k", cwd=empty.cwd).committed

    def test_a_repeated_step_finds_its_commit(self, repository: Repository) -> None:
        """Killed after the commit and before the record: the step runs again with the same key."""
        repository.write("a.txt")
        git_stage_all(repository.cwd)
        first = git_commit("Add a", "run-1/commit/1", cwd=repository.cwd)
        repository.commit("b.txt", message="a person's commit on top")

        again = git_commit("Add a", "run-1/commit/1", cwd=repository.cwd)

        assert (first.commit, True, True) == (again.commit, again.committed, again.repeated)
        assert ["a person's commit on top", "Add a", "first"] == repository.subjects()

    def test_another_key_makes_another_commit(self, repository: Repository) -> None:
        for key in ("key-1", "key-11"):
            repository.write("a.txt", key)
            git_stage_all(repository.cwd)
            git_commit("Change a", key, cwd=repository.cwd)

        assert ["Change a", "Change a", "first"] == repository.subjects()

    def test_the_key_is_a_trailer_below_what_was_said(self, repository: Repository) -> None:
        """Headings of Markdown are not taken for comments, and other trailers stay."""
        repository.write("a.txt")
        git_stage_all(repository.cwd)

        git_commit("Add a\n\n# Why\n\nBecause.\n\nRefs: #1", "key", cwd=repository.cwd)

        body = repository.git("log", "-1", "--format=%B")
        assert "Add a\n\n# Why\n\nBecause.\n\nRefs: #1\nMaverick-Step: key" == body

    @pytest.mark.parametrize(
        ("count", "subject"),
        [(1, "Update f0.txt"), (5, "Update f0.txt, f1.txt, f2.txt and 2 more files")],
    )
    def test_without_a_message_the_files_are_named(
        self, repository: Repository, count: int, subject: str
    ) -> None:
        for number in range(count):
            repository.write(f"f{number}.txt")
        git_stage_all(repository.cwd)

        assert subject == git_commit(None, None, cwd=repository.cwd).message

    def test_a_hook_that_refuses_is_quoted(self, repository: Repository) -> None:
        hook = repository.folder / ".git/hooks/pre-commit"
        hook.write_text("#!/bin/sh\necho 'no tabs, please' >&2\nexit 1\n")
        hook.chmod(0o755)
        repository.write("a.txt")
        git_stage_all(repository.cwd)

        with pytest.raises(StepFailed, match="`git commit` refused: no tabs, please"):
            git_commit("Add a", cwd=repository.cwd)


class TestPushing:
    def test_pushes_and_says_so_once(self, repository: Repository, remote: Repository) -> None:
        repository.git("switch", "-q", "-c", "work")
        head = repository.commit("a.txt")

        first, second = git_push(cwd=repository.cwd), git_push(cwd=repository.cwd)

        assert (True, "origin", "work", head) == (
            first.pushed,
            first.remote,
            first.branch,
            first.commit,
        )
        assert (True, False) == (second.pushed, second.updated)
        assert head == remote.git("rev-parse", "work")
        assert "origin/work" == repository.git("rev-parse", "--abbrev-ref", "work@{upstream}")

    def test_a_rejected_push_gives_gits_words_and_a_way_out(
        self, repository: Repository, colleague: Repository
    ) -> None:
        colleague.commit("theirs.txt")
        colleague.git("push", "-q")
        repository.commit("ours.txt")

        with pytest.raises(StepFailed) as caught:
            git_push(cwd=repository.cwd)

        text = str(caught.value)
        assert "origin rejected the push of main" in text
        assert "fetch first" in text
        assert "`git pull --rebase origin main`" in text

    def test_no_remote_is_no_riddle(self, repository: Repository) -> None:
        with pytest.raises(
            StepFailed, match=r"no remote `origin` \(none at all\); add it with `git remote add"
        ):
            git_push(cwd=repository.cwd)

    def test_a_remote_that_is_gone_is_quoted(self, repository: Repository) -> None:
        repository.git("remote", "add", "origin", "/nowhere/at/all.git")

        with pytest.raises(StepFailed, match=r"(?s)cannot push main to origin: .*/nowhere/at/all"):
            git_push(cwd=repository.cwd)

    def test_credentials_in_urls_stay_out_of_messages(self, repository: Repository) -> None:
        repository.git("remote", "add", "origin", "ftp://ada:s3cret-t0ken@127.0.0.1:1/x.git")

        with pytest.raises(StepFailed) as caught:
            git_push(cwd=repository.cwd)

        assert "s3cret" not in str(caught.value)

    def test_a_detached_head_cannot_be_pushed(
        self, repository: Repository, remote: Repository
    ) -> None:
        repository.git("switch", "-q", "--detach")

        with pytest.raises(StepFailed, match="HEAD is detached"):
            git_push(cwd=repository.cwd)


class TestRefusal:
    """Git refuses a repository of another user; it is made to take this one for such."""

    @pytest.fixture(autouse=True)
    def _theirs(self, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        monkeypatch.setattr(repositories, "_safe", {})

    def test_is_told_with_gits_words(self, repository: Repository) -> None:
        """Not as if there were no repository."""
        with pytest.raises(
            StepFailed, match=r"git refuses the repository of .*detected dubious ownership"
        ):
            check_repository(repository.cwd)
        with pytest.raises(StepFailed, match="git refuses the repository"):
            current_branch(repository.cwd)

    def test_does_not_happen_in_the_projects_own(self, repository: Repository) -> None:
        repositories.trust_repositories([repository.cwd])

        assert "main" == git_branch(repository.cwd).name
        assert git_status(repository.cwd).clean
        repository.write("new")
        git_stage_all(cwd=repository.cwd)
        assert git_commit("new", cwd=repository.cwd).committed


def test_no_repository_is_said_so_in_every_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")

    with pytest.raises(StepFailed, match=r"is in no git repository .*; run `git init`"):
        check_repository(str(tmp_path))
