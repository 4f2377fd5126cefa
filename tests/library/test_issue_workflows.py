"""`refuel`, `quick_fix` and `process_single_issue` from end to end."""

from pathlib import Path

import pytest

from kit.shards import sharded
from kit.shipped import Workshop, names_of, without

TITLES = ("one", "two will break", "three")


def _expected(*numbers: int) -> list[str]:
    return [f"fix/issue-{number}" for number in numbers]


class TestRefuel:
    @pytest.mark.parametrize("parallel", ["no", "yes"])
    def test_resolves_each_issue_on_a_branch_of_its_own(
        self, tmp_path: Path, parallel: str
    ) -> None:
        shop = Workshop(tmp_path)
        shop.issues(*TITLES)

        execution = shop.start("refuel", parallel=parallel, limit="3")

        assert "done" == execution.outcome.status, execution.outcome.error
        assert (3, 3, 0) == tuple(
            execution.output[name] for name in ("processed", "succeeded", "failed")
        )
        assert _expected(1, 2, 3) == [issue["branch"] for issue in execution.output["issues"]]
        for number in (1, 2, 3):
            files = shop.remote.git("ls-tree", "--name-only", f"fix/issue-{number}").split()
            assert [f"fix-{number}"] == [
                file for file in files if file.startswith(("fix", "broken"))
            ]
        assert sorted(_expected(1, 2, 3)) == sorted(pull["headRefName"] for pull in shop.pulls)
        assert all(
            f"Closes #{p['headRefName'].rpartition('-')[2]}\n" in p["body"] for p in shop.pulls
        )
        labels = execution.labels()
        assert ("issues_fetched", "issues_processed") == (labels[0], labels[-1])
        assert {"issue_1", "issue_2", "issue_3"} <= set(labels)

    def test_at_once_leaves_no_worktree_and_the_work_tree_alone(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.issues(*TITLES)

        shop.done("refuel", parallel="yes")

        assert 1 == len(shop.worktrees())
        assert [] == list((shop.root / ".maverick" / "worktrees").glob("issue*"))
        assert "main" == shop.repository.git("branch", "--show-current")
        folders = {
            line.split()[1]
            for line in shop.log.read_text().splitlines()
            if line.startswith("issue_fixer")
        }
        assert {
            str(shop.root / f".maverick/worktrees/issue-{number}") for number in (1, 2, 3)
        } == folders

    @pytest.mark.parametrize("parallel", ["no", "yes"])
    def test_a_failed_issue_is_recorded_and_the_others_go_on(
        self, tmp_path: Path, parallel: str
    ) -> None:
        """What it left uncommitted is in `git stash`, neither lost nor in another issue's
        branch.
        """
        shop = Workshop(tmp_path, hub=False)
        shop.issues("one", "impossible", "three")

        output = shop.done("refuel", parallel=parallel)

        assert ["done", "failed", "done"] == [issue["status"] for issue in output["issues"]]
        assert "it cannot be done" in output["issues"][1]["error"]
        assert "what was not committed" in output["issues"][1]["set_aside"]
        assert "half" == shop.repository.git("show", "stash@{0}^3:fix-2")
        assert "fix-2" not in shop.repository.git("ls-tree", "--name-only", "fix/issue-3")
        assert "main" == shop.repository.git("branch", "--show-current")
        assert 1 == len(shop.worktrees())
        assert (shop.root / ".maverick/pull-requests/fix/issue-3.md").exists()
        assert 3 == len(list((shop.root / ".maverick/issues").glob("*.md")))

    @pytest.mark.parametrize(("parallel", "shard"), sharded("no", "yes", everyday=2))
    def test_killed_at_every_step_does_everything_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: str, shard: int
    ) -> None:
        whole, shop = Workshop(tmp_path / "whole"), Workshop(tmp_path / "killed")
        titles = ("one will break", "impossible")
        whole.issues(*titles)
        shop.issues(*titles)
        expected = whole.done("refuel", parallel=parallel)

        execution = shop.killed_everywhere(monkeypatch, "refuel", shard, parallel=parallel)

        assert {"branch", "fix", "commit", "push", "create_pr", "summary"} <= names_of(
            execution.recorded
        )
        assert len(execution.kills) > 2
        assert ("worktree" in names_of(execution.recorded)) == (parallel == "yes")
        assert without(expected, "issues") == without(execution.output, "issues")
        assert ["pr create"] == [
            asked for asked in shop.asked if asked in {"pr create", "api PATCH"}
        ]
        assert whole.tree("fix/issue-1") == shop.tree("fix/issue-1")
        assert whole.remote.subjects("fix/issue-1") == shop.remote.subjects("fix/issue-1")
        assert 1 == len(shop.worktrees())
        assert 1 == len(shop.repository.git("stash", "list").splitlines())
        assert "half" == shop.repository.git("show", "stash@{0}^3:fix-2")
        assert "" == shop.repository.git("status", "--porcelain")

    @pytest.mark.parametrize("parallel", ["no", "yes"])
    def test_an_issue_that_the_agent_left_as_it_is_is_no_success(
        self, tmp_path: Path, parallel: str
    ) -> None:
        shop = Workshop(tmp_path)
        shop.issues("one", "refused", "impossible")

        execution = shop.start("refuel", parallel=parallel)

        output = execution.output
        assert ["done", "unchanged", "failed"] == [issue["status"] for issue in output["issues"]]
        assert (3, 1, 1, 1) == tuple(
            output[name] for name in ("processed", "succeeded", "unchanged", "failed")
        )
        said = "I could not do it: the edit was refused."
        assert (said, None) == (output["issues"][1]["said"], output["issues"][1]["pull_request"])
        assert f"- #2 refused: the agent changed nothing; it said: {said}\n" in output["report"]
        told = f"issue #2: the agent changed nothing; it said: {said}"
        assert told in [event.message for event in execution.events if event.event == "notice"]
        branches = shop.remote.git("branch", "--format=%(refname:short)").split()
        assert ["fix/issue-1", "main"] == branches
        assert ["fix/issue-1"] == [pull["headRefName"] for pull in shop.pulls]

    def test_without_issues_there_is_nothing_to_do(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.issues("one", label="bug")

        output = shop.done("refuel")

        assert (0, "There were no issues to work on.\n") == (output["processed"], output["report"])

    def test_a_dry_run_changes_nothing(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.issues(*TITLES)

        output = shop.done("refuel", dry_run="yes")

        assert (0, [], ["main"]) == (
            output["processed"],
            shop.agents,
            shop.repository.git("branch", "--format=%(refname:short)").split(),
        )

    def test_changes_that_are_not_committed_are_refused(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.repository.write("tasks.md", "changed")

        assert "not committed (tasks.md)" in (shop.start("refuel").outcome.error or "")

    def test_a_branch_of_somebody_else_is_left_alone(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.issues("one")
        shop.repository.git("switch", "-q", "-c", "fix/issue-1")
        theirs = shop.repository.commit("theirs.txt")
        shop.repository.git("switch", "-q", "main")

        output = shop.done("refuel")

        assert (
            "`fix/issue-1` exists with 1 commit that no step made" in output["issues"][0]["error"]
        )
        assert theirs == shop.repository.git("rev-parse", "fix/issue-1")


class TestOneIssue:
    def test_quick_fix_goes_from_an_issue_to_a_pull_request(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.issues("one", "two")

        execution = shop.start("quick_fix", issue_number="2")

        assert ("done", ["issue_fetched", "issue_2_fixed"]) == (
            execution.outcome.status,
            execution.labels(),
        )
        assert {
            "status": "done",
            "said": "Resolved issue 2.",
            "issue_number": 2,
            "branch": "fix/issue-2",
            "validation_passed": True,
            "commit": shop.remote.git("rev-parse", "fix/issue-2"),
            "pr_url": "https://github.com/ada/engine/pull/3",
            "pr_file": None,
            "draft": False,
        } == execution.output
        assert ["Fix #2: two", "first"] == shop.remote.subjects("fix/issue-2")

    @pytest.mark.parametrize("hub", [True, False])
    def test_quick_fix_says_that_nothing_was_changed(self, tmp_path: Path, hub: bool) -> None:
        shop = Workshop(tmp_path, hub=hub)
        shop.issues("refused")

        execution = shop.start("quick_fix", issue_number="1")

        assert "done" == execution.outcome.status
        assert {
            "status": "unchanged",
            "said": "I could not do it: the edit was refused.",
            "issue_number": 1,
            "branch": "fix/issue-1",
            "validation_passed": None,
            "commit": None,
            "pr_url": None,
            "pr_file": None,
            "draft": None,
        } == execution.output
        assert (["main"], []) == (
            shop.remote.git("branch", "--format=%(refname:short)").split(),
            shop.pulls,
        )

    def test_an_issue_that_an_earlier_run_resolved_is_handed_over(self, tmp_path: Path) -> None:
        """The branch has its commit; the agent finds nothing to do. There is something to hand over
        all the same.
        """
        shop = Workshop(tmp_path)
        shop.issues("one")
        (shop.hub / "trouble").write_text("rate-limited")
        shop.start("process_single_issue", issue={"number": 1, "title": "one"})
        (shop.hub / "trouble").unlink()

        output = shop.done("process_single_issue", issue={"number": 1, "title": "one"})

        assert ("done", True) == (output["status"], output["pr_url"] is not None)

    def test_killed_at_every_step_quick_fix_does_everything_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = Workshop(tmp_path, hub=False)
        shop.issues("one")

        execution = shop.killed_everywhere(monkeypatch, "quick_fix", issue_number="1")

        assert ".maverick/pull-requests/fix/issue-1.md" == execution.output["pr_file"]
        assert ["Fix #1: one", "first"] == shop.remote.subjects("fix/issue-1")

    def test_process_single_issue_fetches_the_issue_by_its_number(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path, hub=False)
        shop.issues("one")

        assert "fix/issue-1" == shop.done("process_single_issue", issue_number="1")["branch"]

    def test_an_issue_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.issues("one")

        error = shop.start("quick_fix", issue_number="9").outcome.error or ""

        assert "there is no issue #9 in ada/engine" in error

    def test_a_commit_is_refused_on_another_branch(self, tmp_path: Path) -> None:
        """Interrupted, looked at something else, resumed: the commit must not end up there."""
        shop = Workshop(tmp_path)
        shop.issues("one")
        hook = shop.root / ".git" / "hooks" / "pre-commit"
        hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
        hook.chmod(0o755)
        shop.start("quick_fix", issue_number="1")
        hook.unlink()
        shop.repository.git("switch", "-q", "main")

        refused = shop.resume("quick_fix").outcome.error or ""
        shop.repository.git("switch", "-q", "fix/issue-1")

        assert "the work tree is on `main`, but the commit belongs on `fix/issue-1`" in refused
        assert "done" == shop.resume("quick_fix").outcome.status
        assert ["first"] == shop.repository.subjects("main")
