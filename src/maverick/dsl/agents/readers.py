"""How each program's JSON lines are read: where text, session, usage, refusals and errors stand in them.

The names of fields are those that were seen in Claude Code 2.1, Codex 0.169, Gemini 0.61 and OpenCode 1.18; what a
later version adds is passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer, Line

_STATUS = re.compile(r"\bstatus:? (\d{3})\b")
_ACTION_CHARACTERS = 160


def claude(line: Line, answer: Answer) -> str:
    """`system`, `assistant` and `user` lines, then one `result`. `is_error` decides, not `subtype`."""
    match line.text("type"), line.text("subtype"):
        case "system", "init":
            answer.begun = True
            answer.session = line.text("session_id")
            answer.model = line.text("model")
        case "system", "api_retry":
            return f"(attempt {line.number('attempt')} after status {line.at('error_status')})\n"
        case "assistant", _:
            return "".join(_claude_block(block) for block in line.lines("message", "content"))
        case "result", subtype:
            _claude_result(line, subtype, answer)
        case _:
            pass
    return ""


def _claude_block(block: Line) -> str:
    if block.text("type") == "tool_use":
        return _shown(_action(block.text("name"), block, "input"))
    return _shown(block.text("text"))


def _claude_result(line: Line, subtype: str, answer: Answer) -> None:
    # Without an `init` before it, nothing was begun: so it says that it does not know the session to continue.
    answer.finished = True
    answer.session = line.text("session_id") or answer.session
    answer.say(line.text("result"))
    answer.status = line.status("api_error_status")
    answer.refused += [
        _action(denial.text("tool_name"), denial, "tool_input") for denial in line.lines("permission_denials")
    ]
    answer.count(
        input_tokens=line.number("usage", "input_tokens"),
        output_tokens=line.number("usage", "output_tokens"),
        cached_tokens=line.number("usage", "cache_read_input_tokens"),
        cost_usd=line.number("total_cost_usd"),
        turns=line.number("num_turns"),
    )
    if line.at("is_error"):
        errors = line.at("errors")
        told = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
        answer.failure = answer.text or told or line.text("terminal_reason") or subtype or "it failed"
        answer.cut_short = subtype.startswith("error_max")
        answer.say("")


def codex(line: Line, answer: Answer) -> str:
    """The last `agent_message` is the answer. A refused edit leaves no trace; a top-level `error` is not final."""
    match line.text("type"):
        case "thread.started":
            answer.begun = True
            answer.session = line.text("thread_id")
        case "item.completed":
            return _codex_item(line, answer)
        case "turn.completed":
            answer.finished = True
            answer.count(
                input_tokens=line.number("usage", "input_tokens"),
                output_tokens=line.number("usage", "output_tokens"),
                cached_tokens=line.number("usage", "cached_input_tokens"),
            )
        case "turn.failed":
            answer.finished = True
            answer.failure = line.text("error", "message") or "the turn failed"
            answer.status = _status_in(answer.failure)
        case "error":
            answer.complaint = line.text("message")
            return _shown(answer.complaint)
        case _:
            pass
    return ""


def _codex_item(line: Line, answer: Answer) -> str:
    match line.text("item", "type"):
        case "agent_message":
            answer.say(line.text("item", "text"))
            return _shown(answer.text)
        case "command_execution":
            return _shown(_cut(f"[shell] {line.text('item', 'command')} (exit code {line.at('item', 'exit_code')})"))
        case "error":
            return _shown(line.text("item", "message"))
        case other:
            return _shown(f"[{other}]" if other else "")


def gemini(line: Line, answer: Answer) -> str:
    """The answer is what the assistant says after its last tool, joined."""
    match line.text("type"):
        case "init":
            answer.begun = True
            answer.session = line.text("session_id")
            answer.model = line.text("model")
        case "message" if line.text("role") == "assistant":
            answer.add(line.text("content"))
            return line.text("content")
        case "tool_use":
            answer.turn()
            return f"\n{_action(line.text('tool_name') or 'tool', line, 'parameters')}\n"
        case "tool_result" if line.text("status") == "error":
            answer.refused.append(_failed_action(line.text("tool_name") or line.text("tool_id"), line, "error"))
        case "error":
            answer.complaint = line.text("message")
            return _shown(answer.complaint)
        case "result":
            answer.finished = True
            answer.count(
                input_tokens=line.number("stats", "input_tokens"),
                output_tokens=line.number("stats", "output_tokens"),
                cached_tokens=line.number("stats", "cached"),
            )
            if line.text("status") == "error" or line.at("error"):
                answer.failure = line.text("error", "message") or "it failed"
                answer.status = _status_in(answer.failure)
            return "\n"
        case _:
            pass
    return ""


def opencode(line: Line, answer: Answer) -> str:
    """The answer is the text of the last step; usage is added up over all steps.

    It was cut short if a tool was used last.
    """
    answer.begun = True
    answer.session = line.text("sessionID") or answer.session
    match line.text("type"):
        case "step_start":
            answer.turn()
            answer.finished = False
        case "text":
            answer.add(line.text("part", "text"))
            answer.finished = True
            return _shown(line.text("part", "text"))
        case "tool_use":
            answer.finished = False
            if line.text("part", "state", "status") == "error":
                answer.refused.append(_failed_action(line.text("part", "tool"), line, "part", "state", "error"))
            return _shown(_action(line.text("part", "tool"), line, "part", "state", "input"))
        case "step_finish":
            answer.finished = line.text("part", "reason") != "tool-calls"
            answer.count(
                input_tokens=line.number("part", "tokens", "input"),
                output_tokens=line.number("part", "tokens", "output"),
                cached_tokens=line.number("part", "tokens", "cache", "read"),
                cost_usd=line.number("part", "cost"),
                turns=1,
            )
        case "error":
            answer.failure = line.text("error", "data", "message") or line.text("error", "name") or "it failed"
            answer.status = line.status("error", "data", "statusCode")
            answer.retryable = line.at("error", "data", "isRetryable") is True
        case _:
            pass
    return ""


def _action(name: str, line: Line, *where: str) -> str:
    """`[Write] notes.txt`: a tool, and the first of its arguments that is a short text."""
    arguments = line.at(*where)
    values = arguments.values() if isinstance(arguments, dict) else ()
    shown = next((value for value in values if isinstance(value, str) and value), "")
    return _cut(f"[{name}] {shown}".strip())


def _failed_action(name: str, line: Line, *where: str) -> str:
    error = line.text(*where) or line.text(*where, "message")
    return _cut(f"[{name or 'tool'}] {error}".strip())


def _shown(text: str) -> str:
    """A text as lines of their own; gemini alone gives its text in pieces."""
    return f"{text.strip()}\n" if text.strip() else ""


def _cut(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first if len(first) <= _ACTION_CHARACTERS else first[: _ACTION_CHARACTERS - 1] + "…"


def _status_in(message: str) -> int | None:
    found = _STATUS.search(message)
    return int(found[1]) if found else None
