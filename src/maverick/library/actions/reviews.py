"""Reviews: what CodeRabbit finds, and several reviewers' findings as one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from maverick.dsl.processes.commands import find_program, run_command
from maverick.encoding import lines_of
from maverick.errors import StepTimeout
from maverick.library.actions.git import check_repository, decode, words

Severity = Literal["critical", "major", "minor", "info"]
Recommendation = Literal["approve", "comment", "request_changes"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "major", "minor", "info")
"""From the worst to the least."""
_RECOMMENDED: Final[dict[str, Recommendation]] = {
    "critical": "request_changes",
    "major": "request_changes",
    "minor": "comment",
    "info": "approve",
}
_STRICTNESS: Final[tuple[Recommendation, ...]] = ("approve", "comment", "request_changes")
_OTHER_NAMES: Final[dict[str, Severity]] = {
    **dict.fromkeys(("blocker", "high", "error", "fatal", "severe"), "critical"),
    **dict.fromkeys(("medium", "warning", "moderate", "important"), "major"),
    **dict.fromkeys(("low", "trivial_issue", "suggestion"), "minor"),
    **dict.fromkeys(("trivial", "none", "nit", "note", "nitpick", "hint", "style"), "info"),
}
_TEXT_NAMES = ("message", "title", "comment", "description", "body")
_NEAR_LINES = 3
_ALIKE = 0.6
_ENOUGH_WORDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFinding:
    """One thing that a reviewer found. `reviewers` are all who did."""

    severity: Severity
    message: str
    file: str | None = None
    line: int | None = None
    suggestion: str | None = None
    reviewers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What one reviewer found; `status` says whether it came to an end, `reason` why it did not."""

    reviewer: str
    status: Literal["done", "skipped", "failed"]
    issues: list[ReviewFinding] = field(default_factory=list)
    summary: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """All findings, the worst first; `report` is Markdown."""

    recommendation: Recommendation
    issues: list[ReviewFinding]
    report: str
    counts: dict[str, int]


# --- CodeRabbit -----------------------------------------------------------------------------------


def run_coderabbit_review(
    base_branch: str = "main", enabled: bool = True, timeout_seconds: float = 1200, cwd: str = "."
) -> Review:
    """Ask CodeRabbit about the changes since *base_branch*. It uploads them to the vendor.

    Not asked for (*enabled* false), not installed or not logged in is `skipped`; a review that does
    not come to its end in time, or ends with an error, is `failed`. Neither is a failure of the
    step.
    """
    check_repository(cwd)
    program = next((name for name in ("coderabbit", "cr") if find_program(name)), None)
    if not enabled or program is None:
        return _not_reviewed(
            "skipped", "CodeRabbit is not installed" if enabled else "CodeRabbit was not asked for"
        )
    # A review without a login may open a browser.
    status = run_command([program, "auth", "status", "--agent"], cwd=cwd, timeout=60)
    if not _is_authenticated(decode(status.stdout)):
        return _not_reviewed("skipped", f"CodeRabbit is not logged in; run `{program} auth login`")
    try:
        done = run_command(
            [program, "review", "--agent", "--base", base_branch], cwd=cwd, timeout=timeout_seconds
        )
    except StepTimeout:
        return _not_reviewed(
            "failed", f"CodeRabbit did not come to an end within {timeout_seconds:g} s"
        )
    events = list(_events(decode(done.stdout)))
    complete = next((event for event in events if event.get("type") == "complete"), None)
    findings = _findings(
        (event for event in events if event.get("type") == "finding"), "coderabbit"
    )
    if done.exit_code != 0 or complete is None:
        errors = [str(event.get("message")) for event in events if event.get("type") == "error"]
        reason = "; ".join(errors) or words(done)
        return Review(reviewer="coderabbit", status="failed", issues=findings, reason=reason)
    return Review(
        reviewer="coderabbit",
        status="done",
        issues=findings,
        summary=str(complete.get("message") or ""),
    )


def _not_reviewed(status: Literal["skipped", "failed"], reason: str) -> Review:
    return Review(reviewer="coderabbit", status=status, reason=reason)


def _is_authenticated(answer: str) -> bool:
    match = re.search(r'"authenticated"\s*:\s*(true|false)', answer)
    return (
        match[1] == "true"
        if match
        else re.search(r"(?<!un)(?<!not )\bauthenticated\b", answer) is not None
    )


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in lines_of(text):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


# --- combining ------------------------------------------------------------------------------------


def combine_review_results(reviews: Sequence[Any]) -> Combined:
    """Combine what several reviewers found into one list, without duplicates.

    A review is a mapping `{issues: [{severity, message, file, line, suggestion}], recommendation,
    summary, reviewer}`; null is left out. The same finding of two reviewers (the same place, much
    the same words) is one, as severe as the severer of both. Critical and major findings request
    changes, minor ones comment; a reviewer's own recommendation counts where it is stricter. Where
    no reviewer came to an end, nothing is approved.
    """
    given = [
        _review(review, f"reviewer {number}")
        for number, review in enumerate(reviews, start=1)
        if review is not None
    ]
    merged: list[ReviewFinding] = []
    for review in given:
        for finding in review.issues:
            same = next((earlier for earlier in merged if _is_same(earlier, finding)), None)
            if same is None:
                merged.append(finding)
            else:
                merged[merged.index(same)] = _merge(same, finding)
    merged.sort(key=_rank)
    recommendations: list[Recommendation] = [_RECOMMENDED[finding.severity] for finding in merged]
    recommendations += [own for review in reviews if (own := _own_recommendation(review))]
    if not any(review.status == "done" for review in given):
        recommendations.append("comment")
    strictest = max(map(_STRICTNESS.index, recommendations), default=0)
    recommendation = _STRICTNESS[strictest]
    counts: dict[str, int] = {
        severity: sum(finding.severity == severity for finding in merged) for severity in SEVERITIES
    }
    return Combined(
        recommendation=recommendation,
        issues=merged,
        report=_report(recommendation, merged, given),
        counts=counts,
    )


def _review(given: Any, name: str) -> Review:
    if not isinstance(given, Mapping):
        return Review(reviewer=name, status="done", summary=str(given).strip())
    reviewer = str(given.get("reviewer") or name)
    if "error" in given:
        return Review(reviewer=reviewer, status="failed", reason=str(given["error"]))
    status = given.get("status")
    issues = given.get("issues", given.get("findings"))
    return Review(
        reviewer=reviewer,
        status=status if status in {"skipped", "failed"} else "done",
        issues=_findings(issues if isinstance(issues, list) else [], reviewer),
        summary=str(given.get("summary") or "").strip(),
        reason=str(given.get("reason") or ""),
    )


def _findings(given: Iterable[Any], reviewer: str) -> list[ReviewFinding]:
    return [
        _finding(entry if isinstance(entry, Mapping) else {"message": entry}, reviewer)
        for entry in given
    ]


def _finding(given: Mapping[str, Any], reviewer: str) -> ReviewFinding:
    severity = str(given.get("severity") or "minor").strip().lower()
    file = given.get("file") or given.get("fileName") or given.get("path")
    line = str(given.get("line") or given.get("startLine") or "")
    suggestion = given.get("suggestion") or "\n".join(map(str, given.get("suggestions") or []))
    text = next((str(given[name]) for name in _TEXT_NAMES if given.get(name)), "")
    return ReviewFinding(
        severity=next(
            (one for one in SEVERITIES if one == severity),
            _OTHER_NAMES.get(severity, "minor"),
        ),
        message=text.strip() or str(given.get("codegenInstructions") or "no words"),
        file=str(file).removeprefix("./") if file else None,
        line=int(line) if line.isdecimal() else None,
        suggestion=str(suggestion).strip() or None,
        reviewers=[str(name) for name in given.get("reviewers") or [reviewer]],
    )


def _is_same(one: ReviewFinding, other: ReviewFinding) -> bool:
    if one.file != other.file or not _is_near(one.line, other.line):
        return False
    mine, theirs = _words_of(one.message), _words_of(other.message)
    if not mine or not theirs:
        return one.message == other.message
    common = len(mine & theirs)
    return common / len(mine | theirs) >= _ALIKE or (
        common >= _ENOUGH_WORDS and common == min(len(mine), len(theirs))
    )


def _rank(finding: ReviewFinding) -> tuple[int, str, int]:
    return SEVERITIES.index(finding.severity), finding.file or "", finding.line or 0


def _is_near(one: int | None, other: int | None) -> bool:
    return one is None or other is None or abs(one - other) <= _NEAR_LINES


def _words_of(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


def _merge(one: ReviewFinding, other: ReviewFinding) -> ReviewFinding:
    severity = min(one.severity, other.severity, key=SEVERITIES.index)
    return ReviewFinding(
        severity=severity,
        message=max(one.message, other.message, key=len),
        file=one.file,
        line=one.line if one.line is not None else other.line,
        suggestion=one.suggestion or other.suggestion,
        reviewers=list(dict.fromkeys([*one.reviewers, *other.reviewers])),
    )


def _own_recommendation(review: Any) -> Recommendation | None:
    own = review.get("recommendation") if isinstance(review, Mapping) else None
    text = re.sub(r"[\s-]+", "_", str(own).strip().lower())
    return next((recommendation for recommendation in _STRICTNESS if recommendation == text), None)


def _report(
    recommendation: Recommendation, findings: Sequence[ReviewFinding], reviews: Sequence[Review]
) -> str:
    lines = ["## Review", "", f"Recommendation: **{recommendation.replace('_', ' ')}**"]
    for review in reviews:
        if review.status == "failed":
            lines.append(f"\n{review.reviewer} did not come to an end: {review.reason}")
        elif review.summary:
            lines.append(f"\n{review.reviewer}: {review.summary}")
    for severity in SEVERITIES:
        those = [finding for finding in findings if finding.severity == severity]
        if those:
            lines += ["", f"### {severity.capitalize()}", "", *map(_line, those)]
    if not findings:
        lines += ["", "Nothing was found." if reviews else "There was nothing to review."]
    return "\n".join(lines) + "\n"


def _line(finding: ReviewFinding) -> str:
    place = finding.file or ""
    if finding.file and finding.line is not None:
        place += f":{finding.line}"
    text = " ".join(finding.message.split())
    suggestion = (
        f" Suggestion: {' '.join(finding.suggestion.split())}" if finding.suggestion else ""
    )
    return f"- {f'`{place}`: ' if place else ''}{text}{suggestion}"
