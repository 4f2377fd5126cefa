"""Issues and pull requests, each action used alone; `gh` is the stand-in, and the errors are its
real ones.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kit.repositories import Repository
from kit.shipped import STANDINS
from maverick.errors import StepFailed
from maverick.library.actions import (
    create_github_pr,
    fetch_github_issue,
    fetch_github_issues,
    gather_pr_context,
)
from maverick.library.actions.gh import find_repository


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GitHub, whose `gh` is on PATH."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{STANDINS}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GH_STANDIN", str(folder))
    monkeypatch.delenv("GH_REPO", raising=False)
    monkeypatch.delenv("GH_HOST", raising=False)
    return folder


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GitHub, whatever this machine has."""
    monkeypatch.delenv("GH_REPO", raising=False)


@pytest.fixture
def ours(repository: Repository) -> Repository:
    """A repository whose origin is on GitHub."""
    repository.git("remote", "add", "origin", "git@github.com:ada/engine.git")
    return repository


def issue(number: int, **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "number": number,
        "title": f"issue {number}",
        "body": "text",
        "state": "OPEN",
    }
    links = {"url": f"https://github.com/ada/engine/issues/{number}", "author": {"login": "bob"}}
    return {**plain, **links, "labels": [], "comments": [], **more}


def has(hub: Path, *issues: dict[str, Any]) -> None:
    (hub / "issues.json").write_text(json.dumps(issues))


class TestWhichRepository:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("git@github.com:ada/engine.git", "ada/engine"),
            ("https://github.com/ada/engine", "ada/engine"),
            ("https://user:s3cret@github.com/ada/engine.git", "ada/engine"),
            ("ssh://git@ssh.github.com:443/ada/engine.git", "ada/engine"),
            ("https://github.example.org/ada/engine.git", "github.example.org/ada/engine"),
            ("https://gitlab.com/ada/engine.git", "None"),
            ("/srv/git/engine.git", "None"),
        ],
    )
    def test_is_the_one_of_the_remote(
        self, repository: Repository, hub: Path, url: str, expected: str
    ) -> None:
        repository.git("remote", "add", "origin", url)

        assert expected == str(find_repository(repository.cwd))

    def test_is_the_one_that_is_configured_before_any_remote(
        self, ours: Repository, hub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GH_REPO", "grace/compiler")

        assert "grace/compiler" == str(find_repository(ours.cwd))

    def test_is_upstream_where_origin_is_a_fork(self, ours: Repository, hub: Path) -> None:
        ours.git("remote", "add", "upstream", "https://github.com/grace/engine.git")

        assert "grace/engine" == str(find_repository(ours.cwd))

    def test_is_the_one_that_gh_was_told(self, ours: Repository, hub: Path) -> None:
        ours.git("remote", "add", "upstream", "https://github.com/grace/engine.git")
        ours.git("config", "remote.origin.gh-resolved", "base")

        assert "ada/engine" == str(find_repository(ours.cwd))

    def test_is_none_without_gh(
        self, ours: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "git").symlink_to("/usr/bin/git")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))

        assert find_repository(ours.cwd) is None


class TestIssuesOfGitHub:
    def test_those_of_a_label_are_listed(self, ours: Repository, hub: Path) -> None:
        debt = [{"name": "tech-debt"}]
        has(
            hub,
            issue(1, labels=debt),
            issue(2),
            issue(3, labels=debt),
            issue(4, labels=debt, state="CLOSED"),
        )

        assert [1, 3] == [found.number for found in fetch_github_issues("tech-debt", cwd=ours.cwd)]
        assert [1] == [
            found.number for found in fetch_github_issues("tech-debt", limit=1, cwd=ours.cwd)
        ]

    def test_one_has_its_comments(self, ours: Repository, hub: Path) -> None:
        """Accounts may be gone, bodies empty."""
        comments = [{"author": None, "body": "me too", "createdAt": "2026-11-23T10:15:02Z"}]
        has(hub, issue(7, comments=comments, body=None, labels=[{"name": "bug"}]))

        found = fetch_github_issue(7, cwd=ours.cwd)

        assert (7, "", ["bug"], "bob", "open") == (
            found.number,
            found.body,
            found.labels,
            found.author,
            found.state,
        )
        assert [("", "me too")] == [(comment.author, comment.body) for comment in found.comments]

    def test_one_that_is_not_there_is_named(self, ours: Repository, hub: Path) -> None:
        with pytest.raises(StepFailed, match="there is no issue #8 in ada/engine"):
            fetch_github_issue(8, cwd=ours.cwd)

    @pytest.mark.parametrize(
        ("trouble", "words"),
        [
            (
                "logged-out",
                "`gh` is not logged in; run `gh auth login`, or set GH_TOKEN, then resume",
            ),
            ("bad-token", "GitHub refuses the token of `gh`"),
            ("rate-limited", "GitHub's rate limit is used up; wait until"),
            ("slowed-down", "its secondary rate limit"),
            ("offline", "GitHub cannot be reached"),
        ],
    )
    def test_what_goes_wrong_is_said_with_a_way_out(
        self, ours: Repository, hub: Path, trouble: str, words: str
    ) -> None:
        (hub / "trouble").write_text(trouble)

        for ask in (
            lambda: fetch_github_issues(cwd=ours.cwd),
            lambda: fetch_github_issue(1, cwd=ours.cwd),
            lambda: gather_pr_context(1, cwd=ours.cwd),
        ):
            with pytest.raises(StepFailed) as caught:
                ask()
            assert words in str(caught.value)
            assert "then resume" in str(caught.value)

    def test_a_repository_that_is_not_there_is_named(self, ours: Repository, hub: Path) -> None:
        (hub / "repository").write_text("somebody/else")

        with pytest.raises(StepFailed, match=r"no repository `ada/engine`.*correct `github.repo`"):
            fetch_github_issues(cwd=ours.cwd)

    def test_a_gh_that_knows_a_field_not_is_too_old(
        self, ours: Repository, tmp_path: Path, hub: Path
    ) -> None:
        old = tmp_path / "old"
        old.mkdir()
        (old / "gh").write_text("#!/bin/sh\necho 'Unknown JSON field: \"comments\"' >&2\nexit 1\n")
        (old / "gh").chmod(0o755)
        os.environ["PATH"] = (
            f"{old}{os.pathsep}{os.environ['PATH']}"  # The fixture's patch takes it back.
        )

        with pytest.raises(
            StepFailed, match="does not know a field that is needed; install a newer one"
        ):
            fetch_github_issues(cwd=ours.cwd)


@pytest.mark.usefixtures("no_hub")
class TestIssuesOfFiles:
    def test_front_matter_and_plain_markdown_are_read(self, repository: Repository) -> None:
        repository.write(
            ".maverick/issues/12-slow.md",
            "---\ntitle: It is slow\nlabels: [perf, tech-debt]\n---\nVery.\n",
        )
        repository.write(
            ".maverick/issues/7.md", "# It crashes ##\n\nLabels: bug, `tech-debt`\n\nWhen I ...\n"
        )
        repository.write(".maverick/issues/9.md", "---\nstate: closed\n---\n# Old\n")
        repository.write(".maverick/issues/notes.md", "# #20: Numbered by its heading\n")

        found = fetch_github_issues(cwd=repository.cwd)

        assert [(7, "It crashes"), (12, "It is slow"), (20, "Numbered by its heading")] == [
            (each.number, each.title) for each in found
        ]
        assert [["bug", "tech-debt"], ["perf", "tech-debt"], []] == [each.labels for each in found]
        assert ("file", ".maverick/issues/12-slow.md", "Very.") == (
            found[1].source,
            found[1].url,
            found[1].body,
        )

    @pytest.mark.parametrize("fill", [" ", "# ", "#", "1", ") "])
    def test_a_hostile_heading_costs_no_more_than_its_length(
        self, repository: Repository, fill: str
    ) -> None:
        """Anybody may have written it; the square of its length would be hours that nothing can
        stop.
        """
        repository.write(".maverick/issues/1.md", f"# a{fill * 100_000}x\n")

        assert fetch_github_issues(cwd=repository.cwd)[0].title.startswith("a")

    def test_a_file_without_labels_fits_every_label(self, repository: Repository) -> None:
        repository.write(".maverick/issues/1.md", "# Without\n")
        repository.write(".maverick/issues/2.md", "---\nlabels: bug\n---\n# With\n")

        assert [1] == [each.number for each in fetch_github_issues("tech-debt", cwd=repository.cwd)]
        assert [1, 2] == [each.number for each in fetch_github_issues("bug", cwd=repository.cwd)]
        assert [1] == [each.number for each in fetch_github_issues(limit=1, cwd=repository.cwd)]

    def test_one_is_found_by_its_number(self, repository: Repository) -> None:
        repository.write(".maverick/issues/3.md", "# Three\n")

        assert "Three" == fetch_github_issue(3, cwd=repository.cwd).title
        with pytest.raises(StepFailed, match=r"no issue #4 in .maverick/issues \(there are: #3\)"):
            fetch_github_issue(4, cwd=repository.cwd)

    def test_two_of_one_number_are_refused(self, repository: Repository) -> None:
        repository.write(".maverick/issues/3-a.md", "# A\n")
        repository.write(".maverick/issues/3-b.md", "# B\n")

        with pytest.raises(StepFailed, match=r"3-a.md and .*3-b.md both are issue #3"):
            fetch_github_issues(cwd=repository.cwd)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (
                "---\ntitle: [\n---\n",
                "front matter of .maverick/issues/1.md is no YAML: .maverick/issues/1.md:",
            ),
            ("---\na: 1\ntitle: 'x\n---\n", r"1.md:3:8: unclosed quote"),
            (
                f"---\na: {'[' * 9000}\n---\n",
                r"1.md:2:153: nested too deeply: more than 150 lists and mappings",
            ),
            ("---\nnumber: soon\n---\n", "`number` has to be a whole number, not 'soon'"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_named(
        self, repository: Repository, text: str, words: str
    ) -> None:
        repository.write(".maverick/issues/1.md", text)

        with pytest.raises(StepFailed, match=words):
            fetch_github_issues(cwd=repository.cwd)

    def test_front_matter_is_read_as_workflows_are(self, repository: Repository) -> None:
        """What looks like a date or a switch is text; a day that does not exist is no crash."""
        text = "---\nnumber: 010\ntitle: on\nlabels: [no, 2026-02-31]\ndue: 2026-02-31\n---\n"
        repository.write(".maverick/issues/a.md", text)
        repository.write(".maverick/issues/b.md", "---\n# no fact\n---\n# 11: B\n")

        issues = fetch_github_issues(cwd=repository.cwd)

        assert [(10, "on", ["no", "2026-02-31"]), (11, "B", [])] == [
            (i.number, i.title, i.labels) for i in issues
        ]

    def test_without_files_either_the_way_out_is_said(self, repository: Repository) -> None:
        with pytest.raises(
            StepFailed, match=r"no folder .maverick/issues, and GitHub needs the program `gh`"
        ):
            fetch_github_issues(cwd=repository.cwd)


class TestPullRequests:
    def open(self, repository: Repository, **more: Any) -> Any:
        return create_github_pr("A title", "A body", branch="work", cwd=repository.cwd, **more)

    def pulls(self, hub: Path) -> list[dict[str, Any]]:
        pulls: list[dict[str, Any]] = json.loads((hub / "pulls.json").read_text())
        return pulls

    def test_one_is_opened(self, ours: Repository, hub: Path) -> None:
        made = self.open(ours, draft=True, closes=12)

        assert (1, "https://github.com/ada/engine/pull/1", True, True) == (
            made.number,
            made.url,
            made.draft,
            made.created,
        )
        assert ["A body\n\nCloses #12\n"] == [pull["body"] for pull in self.pulls(hub)]

    def test_a_body_that_closes_the_issue_is_left_alone(self, ours: Repository, hub: Path) -> None:
        create_github_pr("T", "This fixes #12.", branch="work", closes=12, cwd=ours.cwd)

        assert "This fixes #12.\n" == self.pulls(hub)[0]["body"]

    def test_a_repeated_step_finds_what_it_opened(self, ours: Repository, hub: Path) -> None:
        """Killed before its record: the same answer, and GitHub is not told anything twice."""
        first = self.open(ours, idempotency_key="key-1")
        second = self.open(ours, idempotency_key="key-1")

        assert first == second
        commands = [json.loads(line)[:2] for line in (hub / "log").read_text().splitlines()]
        assert [["pr", "list"], ["pr", "create"], ["pr", "list"]] == commands

    def test_one_that_was_open_is_updated(self, ours: Repository, hub: Path) -> None:
        self.open(ours, idempotency_key="key-1")

        again = create_github_pr(
            "New", "text", "dev", branch="work", idempotency_key="key-2", cwd=ours.cwd
        )

        assert (1, False) == (again.number, again.created)
        assert [("New", "dev")] == [
            (pull["title"], pull["baseRefName"]) for pull in self.pulls(hub)
        ]

    def test_one_of_a_forks_branch_of_that_name_is_another(
        self, ours: Repository, hub: Path
    ) -> None:
        self.open(ours)
        pulls = self.pulls(hub)
        pulls[0] |= {"headRepositoryOwner": {"login": "grace"}, "baseRefName": "dev"}
        (hub / "pulls.json").write_text(json.dumps(pulls))

        assert (2, True) == ((made := self.open(ours)).number, made.created)

    def test_from_a_fork_it_names_the_owner(self, ours: Repository, hub: Path) -> None:
        ours.git("remote", "add", "upstream", "https://github.com/grace/engine.git")

        self.open(ours)

        assert "ada:work" in (hub / "log").read_text()

    def test_somebody_elses_that_came_first_is_updated(
        self, ours: Repository, hub: Path, tmp_path: Path
    ) -> None:
        """It was opened after the look and before the opening."""
        self.open(ours)
        slow = tmp_path / "slow"
        slow.mkdir()
        real = STANDINS / "gh"
        seen = tmp_path / "seen"
        first = f'[ "$2" = list ] && [ ! -e {seen} ]'
        (slow / "gh").write_text(
            f'#!/bin/sh\nif {first}; then touch {seen}; echo "[]"; exit; fi\nexec {real} "$@"\n'
        )
        (slow / "gh").chmod(0o755)
        os.environ["PATH"] = f"{slow}{os.pathsep}{os.environ['PATH']}"

        assert (1, False) == ((made := self.open(ours)).number, made.created)

    def test_without_commits_there_is_none_and_the_reason_is_given(
        self, ours: Repository, hub: Path, tmp_path: Path
    ) -> None:
        Repository(tmp_path).git("clone", "-q", "--bare", ours.cwd, "bare")
        Repository(tmp_path / "bare").git("branch", "work")
        (hub / "remote").write_text(str(tmp_path / "bare"))

        made = self.open(ours)

        assert (None, None, False) == (made.number, made.url, made.created)
        assert "work has no commit that main has not" == made.reason

    def test_the_base_branch_itself_is_refused(self, ours: Repository, hub: Path) -> None:
        with pytest.raises(StepFailed, match="`main` is the base branch itself"):
            create_github_pr("T", cwd=ours.cwd)

    def test_without_github_the_text_becomes_a_file_that_git_ignores(
        self, repository: Repository, no_hub: None
    ) -> None:
        made = self.open(repository, closes=3)

        assert ".maverick/pull-requests/work.md" == made.file
        text = (repository.folder / made.file).read_text()
        assert "# A title\n\n`work` into `main`\n\nA body\n\nCloses #3\n" == text
        assert "" == repository.git("status", "--porcelain")

    def test_context_of_a_branch_is_what_it_has_beyond_the_base(
        self, repository: Repository
    ) -> None:
        repository.git("switch", "-q", "-c", "work")
        repository.commit("new.txt", message="Add new.txt")

        context = gather_pr_context(cwd=repository.cwd)

        assert ("work", "main", ["Add new.txt"], ["new.txt"]) == (
            context.head_branch,
            context.base_branch,
            context.commits,
            [file.path for file in context.files],
        )
        assert "+text" in context.diff

    def test_context_of_a_pull_request_needs_github(
        self, repository: Repository, no_hub: None
    ) -> None:
        with pytest.raises(StepFailed, match="pull request #3 cannot be looked at"):
            gather_pr_context(3, cwd=repository.cwd)

    def test_context_of_a_pull_request_that_is_not_there(self, ours: Repository, hub: Path) -> None:
        with pytest.raises(StepFailed, match="there is no pull request #3 in ada/engine"):
            gather_pr_context(3, cwd=ours.cwd)
