"""Pull requests: what one is about, and opening one so that it is never opened twice.

Without `gh` or a remote on GitHub, the text of a pull request becomes a file that a person can use.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maverick.encoding import lines_of
from maverick.errors import StepFailed
from maverick.library.actions.gh import (
    Repository,
    ask_gh,
    ask_rest,
    explain_problem,
    find_repository,
    gh,
    gh_json,
    gh_view,
    owner_of,
)
from maverick.library.actions.git import (
    DIFF_BYTES,
    ChangedFile,
    check_repository,
    commit_id,
    current_branch,
    git,
    git_diff,
    is_ahead,
    main_folder,
)

FOLDER = ".maverick/pull-requests"
_LISTED = "number,url,isDraft,headRefName,baseRefName,body,headRepositoryOwner"
_VIEWED = "number,title,body,url,isDraft,baseRefName,headRefName,commits,files"
_URL = re.compile(r"https?://\S{1,300}?/pull/(\d+)")
_EXISTS = "already exists"
_NOTHING = "No commits between"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestContext:
    """What is to be reviewed. `number`, `title`, `body` and `url` are empty without a pull request.

    `diff` is a unified diff, its first megabyte (`truncated`); `commits` are the subjects, oldest
    first.
    """

    source: Literal["github", "git"]
    base_branch: str
    head_branch: str
    diff: str
    files: list[ChangedFile]
    commits: list[str]
    truncated: bool
    number: int | None = None
    title: str = ""
    body: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """What came of opening a pull request.

    It is on GitHub (`number`, `url`), or its text is in `file`, or, where the branch has nothing
    that the base has not, there is none (`reason`). `created` is false if it was open before this
    step.
    """

    branch: str
    base_branch: str
    title: str
    draft: bool
    created: bool
    number: int | None = None
    url: str | None = None
    file: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proposal:
    """A pull request as it should be. `head` is how GitHub is told of the branch."""

    title: str
    body: str
    base: str
    branch: str
    draft: bool
    head: str = field(default="")


def gather_pr_context(
    pr_number: int | None = None, base_branch: str = "main", cwd: str = "."
) -> PullRequestContext:
    """Give what a pull request changes; without a number, what the work tree adds to its base."""
    if pr_number is not None:
        return _from_github(pr_number, cwd)
    diff = git_diff(base_branch, cwd=cwd)
    base = commit_id(base_branch, cwd) or f"origin/{base_branch}"
    subjects = git("log", "--reverse", "--no-merges", "--format=%s", f"{base}..HEAD", cwd=cwd)
    return PullRequestContext(
        source="git",
        base_branch=base_branch,
        head_branch=current_branch(cwd) or "",
        diff=diff.text,
        files=diff.files,
        commits=lines_of(subjects),
        truncated=diff.truncated,
    )


def create_github_pr(
    title: str,
    body: str = "",
    base_branch: str = "main",
    branch: str | None = None,
    draft: bool = False,
    closes: int | None = None,
    idempotency_key: str | None = None,
    remote: str = "origin",
    cwd: str = ".",
) -> PullRequest:
    """Open a pull request for a branch that was pushed (default: the one checked out).

    One that is open for the branch gets this title, body and base instead; whether it is a draft is
    left to those who look at it. *closes* is an issue that the body says it closes. A body carries
    the *idempotency_key*, unseen, so that a step that is run again recognises what it opened.
    """
    check_repository(cwd)
    head = branch or current_branch(cwd)
    if head is None:
        raise StepFailed(
            "HEAD is detached, so there is no branch to open a pull request for; `git switch "
            "BRANCH`"
        )
    proposal = _Proposal(
        title=" ".join(title.split()) or head,
        body=_with_issue(body, closes),
        base=base_branch,
        branch=head,
        draft=draft,
    )
    repository = find_repository(cwd)
    if repository is None:
        return _write_file(proposal, cwd)
    if head == base_branch:
        raise StepFailed(
            f"`{head}` is the base branch itself; a pull request needs a branch of its own"
        )
    return _open(proposal, repository, idempotency_key, remote, cwd)


def _with_issue(body: str, closes: int | None) -> str:
    text = body.strip()
    if closes is None or re.search(
        rf"\b(close[sd]?|fix(es|ed)?|resolve[sd]?):?\s+#{closes}\b", text, re.IGNORECASE
    ):
        return text
    return f"{text}\n\nCloses #{closes}".strip()


# --- on GitHub ------------------------------------------------------------------------------------


def _open(
    proposal: _Proposal, repository: Repository, key: str | None, remote: str, cwd: str
) -> PullRequest:
    owner = owner_of(remote, cwd) or repository.owner
    mark = f"<!-- maverick-step: {key} -->" if key else ""
    if existing := _find(proposal, repository, owner, cwd):
        if mark and mark in existing["body"]:
            return _result(proposal, existing, created=True)
        return _update(proposal, existing, mark, repository, cwd)
    head = proposal.branch if owner == repository.owner else f"{owner}:{proposal.branch}"
    draft = ["--draft"] if proposal.draft else []
    where = ("--base", proposal.base, "--head", head)
    with _body(proposal, mark) as file:
        text = ("--title", proposal.title, "--body-file", str(file))
        output, problem = ask_gh(
            "pr", "create", *where, *draft, *text, repository=repository, cwd=cwd
        )
    if _EXISTS in problem and (existing := _find(proposal, repository, owner, cwd)):
        return _update(proposal, existing, mark, repository, cwd)  # Somebody was faster.
    if _NOTHING in problem:
        return _result(proposal, {}, created=False, reason=_nothing_new(proposal))
    if problem:
        raise StepFailed(explain_problem(problem, repository, cwd))
    if (url := _URL.search(output)) is None:
        raise StepFailed(f"`gh pr create` gave no address: {output[:200]!r}")
    return _result(
        proposal, {"number": int(url[1]), "url": url[0], "isDraft": proposal.draft}, created=True
    )


def _find(
    proposal: _Proposal, repository: Repository, owner: str, cwd: str
) -> dict[str, Any] | None:
    """Find the open pull request of the branch; of several, the one with the same base."""
    args = ("pr", "list", "--head", proposal.branch, "--state", "open")
    listed = gh_json(*args, fields=_LISTED, repository=repository, cwd=cwd)
    ours = [
        found
        for found in listed
        if ((found.get("headRepositoryOwner") or {}).get("login") or owner) == owner
    ]
    ours.sort(key=lambda found: found.get("baseRefName") != proposal.base)
    return {**ours[0], "body": ours[0].get("body") or ""} if ours else None


def _update(
    proposal: _Proposal, existing: dict[str, Any], mark: str, repository: Repository, cwd: str
) -> PullRequest:
    with _body(proposal, mark) as file:
        # Not by `gh pr edit`: before 2.82 it fails on github.com, whatever is to be changed.
        fields = (
            "-f",
            f"title={proposal.title}",
            "-F",
            f"body=@{file}",
            "-f",
            f"base={proposal.base}",
        )
        _, problem = ask_rest(
            "PATCH", f"pulls/{existing['number']}", *fields, repository=repository, cwd=cwd
        )
    if problem:
        raise StepFailed(explain_problem(problem, repository, cwd))
    return _result(proposal, existing, created=False)


@contextmanager
def _body(proposal: _Proposal, mark: str) -> Iterator[Path]:
    """Keep a file with the body while the block runs."""
    with tempfile.TemporaryDirectory(prefix="maverick-") as folder:
        file = Path(folder) / "body.md"
        file.write_text(f"{proposal.body}\n\n{mark}".strip() + "\n", "utf-8")
        yield file


def _result(
    proposal: _Proposal, fields: dict[str, Any], *, created: bool, reason: str = ""
) -> PullRequest:
    return PullRequest(
        branch=proposal.branch,
        base_branch=proposal.base,
        title=proposal.title,
        draft=bool(fields.get("isDraft", proposal.draft)),
        created=created,
        number=fields.get("number"),
        url=fields.get("url"),
        reason=reason,
    )


def _from_github(number: int, cwd: str) -> PullRequestContext:
    repository = find_repository(cwd)
    if repository is None:
        raise StepFailed(
            f"pull request #{number} cannot be looked at: that needs the program `gh` and a "
            "remote on GitHub, or `github.repo` in maverick.yaml; without a number, the branch "
            "that is checked out is looked at"
        )
    fields = gh_view("pr", number, fields=_VIEWED, repository=repository, cwd=cwd)
    diff = gh("pr", "diff", str(number), "--color", "never", repository=repository, cwd=cwd)
    data = diff.encode()
    return PullRequestContext(
        source="github",
        base_branch=fields["baseRefName"],
        head_branch=fields["headRefName"],
        diff=data[:DIFF_BYTES].decode("utf-8", "ignore"),
        files=[
            ChangedFile(
                path=entry["path"], added=entry.get("additions"), removed=entry.get("deletions")
            )
            for entry in fields.get("files") or []
        ],
        commits=[entry["messageHeadline"] for entry in fields.get("commits") or []],
        truncated=len(data) > DIFF_BYTES,
        number=fields["number"],
        title=fields["title"],
        body=fields.get("body") or "",
        url=fields.get("url") or "",
    )


def _nothing_new(proposal: _Proposal) -> str:
    return f"{proposal.branch} has no commit that {proposal.base} has not"


# --- as a file ------------------------------------------------------------------------------------


def _write_file(proposal: _Proposal, cwd: str) -> PullRequest:
    """Write the text below the main work tree, where no branch and no worktree holds it."""
    if not is_ahead(proposal.base, cwd, proposal.branch):
        return _result(proposal, {}, created=False, reason=_nothing_new(proposal))
    root = main_folder(cwd)
    folder = root / FOLDER
    path = folder / f"{proposal.branch}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(folder / ".gitignore", "*\n")
    heading = (
        f"# {proposal.title}\n\n`{proposal.branch}` into "
        f"`{proposal.base}`{', as a draft' if proposal.draft else ''}"
    )
    created = not path.exists()
    _replace(path, f"{heading}\n\n{proposal.body}".rstrip() + "\n")
    return PullRequest(
        branch=proposal.branch,
        base_branch=proposal.base,
        title=proposal.title,
        draft=proposal.draft,
        created=created,
        file=str(path.relative_to(root)),
        reason="there is no `gh`, or no remote on GitHub: the text was written to the file",
    )


def _replace(path: Path, text: str) -> None:
    """Make *path* hold *text*, by way of a file of a name that nobody can foresee."""
    temporary = path.with_name(f".maverick-{os.urandom(8).hex()}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
