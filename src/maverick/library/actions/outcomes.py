"""What came of the work of agents: of one piece, a task file's phases, or several issues."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from maverick.dsl.processes.commands import notice
from maverick.errors import StepFailed
from maverick.library.actions.git import changed_files, commit_id, is_ahead
from maverick.library.actions.tasks import get_phases

SAID_CHARACTERS = 500
"""How much of what an agent said stands in a notice or a report; outputs have all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOutcome:
    """What an agent did. `unchanged`: nothing, whatever it `said`."""

    status: Literal["done", "unchanged"]
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseOutcome:
    """What an agent did for a phase. `open_tasks` are those that it did not tick."""

    number: int
    name: str
    status: Literal["done", "unchanged"]
    open_tasks: list[str]
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasesSummary:
    """`status` is `unchanged` where there were phases and none of them changed anything.

    `notices` say which phases changed nothing, or left tasks open.
    """

    status: Literal["done", "unchanged"]
    phases: list[PhaseOutcome]
    notices: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueOutcome:
    """What came of one issue. `pull_request` is the address, or the file, of its pull request.

    `said` is what the agent said if it changed nothing.
    """

    number: int
    title: str
    status: Literal["done", "unchanged", "failed"]
    branch: str | None = None
    pull_request: str | None = None
    validation_passed: bool | None = None
    error: str | None = None
    set_aside: str | None = None
    said: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuesSummary:
    """`report` is Markdown; `notices` say which issues failed, and what was set aside."""

    processed: int
    succeeded: int
    unchanged: int
    failed: int
    issues: list[IssueOutcome]
    report: str
    notices: list[str] = field(default_factory=list)


def judge_work(
    about: str, said: Any = None, base_branch: str = "main", cwd: str = "."
) -> WorkOutcome:
    """Judge whether there is anything to hand over: changes, or commits that *base_branch* lacks.

    If there is nothing, a notice tells so, with what the agent *said*.
    """
    text = _text(said)
    if changed_files(cwd) or is_ahead(base_branch, cwd):
        return WorkOutcome(status="done", said=text)
    notice(f"{about}: the agent changed nothing{_quoted(text)}")
    return WorkOutcome(status="unchanged", said=text)


def judge_phase(
    phase: Mapping[str, Any], since: str | None, said: Any = None, cwd: str = "."
) -> PhaseOutcome:
    """Judge whether anything changed since the commit *since*, and which tasks are not ticked.

    A notice tells what is missing.
    """
    text, name = _text(said), str(phase["name"])
    changed = commit_id("HEAD", cwd) != since or bool(changed_files(cwd))
    open_tasks = _open_tasks(phase, cwd)
    outcome = PhaseOutcome(
        number=phase["number"],
        name=name,
        status="done" if changed else "unchanged",
        open_tasks=open_tasks,
        said=text,
    )
    if lacks := _lacks(outcome):
        notice(lacks)
    return outcome


def _lacks(phase: PhaseOutcome) -> str:
    """Say what is missing of a phase."""
    if phase.status == "unchanged":
        return f"{phase.name}: the agent changed nothing{_quoted(phase.said)}"
    tasks = "; ".join(phase.open_tasks)
    return f"{phase.name}: not ticked off by the agent: {tasks}" if tasks else ""


def summarize_phases(outcomes: Sequence[Mapping[str, Any]]) -> PhasesSummary:
    """Sum up all phases: an outcome has `judge`, what `judge_phase` gave."""
    phases = [PhaseOutcome(**outcome["judge"]) for outcome in outcomes]
    nothing = bool(phases) and all(phase.status == "unchanged" for phase in phases)
    return PhasesSummary(
        status="unchanged" if nothing else "done",
        phases=phases,
        notices=list(filter(None, map(_lacks, phases))),
    )


def summarize_issues(
    issues: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Mapping[str, Any]],
    dry_run: bool = False,
) -> IssuesSummary:
    """Sum up each issue: an outcome has `process` (what working on it gave) and `tidy`.

    In a *dry_run* nothing came of any: the report says which ones would be worked on.
    """
    if dry_run:
        lines = "".join(
            f"- #{issue['number']} {issue['title']}: would be worked on\n" for issue in issues
        )
        return IssuesSummary(
            processed=0, succeeded=0, unchanged=0, failed=0, issues=[], report=lines or _report([])
        )
    if len(issues) != len(outcomes):
        raise StepFailed(f"there are {len(issues)} issues, but {len(outcomes)} outcomes")
    results = [_outcome(issue, outcome) for issue, outcome in zip(issues, outcomes, strict=True)]
    by_status = {
        status: sum(result.status == status for result in results)
        for status in ("done", "unchanged", "failed")
    }
    return IssuesSummary(
        processed=len(results),
        succeeded=by_status["done"],
        unchanged=by_status["unchanged"],
        failed=by_status["failed"],
        issues=results,
        report=_report(results),
        notices=[
            f"issue #{result.number} ({result.title}): {_words(result)}"
            for result in results
            if result.status == "failed" or result.set_aside
        ],
    )


def _outcome(issue: Mapping[str, Any], outcome: Mapping[str, Any]) -> IssueOutcome:
    gave = outcome.get("process")
    given = gave if isinstance(gave, Mapping) else {}
    error = given.get("error") or outcome.get("error")
    tidy = outcome.get("tidy")
    kept = tidy if isinstance(tidy, Mapping) else {}
    unchanged = not error and given.get("status") == "unchanged"
    return IssueOutcome(
        number=issue["number"],
        title=issue["title"],
        status="failed" if error else "unchanged" if unchanged else "done",
        branch=given.get("branch"),
        pull_request=given.get("pr_url") or given.get("pr_file"),
        validation_passed=given.get("validation_passed"),
        error=str(error) if error else None,
        set_aside=kept.get("set_aside") or kept.get("stash"),
        said=_text(given.get("said")) if unchanged else None,
    )


def _report(outcomes: Sequence[IssueOutcome]) -> str:
    if not outcomes:
        return "There were no issues to work on.\n"
    return "".join(
        f"- #{outcome.number} {outcome.title}: {_words(outcome)}\n" for outcome in outcomes
    )


def _words(outcome: IssueOutcome) -> str:
    aside = (
        f"; what was not committed is in `git stash list`: {outcome.set_aside}"
        if outcome.set_aside
        else ""
    )
    if outcome.error:
        return f"failed: {' '.join(outcome.error.split())}{aside}"
    if outcome.status == "unchanged":
        return f"the agent changed nothing{_quoted(outcome.said or '')}{aside}"
    draft = "" if outcome.validation_passed else ", though validation does not pass"
    return f"{outcome.pull_request or 'no pull request'}{draft}{aside}"


def _open_tasks(phase: Mapping[str, Any], cwd: str) -> list[str]:
    """Give the tasks of the phase that its file has unticked now; none where the file is gone."""
    try:
        phases = get_phases(phase["file"], cwd=cwd)
    except StepFailed:  # The agent moved the file, or changed its form: nothing can be said.
        return []
    return [
        task.text
        for current in phases
        if current.name == phase["name"]
        for task in current.tasks
        if not task.done
    ]


def _text(said: Any) -> str:
    if said is None:
        return ""
    return said.strip() if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _quoted(said: str) -> str:
    """Give `; it said: …`, on one line."""
    line = " ".join(said.split())
    return (
        f"; it said: {line[:SAID_CHARACTERS]}{'…' * (len(line) > SAID_CHARACTERS)}" if line else ""
    )
