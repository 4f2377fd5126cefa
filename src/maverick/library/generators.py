"""Texts of commits and pull requests as they are written without an agent: plain, and true to what
is given.

Each takes the context of the `generate` step: any mapping will do (see `contexts`), what is missing
is done without.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from maverick.encoding import lines_of

if TYPE_CHECKING:
    from maverick.values import Value

SUBJECT_CHARACTERS = 72
_FILES_NAMED = 3
_ITEMS_LISTED = 50


def commit_message(context: Value) -> str:
    """The purpose, if one is given; else the changed files by name."""
    given = context if isinstance(context, dict) else {}
    return _subject(given) or f"Update {_files_in_words(given)}"


def pr_title(context: Value) -> str:
    """The purpose, the issue's title, or the branch's name as words."""
    given = context if isinstance(context, dict) else {}
    issue = given.get("issue")
    if isinstance(issue, dict) and issue.get("title"):
        return _short(f"Fix #{_line(issue.get('number'))}: {_line(issue['title'])}")
    branch = str(given.get("branch_name") or "").rpartition("/")[2]
    words = " ".join(branch.replace("-", " ").replace("_", " ").split())
    return (
        _subject(given)
        or _short(words[:1].upper() + words[1:])
        or f"Update {_files_in_words(given)}"
    )


def pr_body(context: Value) -> str:
    """Purpose, commits, changed files, validation, review, and the closed issue, where given."""
    given = context if isinstance(context, dict) else {}
    issue = given.get("issue")
    parts = [
        _text(given.get("purpose")),
        _listed("Commits", [_line(commit) for commit in _list(given.get("commits"))]),
        _listed("Changes", [f"`{file}`" for file in _files(given)]),
        _validation(given.get("validation")),
        _review(given.get("review")),
        f"Closes #{_line(issue['number'])}"
        if isinstance(issue, dict) and issue.get("number")
        else "",
    ]
    return "\n\n".join(filter(None, parts)) or "No description was given.\n"


def _subject(given: dict[str, Value]) -> str:
    lines = lines_of(_text(given.get("purpose")).strip())
    return _short(lines[0]) if lines else ""


def _text(value: Value) -> str:
    if isinstance(value, dict):
        return "\n".join(
            f"- {name}: {_line(entry)}"
            for name, entry in value.items()
            if entry not in (None, "", [], {})
        )
    if isinstance(value, list):
        return "\n".join(f"- {_line(entry)}" for entry in value)
    return "" if value is None else str(value).strip()


def _line(value: Value) -> str:
    if isinstance(value, dict):
        value = value.get("title") or value.get("name") or value.get("subject") or value
    return " ".join(str(value).split())


def _short(text: str) -> str:
    return textwrap.shorten(text, SUBJECT_CHARACTERS, placeholder="…").rstrip(".")


def _files(given: dict[str, Value]) -> list[str]:
    files = _list(given.get("changed_files") or given.get("files"))
    return [str(file.get("path") if isinstance(file, dict) else file) for file in files]


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def _listed(heading: str, items: list[str]) -> str:
    shown = items[:_ITEMS_LISTED]
    more = [f"and {len(items) - len(shown)} more"] if len(items) > len(shown) else []
    return (
        "\n".join([f"## {heading}", "", *(f"- {item}" for item in [*shown, *more])])
        if items
        else ""
    )


def _files_in_words(given: dict[str, Value]) -> str:
    files = _files(given)
    if not files:
        return "the project"
    named = ", ".join(files[:_FILES_NAMED])
    more = len(files) - _FILES_NAMED
    return f"{named} and {more} more file{'s' if more > 1 else ''}" if more > 0 else named


def _validation(validation: Value) -> str:
    if not isinstance(validation, dict):
        return ""
    lines = [
        f"- {_line(stage.get('name'))}: {'passed' if stage.get('success') else 'failed'}"
        for stage in _list(validation.get("stages"))
        if isinstance(stage, dict)
    ]
    summary = "All stages passed." if validation.get("success") else "Validation did not pass."
    return "\n".join(["## Validation", "", summary, *([""] if lines else []), *lines])


def _review(review: Value) -> str:
    report = review.get("report") if isinstance(review, dict) else review
    return f"## Review\n\n{report.strip()}" if isinstance(report, str) and report.strip() else ""
