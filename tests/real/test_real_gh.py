"""The real `gh`, the one of the system and the newest, against a stand-in for GitHub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.github_server import HOST, REPOSITORY, GitHubServer
from kit.real import PROGRAMS
from kit.repositories import Repository
from maverick.dsl.processes.commands import attach
from maverick.dsl.processes.processes import Processes
from maverick.dsl.processes.stop_request import Stop
from maverick.errors import StepFailed
from maverick.library.actions.gh import find_repository
from maverick.library.actions.issues import fetch_github_issue, fetch_github_issues
from maverick.library.actions.pull_requests import create_github_pr, gather_pr_context

pytestmark = pytest.mark.agents
_NEWEST = PROGRAMS / "gh" / "bin"
PLACES = [
    place for place in (shutil.which("gh"), str(_NEWEST / "gh")) if place and Path(place).exists()
]


@pytest.fixture
def hub() -> Iterator[GitHubServer]:
    with GitHubServer().serving() as server:
        yield server


@pytest.fixture(
    params=PLACES or [None],
    ids=lambda place: "newest" if place and ".agents" in place else "system",
)
def project(
    request: pytest.FixtureRequest, hub: GitHubServer, tmp_path: Path
) -> Iterator[Repository]:
    """A repository whose `origin` is on GitHub; actions run with that `gh`."""
    if request.param is None:
        pytest.fail(
            "there is no `gh`: install it, or let `scripts/test --agents` install the newest"
        )
    project = Repository(tmp_path / "project")
    project.folder.mkdir()
    project.git("init", "-q", "-b", "main")
    project.commit("first.txt")
    project.git("switch", "-q", "-c", "feature")
    project.commit("made.txt")
    project.git("remote", "add", "origin", f"http://{HOST}/{REPOSITORY}.git")
    environment = {
        "PATH": os.pathsep.join([str(Path(request.param).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path / "home"),
        **hub.environment,
    }
    with attach(Processes(Stop(), lambda _: None), env=environment, step="test"):
        yield project


def test_a_pull_request_is_opened_and_then_changed(project: Repository, hub: GitHubServer) -> None:
    """github.com has no classic projects any more: `gh pr edit` of old versions cannot change
    anything there.
    """
    opened = create_github_pr(
        "Do it", "How it is done", branch="feature", idempotency_key="a", cwd=project.cwd
    )
    changed = create_github_pr(
        "Done", "true", branch="feature", idempotency_key="b", cwd=project.cwd
    )

    assert (True, False) == (opened.created, changed.created)
    assert opened.url == changed.url == f"http://{HOST}/{REPOSITORY}/pull/1"
    (pull,) = hub.pulls
    assert ("Done", "true\n\n<!-- maverick-step: b -->\n", "main") == (
        pull["title"],
        pull["body"],
        pull["base"],
    )


def test_a_step_that_is_repeated_recognises_what_it_opened(
    project: Repository, hub: GitHubServer
) -> None:
    first = create_github_pr(
        "Do it", "@file", branch="feature", draft=True, idempotency_key="a", cwd=project.cwd
    )
    again = create_github_pr(
        "Do it", "@file", branch="feature", draft=True, idempotency_key="a", cwd=project.cwd
    )

    assert first == again
    assert 1 == len(hub.pulls)


def test_a_pull_request_is_looked_at(project: Repository, hub: GitHubServer) -> None:
    create_github_pr("Do it", branch="feature", cwd=project.cwd)

    context = gather_pr_context(1, cwd=project.cwd)

    assert ("Do it", "main", "feature", ["Do it"]) == (
        context.title,
        context.base_branch,
        context.head_branch,
        context.commits,
    )
    assert "+made" in context.diff


def test_issues_are_found_by_their_label(project: Repository, hub: GitHubServer) -> None:
    hub.add_issue(7, "It crashes", "tech-debt")
    hub.add_issue(8, "It is slow", "other")

    assert [7] == [issue.number for issue in fetch_github_issues("tech-debt", cwd=project.cwd)]
    assert "It is slow" == fetch_github_issue(8, cwd=project.cwd).title


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "GitHub refuses the token of `gh`"),
        (403, "the login of `gh` may not do this"),
        (404, "GitHub has no such thing in"),
        (429, "GitHub asks to slow down"),
    ],
)
def test_what_github_refuses_is_told_with_what_to_do(
    project: Repository, hub: GitHubServer, status: int, expected: str
) -> None:
    create_github_pr("Do it", branch="feature", cwd=project.cwd)
    hub.status = status

    with pytest.raises(StepFailed, match=expected):
        create_github_pr("Done", branch="feature", cwd=project.cwd)


def test_the_repository_is_found_by_the_remote(project: Repository) -> None:
    assert f"{HOST}/{REPOSITORY}" == str(find_repository(project.cwd))
