"""`review`, `validate` and the fragments from end to end, whole and killed at every step."""

import json
from pathlib import Path
from typing import Any

import pytest

from kit.shipped import Workshop, without


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    shop.repository.git("switch", "-q", "-c", "feature")
    shop.repository.commit("file-one", "one\n", "Add file-one")
    shop.repository.git("push", "-q", "-u", "origin", "feature")
    return shop


class TestReview:
    def test_reviews_what_the_branch_changes(self, shop: Workshop) -> None:
        execution = shop.start("review")

        assert ["review_complete"] == execution.labels()
        assert "comment" == execution.output["recommendation"]
        assert ["short"] == [issue["message"] for issue in execution.output["issues"]]
        assert "- `file-one:1`: short" in execution.output["report"]

    def test_reviews_a_pull_request(self, shop: Workshop) -> None:
        pull: dict[str, Any] = {
            "number": 7, "title": "A title", "body": "Its text", "state": "OPEN", "isDraft": False, "url": "u/7",
            "baseRefName": "main", "headRefName": "feature", "commits": [{"messageHeadline": "Add file-one"}],
            "files": [{"path": "file-one", "additions": 1, "deletions": 0}], "diff": "+one\n",
        }  # fmt: skip
        (shop.hub / "pulls.json").write_text(json.dumps([pull]))

        assert "comment" == shop.done("review", pr_number="7")["recommendation"]
        assert ["pr view", "pr diff"] == shop.asked

    def test_with_nothing_changed_nobody_is_asked(self, shop: Workshop) -> None:
        shop.repository.git("switch", "-q", "main")

        output = shop.done("review")

        assert ("comment", [], []) == (output["recommendation"], output["issues"], shop.agents)
        assert "There was nothing to review." in output["report"]

    def test_a_reviewer_that_fails_fails_the_review(self, shop: Workshop, tmp_path: Path) -> None:
        """A review that did not take place must not look like one."""
        script = tmp_path / "agent.sh"
        script.write_text(
            script.read_text().replace("  code_reviewer)\n", "  code_reviewer)\n    exit 7\n")
        )

        assert "failed" == shop.start("review").outcome.status

    def test_coderabbit_is_left_out_where_it_is_not_installed(self, shop: Workshop) -> None:
        assert "comment" == shop.done("review", include_coderabbit="yes")["recommendation"]


class TestValidate:
    def test_mends_what_fails(self, shop: Workshop) -> None:
        shop.repository.write("broken")

        output = shop.done("validate")

        assert (True, 1) == (output["success"], output["fixes"])
        assert "Validation passed (stages run: 1; corrections: 1)" == output["report"]

    def test_says_what_fails_without_mending_it(self, shop: Workshop) -> None:
        shop.repository.write("broken")

        output = shop.done("validate", fix="no")

        assert (False, 0, []) == (output["success"], output["fixes"], shop.agents)
        assert output["report"].startswith("Validation failed (")

    def test_a_command_that_is_missing_fails_its_stage(self, shop: Workshop) -> None:
        output = shop.done(
            "validate", fix="no", stages='[{"name": "lint", "run": "no-such-linter ."}]'
        )

        assert (127, False) == (output["stages"][0]["exit_code"], output["success"])
        assert "no-such-linter" in output["stages"][0]["output"]


class TestFragments:
    def test_commit_and_push_writes_a_message_where_none_is_given(self, shop: Workshop) -> None:
        shop.repository.write("file-two")

        output = shop.done("commit_and_push")

        assert (True, True, "Update file-two") == (
            output["committed"],
            output["pushed"],
            output["message"],
        )

    def test_commit_and_push_without_changes_is_no_failure(self, shop: Workshop) -> None:
        output = shop.done("commit_and_push", push="no")

        assert (False, False) == (output["committed"], output["pushed"])

    def test_a_pull_request_that_is_open_is_updated(self, shop: Workshop) -> None:
        first = shop.done("create_pr_with_summary", title="One")
        second = shop.done("create_pr_with_summary", title="Two")

        assert (True, False) == (first["created"], second["created"])
        assert ["Two"] == [pull["title"] for pull in shop.pulls]
        assert (1, 1) == (first["number"], second["number"])

    def test_a_branch_that_was_not_pushed_gets_githubs_words(self, shop: Workshop) -> None:
        shop.repository.git("switch", "-q", "-c", "local")

        assert "Head sha can't be blank" in (
            shop.start("create_pr_with_summary").outcome.error or ""
        )

    @pytest.mark.parametrize(
        ("workflow", "inputs"),
        [
            ("review", {}),
            ("validate", {}),
            ("validate_and_fix", {}),
            ("commit_and_push", {}),
            ("create_pr_with_summary", {}),
        ],
    )
    def test_killed_at_every_step_the_outcome_is_the_same(
        self,
        shop: Workshop,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        workflow: str,
        inputs: dict[str, str],
    ) -> None:
        if "create" not in workflow:
            shop.repository.write("broken")
        execution = shop.killed_everywhere(monkeypatch, workflow, **inputs)
        kills = len(execution.kills)

        assert ("done", True) == (execution.outcome.status, kills > 0)
        if workflow == "commit_and_push":
            assert ["Update broken", "Add file-one", "first"] == shop.remote.subjects("feature")
        if workflow == "create_pr_with_summary":
            assert ["pr create"] == [
                asked for asked in shop.asked if asked in {"pr create", "api PATCH"}
            ]
            assert {"url": shop.pulls[0]["url"], "created": True} == {
                name: value
                for name, value in without(execution.output).items()
                if name in {"url", "created"}
            }
