"""What ships with maverick: actions, agents, workflows and fragments.

Importing this loads none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HERE = Path(__file__).parent

WORKFLOWS: Final = _HERE / "workflows"
FRAGMENTS: Final = _HERE / "fragments"
"""Workflows that are made to be used by others, looked up like them."""
AGENTS: Final = _HERE / "agents"

_MODULES: Final = {
    "git": "git_branch git_status git_diff git_has_changes git_is_ahead git_stage_all",
    "commits": "git_commit git_push",
    "workspace": "create_git_branch init_workspace",
    "preflight": "run_preflight_checks",
    "tasks": "get_phases get_phase_names",
    "messages": "log_message log_dry_run",
    "issues": "fetch_github_issues fetch_github_issue",
    "pull_requests": "gather_pr_context create_github_pr",
    "worktrees": "git_worktree git_set_aside",
    "reviews": "run_coderabbit_review combine_review_results",
    "failures": "recognize_failure failures_asked require_validation",
    "dependencies": "sync_dependencies",
    "outcomes": "judge_work judge_phase summarize_phases summarize_issues",
}

ACTIONS: Final[dict[str, str]] = {
    name: f"maverick.library.actions.{module}:{name}"
    for module, names in _MODULES.items()
    for name in names.split()
}
"""The actions that a step can name: name -> `module:function`."""

AGENT_PROMPTS: Final[dict[str, Path]] = {
    name: AGENTS / f"{name}.md"
    for name in ("implementer", "code_reviewer", "issue_fixer", "validation_fixer")
}
"""What the agents are told before the context of a step: name -> Markdown file."""

GENERATORS: Final[dict[str, tuple[Path, str]]] = {
    name: (AGENTS / f"{name}.md", f"maverick.library.generators:{name}")
    for name in ("commit_message", "pr_title", "pr_body")
}
"""What writes texts: what an agent is told for it, and the function that does it without one."""

CONTEXT_BUILDERS: Final[dict[str, str]] = {
    f"{name}_context": f"maverick.library.contexts:{name}_context"
    for name in ("implementation", "review", "issue_fix", "commit_message", "pr_body", "pr_title")
}
"""What a step's `context` may name: name -> `module:function`, which gets a `Scene`."""
