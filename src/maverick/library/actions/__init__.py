"""The actions that ship: plain functions that work on the folder *cwd* (default: the current one).

Each can be used alone: `from maverick.library.actions import git_commit`. A step gives it the
folder that it runs in as *cwd*. What goes wrong is a `StepFailed` that says what, which, and what
to do. All of them are safe to repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maverick.library.actions.commits import git_commit, git_push
    from maverick.library.actions.dependencies import sync_dependencies
    from maverick.library.actions.failures import (
        failures_asked,
        recognize_failure,
        require_validation,
    )
    from maverick.library.actions.git import (
        git_branch,
        git_diff,
        git_has_changes,
        git_is_ahead,
        git_stage_all,
        git_status,
    )
    from maverick.library.actions.issues import fetch_github_issue, fetch_github_issues
    from maverick.library.actions.messages import log_dry_run, log_message
    from maverick.library.actions.outcomes import (
        judge_phase,
        judge_work,
        summarize_issues,
        summarize_phases,
    )
    from maverick.library.actions.preflight import run_preflight_checks
    from maverick.library.actions.pull_requests import create_github_pr, gather_pr_context
    from maverick.library.actions.reviews import combine_review_results, run_coderabbit_review
    from maverick.library.actions.tasks import get_phase_names, get_phases
    from maverick.library.actions.workspace import create_git_branch, init_workspace
    from maverick.library.actions.worktrees import git_set_aside, git_worktree

__all__ = [
    "combine_review_results",
    "create_git_branch",
    "create_github_pr",
    "failures_asked",
    "fetch_github_issue",
    "fetch_github_issues",
    "gather_pr_context",
    "get_phase_names",
    "get_phases",
    "git_branch",
    "git_commit",
    "git_diff",
    "git_has_changes",
    "git_is_ahead",
    "git_push",
    "git_set_aside",
    "git_stage_all",
    "git_status",
    "git_worktree",
    "init_workspace",
    "judge_phase",
    "judge_work",
    "log_dry_run",
    "log_message",
    "recognize_failure",
    "require_validation",
    "run_coderabbit_review",
    "run_preflight_checks",
    "summarize_issues",
    "summarize_phases",
    "sync_dependencies",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # A name that is none of these is a mistake that a type checker should see.

    def __getattr__(name: str) -> Any:
        """Load an action when it is asked for."""
        from importlib import import_module  # noqa: PLC0415

        from maverick.library import ACTIONS  # noqa: PLC0415

        if name not in ACTIONS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, function = ACTIONS[name].partition(":")
        return getattr(import_module(module), function)
