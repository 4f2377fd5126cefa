"""Issues: from GitHub through `gh`, else from the files `.maverick/issues/*.md`.

A file is one issue, in Markdown. All of it is optional: front matter with `number`, `title`,
`labels`, `state` and `author`; a first heading, which is the title; a line `Labels: one, two`. The
number is else the one that the file's name begins with. A file that names no label fits every
label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maverick.errors import StepFailed
from maverick.library.actions.gh import find_repository, gh_json, gh_view
from maverick.library.actions.git import ask_git, main_folder
from maverick.library.actions.tasks import read_markdown, without_closing

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = ".maverick/issues"
_FIELDS = "number,title,body,state,author,labels,comments,url"
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)?---[ \t]*(?:\n|\Z)", re.DOTALL)
_COMMENTS = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_HEADING = re.compile(r"^#[ \t]+(?:(?:Issue[ \t]+)?#?(\d+)[ \t]*[:.)-]+[ \t]*)?(.+)$", re.MULTILINE)
_LABELS = re.compile(
    r"^[ \t>*_-]*labels?[*_]*[ \t]*:[*_]*[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """What somebody wrote below an issue; `created` is a time such as 2026-11-23T10:15:02Z."""

    author: str
    body: str
    created: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue. `url` is the file's path where it comes from a file."""

    number: int
    title: str
    body: str
    state: str
    labels: list[str] = field(default_factory=list)
    author: str = ""
    url: str = ""
    comments: list[Comment] = field(default_factory=list)
    source: Literal["github", "file"] = "github"


def fetch_github_issues(label: str = "", limit: int = 30, cwd: str = ".") -> list[Issue]:
    """Fetch at most *limit* open issues with *label* (empty: any).

    They are the newest of GitHub, or else the first of the files, by number.
    """
    if limit < 1:
        raise StepFailed(f"limit has to be at least 1, not {limit}")
    repository = find_repository(cwd)
    if repository is None:
        fitting = (
            issue
            for issue in _read_all(cwd)
            if issue.state == "open" and (not label or not issue.labels or label in issue.labels)
        )
        return list(fitting)[:limit]
    labels = ["--label", label] if label else []
    args = ["issue", "list", "--state", "open", *labels, "--limit", str(limit)]
    return [
        _issue(fields) for fields in gh_json(*args, fields=_FIELDS, repository=repository, cwd=cwd)
    ]


def fetch_github_issue(issue_number: int, cwd: str = ".") -> Issue:
    """Fetch one issue, open or not, with its comments."""
    repository = find_repository(cwd)
    if repository is None:
        return _from_files(issue_number, cwd)
    return _issue(gh_view("issue", issue_number, fields=_FIELDS, repository=repository, cwd=cwd))


def _issue(fields: Mapping[str, Any]) -> Issue:
    return Issue(
        number=fields["number"],
        title=fields["title"],
        body=fields.get("body") or "",
        state=str(fields.get("state") or "OPEN").lower(),
        labels=[label["name"] for label in fields.get("labels") or []],
        author=_login(fields),
        url=fields.get("url") or "",
        comments=[
            Comment(
                author=_login(comment),
                body=comment.get("body") or "",
                created=comment.get("createdAt") or "",
            )
            for comment in fields.get("comments") or []
        ],
    )


def _login(fields: Mapping[str, Any]) -> str:
    """Give who wrote it; empty where the account is gone."""
    return (fields.get("author") or {}).get("login") or ""


# --- files ----------------------------------------------------------------------------------------


def _from_files(number: int, cwd: str) -> Issue:
    issues = _read_all(cwd)
    for issue in issues:
        if issue.number == number:
            return issue
    numbers = ", ".join(f"#{issue.number}" for issue in issues) or "none"
    raise StepFailed(
        f"there is no issue #{number} in {FOLDER} (there are: {numbers}), and GitHub cannot be "
        "asked: that needs the program `gh` and a remote on GitHub, or `github.repo` in "
        "maverick.yaml"
    )


def _read_all(cwd: str) -> list[Issue]:
    folder = Path(cwd) / FOLDER
    if not folder.is_dir() and ask_git("rev-parse", "--show-prefix", cwd=cwd) is not None:
        folder = main_folder(cwd) / FOLDER  # In a worktree, where what is not committed is missing.
    if not folder.is_dir():
        raise StepFailed(
            f"there are no issues to be had: there is no folder {FOLDER}, and GitHub needs the "
            "program `gh` and a remote on GitHub, or `github.repo` in maverick.yaml"
        )
    taken: dict[int, str] = {}
    issues: list[Issue] = []
    for path in sorted(folder.glob("*.md")):
        issue = _read(path, max(taken, default=0) + 1)
        if issue.number in taken:
            raise StepFailed(
                f"{taken[issue.number]} and {issue.url} both are issue #{issue.number}; renumber "
                "one"
            )
        taken[issue.number] = issue.url
        issues.append(issue)
    return sorted(issues, key=lambda issue: issue.number)


def _read(path: Path, next_number: int) -> Issue:
    shown = f"{FOLDER}/{path.name}"
    text = read_markdown(path, shown)
    front = _FRONT_MATTER.match(text)
    facts = _facts(front[1] or "", shown) if front else {}
    body = text[front.end() :] if front else text
    heading = _HEADING.search(body)
    labels = _LABELS.search(body)
    named = re.match(r"(?:issue[-_])?(\d+)", path.stem, re.IGNORECASE)
    number = facts.get("number") or (named and named[1]) or (heading and heading[1]) or next_number
    if not str(number).isdecimal():
        raise StepFailed(f"{shown}: `number` has to be a whole number, not {number!r}")
    return Issue(
        number=int(number),
        title=str(
            facts.get("title")
            or (without_closing(heading[2]) or heading[2] if heading else path.stem)
        ),
        body=body.strip(),
        state=str(facts.get("state") or "open").lower(),
        labels=_names(
            facts["labels"]
            if "labels" in facts
            else facts.get("label") or (labels[1] if labels else [])
        ),
        author=str(facts.get("author") or ""),
        url=shown,
        source="file",
    )


def _facts(text: str, shown: str) -> dict[str, Any]:
    if not _COMMENTS.sub("", text).strip():
        return {}
    from maverick.dsl.serialization.yaml_nodes import compose, plain_value  # noqa: PLC0415 - loads the YAML parser

    text = "\n" + text  # It begins in the file's second line.
    node, problems = compose(text, shown)
    if node is None or problems:
        raise StepFailed(
            f"the front matter of {shown} is no YAML: " + "; ".join(map(str, problems))
        )
    facts = plain_value(node)
    return facts if isinstance(facts, dict) else {}


def _names(given: Any) -> list[str]:
    entries = given if isinstance(given, list) else re.split(r"[,;]", str(given or ""))
    return [name for entry in entries if (name := str(entry).strip().strip("`[]'\" "))]
