import subprocess
from pathlib import Path

import pytest

from kit.patience import wait_until
from kit.repositories import Repository
from maverick.errors import StepFailed
from maverick.library.actions.commits import git_commit
from maverick.library.actions.git import git_stage_all, own_outputs
from maverick.library.actions.preflight import run_preflight_checks
from maverick.library.actions.workspace import create_git_branch, init_workspace


class TestBranches:
    def test_a_new_branch_starts_at_the_base(self, repository: Repository) -> None:
        base = repository.git("rev-parse", "main")
        repository.git("switch", "-q", "-c", "elsewhere")
        repository.commit("other.txt")

        workspace = create_git_branch("work", cwd=repository.cwd)

        assert (True, base, "work") == (
            workspace.created,
            workspace.head,
            repository.git("branch", "--show-current"),
        )

    def test_doing_it_again_changes_nothing(self, repository: Repository) -> None:
        """The step may be repeated after a kill, with changes in the work tree."""
        create_git_branch("work", cwd=repository.cwd)
        repository.write("README.md", "half done\n")

        again = create_git_branch("work", cwd=repository.cwd)

        assert not again.created
        assert "half done\n" == (repository.folder / "README.md").read_text()

    def test_a_base_that_only_the_remote_has(
        self, repository: Repository, colleague: Repository
    ) -> None:
        colleague.git("switch", "-q", "-c", "release")
        head = colleague.commit("r.txt")
        colleague.git("push", "-q", "origin", "release")
        repository.git("fetch", "-q")

        assert head == create_git_branch("work", "release", cwd=repository.cwd).head

    def test_our_own_branch_is_checked_out(self, repository: Repository) -> None:
        create_git_branch("work", cwd=repository.cwd)
        repository.write("a.txt")
        git_stage_all(repository.cwd)
        made = git_commit("Add a", "key", cwd=repository.cwd)
        repository.git("switch", "-q", "main")

        workspace = create_git_branch("work", cwd=repository.cwd)

        assert (False, made.commit, 0) == (
            workspace.created,
            workspace.head,
            workspace.foreign_commits,
        )

    def test_a_branch_with_foreign_commits_is_refused(self, repository: Repository) -> None:
        """Somebody works on it; a workflow that made up the name must not add to that."""
        repository.git("switch", "-q", "-c", "fix/issue-1")
        repository.commit("mine.txt")
        repository.git("switch", "-q", "main")

        with pytest.raises(
            StepFailed, match="`fix/issue-1` exists with 1 commit that no step made; rename it"
        ):
            create_git_branch("fix/issue-1", cwd=repository.cwd)

        assert "main" == repository.git("branch", "--show-current")

    def test_a_branch_that_a_person_named_may_hold_their_commits(
        self, repository: Repository
    ) -> None:
        """The specification is usually committed on it."""
        repository.git("switch", "-q", "-c", "feature")
        head = repository.commit("specs/feature/tasks.md")
        repository.git("switch", "-q", "main")

        workspace = init_workspace("feature", cwd=repository.cwd)

        assert (False, head, 1) == (workspace.created, workspace.head, workspace.foreign_commits)

    def test_a_branch_that_only_the_remote_has_is_followed(
        self, repository: Repository, colleague: Repository
    ) -> None:
        colleague.git("switch", "-q", "-c", "feature")
        head = colleague.commit("f.txt")
        colleague.git("push", "-q", "origin", "feature")
        repository.git("fetch", "-q")

        workspace = init_workspace("feature", cwd=repository.cwd)

        assert (False, head) == (workspace.created, workspace.head)
        assert "origin/feature" == repository.git("rev-parse", "--abbrev-ref", "feature@{upstream}")

    def test_a_branch_that_is_behind_is_brought_forward(
        self, repository: Repository, colleague: Repository
    ) -> None:
        head = colleague.commit("f.txt")
        colleague.git("push", "-q")
        repository.git("fetch", "-q")

        assert head == init_workspace("main", cwd=repository.cwd).head

    def test_a_branch_that_parted_from_its_remote_is_refused(
        self, repository: Repository, colleague: Repository
    ) -> None:
        """Its push would be rejected, after all the work."""
        colleague.commit("theirs.txt")
        colleague.git("push", "-q")
        repository.commit("ours.txt")
        repository.git("fetch", "-q")

        with pytest.raises(
            StepFailed, match=r"have parted .1 only here, 1 only there.*bring them together"
        ):
            init_workspace("main", cwd=repository.cwd)

    def test_a_dry_run_changes_nothing(self, repository: Repository) -> None:
        workspace = init_workspace("work", dry_run=True, cwd=repository.cwd)

        assert (True, True) == (workspace.created, workspace.dry_run)
        assert "main" == repository.git("branch", "--format=%(refname:short)")

    def test_changes_in_the_way_are_gits_words_and_advice(self, repository: Repository) -> None:
        repository.git("switch", "-q", "-c", "feature")
        repository.commit("README.md", "feature\n")
        repository.git("switch", "-q", "main")
        repository.write("README.md", "not committed\n")

        with pytest.raises(StepFailed, match=r"(?s)README.md.*Commit or stash"):
            init_workspace("feature", cwd=repository.cwd)

        assert "not committed\n" == (repository.folder / "README.md").read_text()

    @pytest.mark.parametrize("name", ["two words", "-x", "a..b", "", "x.lock"])
    def test_a_bad_name_is_refused(self, repository: Repository, name: str) -> None:
        with pytest.raises(StepFailed, match="cannot be the name of a branch"):
            init_workspace(name, cwd=repository.cwd)

    def test_a_missing_base_lists_what_there_is(self, repository: Repository) -> None:
        with pytest.raises(
            StepFailed, match=r"no base branch `trunk` .there are: main.; name another"
        ):
            init_workspace("work", "trunk", cwd=repository.cwd)

    def test_a_repository_without_a_commit_says_so(self, empty: Repository) -> None:
        with pytest.raises(StepFailed, match="no commit to start a branch from"):
            init_workspace("work", cwd=empty.cwd)


class TestPreflight:
    def test_passes_and_lists_what_was_looked_at(
        self, repository: Repository, remote: Repository
    ) -> None:
        result = run_preflight_checks(remote="origin", cwd=repository.cwd)

        assert result.passed
        assert ["git", "repository", "commit", "branch", "clean", "remote"] == [
            c.name for c in result.checks
        ]

    def test_everything_wrong_is_said_at_once(self, repository: Repository) -> None:
        repository.write("README.md", "changed\n")
        repository.write("new file.txt")
        repository.git("switch", "-q", "--detach")
        repository.git("commit", "-q", "--allow-empty", "-m", "on no branch")
        repository.git("remote", "add", "upstream", "/nowhere")

        with pytest.raises(StepFailed) as caught:
            run_preflight_checks(programs=["no-such-program"], remote="origin", cwd=repository.cwd)

        lines = str(caught.value).splitlines()
        beginnings = [
            "not ready: the program `no-such",
            "- HEAD is detached at",
            "- there are changes",
            "- there is no remote",
        ]
        assert beginnings == [
            line[: len(start)] for line, start in zip(lines, beginnings, strict=True)
        ]
        assert lines[0].endswith(" (and 3 more)")
        assert "(README.md, new file.txt)" in lines[2]

    def test_a_detached_head_that_a_branch_holds_is_fine(self, repository: Repository) -> None:
        """CI checks out so."""
        repository.git("switch", "-q", "--detach")

        assert run_preflight_checks(cwd=repository.cwd).passed

    def test_changes_may_be_allowed(self, repository: Repository) -> None:
        repository.write("README.md", "changed\n")

        assert run_preflight_checks(clean=False, cwd=repository.cwd).passed

    def test_mavericks_own_files_are_no_change(self, repository: Repository) -> None:
        repository.write(".maverick/workflows/mine.yaml")

        assert run_preflight_checks(cwd=repository.cwd).passed

    def test_no_repository(self, tmp_path: Path) -> None:
        with pytest.raises(StepFailed, match=r"^not ready: .* is in no git repository"):
            run_preflight_checks(cwd=str(tmp_path))

    def test_no_commit(self, empty: Repository) -> None:
        with pytest.raises(StepFailed, match="no commit yet"):
            run_preflight_checks(cwd=empty.cwd)

    def test_what_this_program_writes_is_no_change(
        self,
        repository: Repository,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """`maverick fly > log.txt` in the project: the log neither stops the run nor becomes part
        of its commits.
        """
        repository.write("tracked.log", "before\n")
        repository.git("add", "tracked.log")
        repository.git("commit", "-q", "-m", "a log")
        repository.write("other.txt", "somebody else's\n")
        with (
            (repository.folder / "log[1].txt").open("w") as new,
            (repository.folder / "tracked.log").open("a") as old,
            (repository.folder / "other.txt").open() as read,
        ):
            for file in (new, old):
                file.write("progress\n")
                file.flush()
            with pytest.raises(StepFailed, match=r"not committed \(other.txt\)"):
                run_preflight_checks(cwd=repository.cwd)
            staged = git_stage_all(cwd=repository.cwd)
            repository.git("commit", "-q", "-m", "the other one")
            result = run_preflight_checks(cwd=repository.cwd)
            assert read.read()

        note = "left out, since this program writes it: log[1].txt, tracked.log"
        assert ["other.txt"] == staged.files
        assert [note] == [check.message for check in result.checks if check.message]
        assert [f"preflight: {note}"] == [record.getMessage() for record in caplog.records]
        with pytest.raises(StepFailed, match=r"not committed \(log\[1\].txt, tracked.log\)"):
            run_preflight_checks(cwd=repository.cwd)

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells of others")
    def test_what_a_program_writes_that_this_one_is_piped_to_is_no_change(
        self, repository: Repository
    ) -> None:
        """`maverick fly | tee log.txt` in the project. A process in a group of its own is no part
        of the pipeline: a step may have started it.
        """
        for name, own_group in (("log.txt", False), ("made.txt", True)):
            with subprocess.Popen(
                ["tee", name],
                cwd=repository.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                process_group=0 if own_group else None,
            ) as tee:
                assert tee.stdin is not None
                tee.stdin.write(b"progress\n")
                tee.stdin.flush()
                wait_until((repository.folder / name).exists, f"{name} came")
                assert ([] if own_group else [name]) == own_outputs(repository.cwd)
        assert [] == own_outputs(repository.cwd)
