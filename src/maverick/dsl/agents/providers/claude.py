"""Claude Code: how it is called, and how its JSON lines are read.

The names of fields are those that Claude Code 2.1 writes; what a later version adds is passed over.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from maverick.dsl.agents.answers import action, own_lines
from maverick.dsl.agents.provider import Provider, Setting

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer, JsonLine


def read(line: JsonLine, answer: Answer) -> str:
    """`system`, `assistant` and `user` lines, then one `result`. `is_error` decides, not
    `subtype`.
    """
    match line.text("type"), line.text("subtype"):
        case "system", "init":
            answer.begun = True
            answer.session = line.text("session_id")
            answer.model = line.text("model")
        case "system", "api_retry":
            return _retry(line, answer)
        case "rate_limit_event", _:
            rejected = line.text("rate_limit_info", "status") == "rejected"
            answer.wait = (
                _seconds_until(line.number("rate_limit_info", "resetsAt")) if rejected else None
            )
        case "assistant", _:
            if line.text("message", "model") != "<synthetic>":
                answer.drop_complaint()
            return "".join(_block(block) for block in line.lines("message", "content"))
        case "result", subtype:
            _result(line, subtype, answer)
        case _:
            pass
    return ""


def _retry(line: JsonLine, answer: Answer) -> str:
    status, kind = line.status("error_status"), line.text("error")
    answer.note_complaint(
        kind if status else f"the model's server cannot be reached ({kind or 'no status'})", status
    )
    said = f"the model's server answered {status}" if status else answer.complaint
    return f"({said}; attempt {line.number('attempt')} of {line.number('max_retries')})\n"


def _block(block: JsonLine) -> str:
    if block.text("type") == "tool_use":
        return own_lines(action(block.text("name"), block, "input"))
    return own_lines(block.text("text"))


def _result(line: JsonLine, subtype: str, answer: Answer) -> None:
    # Without an `init` before it, nothing was begun: so it says that it does not know the session
    # to continue.
    answer.finished = True
    answer.session = line.text("session_id") or answer.session
    answer.set_text(line.text("result"))
    answer.status = line.status("api_error_status")
    answer.refused += [
        action(denial.text("tool_name"), denial, "tool_input")
        for denial in line.lines("permission_denials")
    ]
    answer.add_usage(
        input_tokens=line.number("usage", "input_tokens"),
        output_tokens=line.number("usage", "output_tokens"),
        cached_tokens=line.number("usage", "cache_read_input_tokens"),
        cost_usd=line.number("total_cost_usd"),
        turns=line.number("num_turns"),
    )
    if line.at("is_error"):
        errors = line.at("errors")
        told = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
        answer.failure = (
            answer.text or told or line.text("terminal_reason") or subtype or "it failed"
        )
        answer.cut_short = subtype.startswith("error_max")
        answer.set_text("")


def _seconds_until(moment: float) -> float | None:
    """The seconds until a moment in Unix time; None if there is none."""
    return max(moment - time.time(), 0.0) if moment else None


PROVIDER: Final = Provider(
    name="claude",
    command=("claude", "-p", "--output-format", "stream-json", "--verbose"),
    again=("--resume", "{session}"),
    model_flag="--model",
    settings=(
        # As root, `bypassPermissions` is refused unless IS_SANDBOX=1 is in the environment;
        # `acceptEdits` is not.
        Setting(
            option="permission_mode",
            flag="--permission-mode",
            default="acceptEdits",
            asking="dontAsk",
            # `default` is what 2.1.197 calls `manual`: each version knows one of the two.
            values=(
                "acceptEdits",
                "auto",
                "bypassPermissions",
                "default",
                "dontAsk",
                "manual",
                "plan",
            ),
        ),
        Setting(option="allowed_tools", flag="--allowedTools", asking="", listed="joined"),
        Setting(option="max_turns", flag="--max-turns"),
        Setting(option="max_budget_usd", flag="--max-budget-usd"),
    ),
    reader=read,
    package="@anthropic-ai/claude-code",
    version_check=("claude", "--version"),
    login_check=("claude", "auth", "status"),
    login="log in with `claude` and /login, or set ANTHROPIC_API_KEY",
    stubborn=True,
    running_totals=("cost_usd",),
    cached_apart=True,
)
