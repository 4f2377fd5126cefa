"""What came of working on several issues, in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from maverick.errors import StepFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueOutcome:
    """What came of one issue. `pull_request` is the address, or the file, of its pull request."""

    number: int
    title: str
    status: Literal["done", "failed"]
    branch: str | None = None
    pull_request: str | None = None
    validation_passed: bool | None = None
    error: str | None = None
    set_aside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`report` is Markdown."""

    processed: int
    succeeded: int
    failed: int
    issues: list[IssueOutcome]
    report: str


def summarize_issues(issues: Sequence[Mapping[str, Any]], outcomes: Sequence[Mapping[str, Any]]) -> Summary:
    """Each issue with what came of it: an outcome has `process` (what working on it gave) and `tidy`."""
    if len(issues) != len(outcomes):
        raise StepFailed(f"there are {len(issues)} issues, but {len(outcomes)} outcomes")
    each = [_outcome(issue, outcome) for issue, outcome in zip(issues, outcomes, strict=True)]
    failed = sum(outcome.status == "failed" for outcome in each)
    return Summary(processed=len(each), succeeded=len(each) - failed, failed=failed, issues=each, report=_report(each))


def _outcome(issue: Mapping[str, Any], outcome: Mapping[str, Any]) -> IssueOutcome:
    gave = outcome.get("process")
    given = gave if isinstance(gave, Mapping) else {}
    error = given.get("error") or outcome.get("error")
    tidy = outcome.get("tidy")
    kept = tidy if isinstance(tidy, Mapping) else {}
    return IssueOutcome(
        number=issue["number"],
        title=issue["title"],
        status="failed" if error else "done",
        branch=given.get("branch"),
        pull_request=given.get("pr_url") or given.get("pr_file"),
        validation_passed=given.get("validation_passed"),
        error=str(error) if error else None,
        set_aside=kept.get("set_aside") or kept.get("stash"),
    )


def _report(outcomes: Sequence[IssueOutcome]) -> str:
    if not outcomes:
        return "There were no issues to work on.\n"
    return "".join(f"- #{each.number} {each.title}: {_words(each)}\n" for each in outcomes)


def _words(outcome: IssueOutcome) -> str:
    aside = f"; what was not committed is in `git stash list`: {outcome.set_aside}" if outcome.set_aside else ""
    if outcome.error:
        return f"failed: {' '.join(outcome.error.split())}{aside}"
    draft = "" if outcome.validation_passed else ", though validation does not pass"
    return f"{outcome.pull_request or 'no pull request'}{draft}{aside}"
