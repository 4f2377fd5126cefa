"""`fly` from end to end: real git, agents that are scripts, a stand-in for `gh`."""

from pathlib import Path

import pytest

from kit.shards import shards
from kit.shipped import Workshop, names_of, without


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


class TestFlying:
    def test_goes_from_a_task_list_to_a_pull_request(self, shop: Workshop) -> None:
        execution = shop.start("fly", branch_name="feature")

        assert "done" == execution.outcome.status, execution.outcome.error
        done = {"status": "done", "open_tasks": [], "said": "Wrote the files."}
        assert {
            "status": "done",
            "branch": "feature",
            "phases": 2,
            "phase_results": [
                {"number": 1, "name": "Phase 1: Begin", **done},
                {"number": 2, "name": "Phase 2: Break it", **done},
            ],
            "validation_passed": True,
            "commit": shop.remote.git("rev-parse", "feature"),
            "pushed": True,
            "review": "comment",
            "pr_url": "https://github.com/ada/engine/pull/1",
            "pr_number": 1,
            "pr_file": None,
            "draft": False,
        } == execution.output
        assert ["Phase 2: Break it", "Phase 1: Begin", "first"] == shop.remote.subjects("feature")
        assert [
            "phase_1",
            "phase_2",
            "implementation_complete",
            "validation_complete",
            "review_complete",
            "review_complete",
        ] == execution.labels()
        assert ["implementer", "implementer", "validation_fixer", "code_reviewer"] == shop.agents
        assert [("feature", "main", False)] == [
            (pull["headRefName"], pull["baseRefName"], pull["isDraft"]) for pull in shop.pulls
        ]

    def test_the_implementer_is_told_each_task_once(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        script = tmp_path / "agent.sh"
        keep = f'prompt=$(cat)\necho "$prompt" >> {tmp_path}/prompts\n'
        script.write_text(script.read_text().replace("prompt=$(cat)\n", keep))

        shop.done("fly", branch_name="feature", skip_review="yes", skip_pr="yes")

        prompts = (tmp_path / "prompts").read_text()
        assert [1, 1] == [
            prompts.count(task) for task in ("write file-one", "write file-two and break")
        ]

    @pytest.mark.parametrize("shard", shards())
    def test_killed_at_every_step_does_everything_once(
        self, shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: int
    ) -> None:
        """Each step's effect happens, its record is lost, and the run goes on: the outcome is the
        same.
        """
        whole = Workshop(tmp_path / "whole")
        expected = whole.done("fly", branch_name="feature")

        execution = shop.killed_everywhere(monkeypatch, "fly", shard, branch_name="feature")

        effects = {
            "init",
            "implement",
            "stage",
            "commit",
            "fix",
            "push",
            "reviewer",
            "create_pr",
            "save",
        }
        assert effects <= names_of(execution.recorded)
        assert len(execution.kills) > 5
        assert without(expected, "commit") == without(execution.output, "commit")
        assert whole.tree("feature") == shop.tree("feature")
        assert whole.remote.subjects("feature") == shop.remote.subjects("feature")
        assert ["pr create"] == [
            asked for asked in shop.asked if asked in {"pr create", "api PATCH"}
        ]
        assert without(whole.pulls[0], "body") == without(shop.pulls[0], "body")
        assert "" == shop.repository.git("status", "--porcelain", "--", ":!.maverick")

    def test_a_failure_is_resumed_where_it_stopped(self, shop: Workshop) -> None:
        """The limit of GitHub is used up at the very end: nothing is done again."""
        (shop.hub / "trouble").write_text("rate-limited")
        failed = shop.start("fly", branch_name="feature")
        asked = shop.agents
        (shop.hub / "trouble").unlink()

        resumed = shop.resume("fly")

        assert "GitHub's rate limit is used up; wait until" in (failed.outcome.error or "")
        assert ("done", asked) == (resumed.outcome.status, shop.agents)
        assert ["https://github.com/ada/engine/pull/1"] == [pull["url"] for pull in shop.pulls]

    def test_goes_on_wherever_the_work_tree_was_taken_meanwhile(self, shop: Workshop) -> None:
        (shop.hub / "trouble").write_text("offline")
        shop.start("fly", branch_name="feature")
        shop.repository.git("switch", "-q", "main")
        (shop.hub / "trouble").unlink()

        shop.resume("fly")

        assert "feature" == shop.repository.git("branch", "--show-current")

    def test_a_logged_out_gh_is_said_before_anything_is_done(self, shop: Workshop) -> None:
        (shop.hub / "trouble").write_text("logged-out")

        execution = shop.start("fly", branch_name="feature")

        assert "`gh` is not logged in, and ada/engine is on GitHub" in (
            execution.outcome.error or ""
        )
        assert ["main"] == shop.repository.git("branch", "--format=%(refname:short)").split()

    def test_skips_what_it_is_told_to(self, shop: Workshop) -> None:
        output = shop.done("fly", branch_name="feature", skip_review="yes", skip_pr="yes")

        assert (None, None, None) == (output["review"], output["pr_url"], output["draft"])
        assert (True, []) == (output["pushed"], shop.pulls)
        assert "code_reviewer" not in shop.agents

    def test_a_reviewer_that_fails_does_not_stop_the_rest(self, tmp_path: Path) -> None:
        """The work is done and validated; that it was not reviewed stands in the output."""
        shop = Workshop(tmp_path)
        script = tmp_path / "agent.sh"
        script.write_text(
            script.read_text().replace("  code_reviewer)\n", "  code_reviewer)\n    exit 7\n")
        )

        output = shop.done("fly", branch_name="feature")

        assert (None, 1) == (output["review"], output["pr_number"])

    def test_is_a_draft_where_validation_never_passed(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.repository.commit(
            "maverick.yaml", (shop.root / "maverick.yaml").read_text().replace("whole", "hopeless")
        )

        output = shop.done("fly", branch_name="feature", max_attempts=1)

        assert (False, True, [True]) == (
            output["validation_passed"],
            output["draft"],
            [pull["isDraft"] for pull in shop.pulls],
        )

    def test_a_dry_run_changes_nothing(self, shop: Workshop) -> None:
        output = shop.done("fly", branch_name="feature", dry_run="true")

        assert (2, None, False) == (output["phases"], output["pr_url"], output["pushed"] or False)
        assert (["main"], [], []) == (
            shop.repository.git("branch", "--format=%(refname:short)").split(),
            shop.agents,
            shop.asked,
        )

    def test_with_nothing_to_do_there_is_nothing_to_merge(self, shop: Workshop) -> None:
        shop.repository.commit("tasks.md", "## Phase 1: Done\n\n- [x] write file-zero\n")
        shop.repository.git("push", "-q")

        output = shop.done("fly", branch_name="feature")

        assert (0, None, []) == (output["phases"], output["pr_url"], shop.pulls)


SAID = "I could not do it: the edit was refused."


class TestNothingDone:
    """An agent that changes nothing, and says so, ends with exit code 0 all the same."""

    def write(self, shop: Workshop, text: str) -> None:
        shop.repository.commit("tasks.md", text)
        shop.repository.git("push", "-q")

    @pytest.mark.parametrize("hub", [True, False])
    def test_is_no_success(self, tmp_path: Path, hub: bool) -> None:
        """Nothing is pushed, and no pull request describes changes that there are not."""
        shop = Workshop(tmp_path, hub=hub)
        self.write(shop, "## Phase 1: Begin\n\n- [ ] write file-one, refused\n")

        execution = shop.start("fly", branch_name="feature")

        output = execution.output
        assert ("done", "unchanged", False) == (
            execution.outcome.status,
            output["status"],
            output["pushed"],
        )
        assert (None, None, None) == (output["pr_url"], output["pr_file"], output["review"])
        result = {"number": 1, "name": "Phase 1: Begin", "status": "unchanged", "said": SAID}
        assert [{**result, "open_tasks": ["write file-one, refused"]}] == output["phase_results"]
        assert ["main"] == shop.remote.git("branch", "--format=%(refname:short)").split()
        assert ([], ["implementer"]) == (shop.pulls, shop.agents)
        told = f"Phase 1: Begin: the agent changed nothing; it said: {SAID}"
        assert [told] == [event.message for event in execution.events if event.event == "notice"]

    def test_in_one_phase_is_told_and_the_others_go_on(self, shop: Workshop) -> None:
        self.write(
            shop,
            "## Phase 1: Begin\n\n- [ ] file-one, refused\n\n## Phase 2: Go on\n\n- [ ] write "
            "file-two\n",
        )

        output = shop.done("fly", branch_name="feature")

        assert "done" == output["status"]
        assert ["unchanged", "done"] == [result["status"] for result in output["phase_results"]]
        assert ["Phase 2: Go on"] == shop.remote.subjects("feature")[:1]
        assert 1 == len(shop.pulls)

    def test_a_task_that_is_not_ticked_is_told(self, shop: Workshop) -> None:
        self.write(shop, "## Phase 1: Begin\n\n- [ ] write file-one and forget\n")

        execution = shop.start("fly", branch_name="feature")

        assert "done" == execution.output["status"]
        told = "Phase 1: Begin: not ticked off by the agent: write file-one and forget"
        assert told in [event.message for event in execution.events if event.event == "notice"]

    def test_killed_at_every_step_comes_to_the_same(
        self, shop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.write(shop, "## Phase 1: Begin\n\n- [ ] write file-one, refused\n")

        execution = shop.killed_everywhere(monkeypatch, "fly", branch_name="feature")

        assert "unchanged" == execution.output["status"]
        assert ["main"] == shop.remote.git("branch", "--format=%(refname:short)").split()

    def test_an_agent_that_commits_itself_has_done_something(self, tmp_path: Path) -> None:
        """It was told not to; its work counts all the same."""
        shop = Workshop(tmp_path)
        script = tmp_path / "agent.sh"
        commits = 'git add -A; git commit -qm "by the agent"; echo "Wrote'
        script.write_text(script.read_text().replace('echo "Wrote', commits))

        output = shop.done("fly", branch_name="feature")

        assert ["done", "done"] == [result["status"] for result in output["phase_results"]]


class TestWithoutGitHub:
    def test_the_text_of_the_pull_request_becomes_a_file(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path, hub=False)

        output = shop.done("fly", branch_name="feature", draft_pr="yes")

        assert ".maverick/pull-requests/feature.md" == output["pr_file"]
        text = (shop.root / output["pr_file"]).read_text()
        assert text.startswith("# Feature\n\n`feature` into `main`, as a draft\n")
        assert "file-two" in text
        assert "" == shop.repository.git("status", "--porcelain", "--", ".maverick/pull-requests")

    def test_and_without_any_remote_nothing_is_pushed(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path, hub=False)
        shop.repository.git("remote", "remove", "origin")

        output = shop.done("fly", branch_name="feature")

        assert (False, ".maverick/pull-requests/feature.md") == (
            output["pushed"],
            output["pr_file"],
        )
        assert 3 == len(shop.repository.subjects("feature"))
