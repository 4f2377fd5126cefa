"""How each program's JSON lines are read: where text, session, usage, refusals and errors stand in
them.

The names of fields are those that were seen in Claude Code 2.1, Codex 0.171, Gemini 0.61, OpenCode
1.18 and Copilot
1.0; what a later version adds is passed over.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from maverick.dsl.agents.answers import Line
from maverick.encoding import lines_of

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer

_STATUS = re.compile(r"\bstatus:? (\d{3})\b|\"code\":\s*(\d{3})\b|\(HTTP (\d{3})\)")
_ACTION_CHARACTERS = 160


def claude(line: Line, answer: Answer) -> str:
    """`system`, `assistant` and `user` lines, then one `result`. `is_error` decides, not
    `subtype`.
    """
    match line.text("type"), line.text("subtype"):
        case "system", "init":
            answer.begun = True
            answer.session = line.text("session_id")
            answer.model = line.text("model")
        case "system", "api_retry":
            return _claude_retry(line, answer)
        case "rate_limit_event", _:
            rejected = line.text("rate_limit_info", "status") == "rejected"
            answer.wait = (
                _seconds_until(line.number("rate_limit_info", "resetsAt")) if rejected else None
            )
        case "assistant", _:
            if line.text("message", "model") != "<synthetic>":
                answer.progress()
            return "".join(_claude_block(block) for block in line.lines("message", "content"))
        case "result", subtype:
            _claude_result(line, subtype, answer)
        case _:
            pass
    return ""


def _claude_retry(line: Line, answer: Answer) -> str:
    status, kind = line.status("error_status"), line.text("error")
    answer.complain(
        kind if status else f"the model's server cannot be reached ({kind or 'no status'})", status
    )
    said = f"the model's server answered {status}" if status else answer.complaint
    return f"({said}; attempt {line.number('attempt')} of {line.number('max_retries')})\n"


def _claude_block(block: Line) -> str:
    if block.text("type") == "tool_use":
        return _shown(_action(block.text("name"), block, "input"))
    return _shown(block.text("text"))


def _claude_result(line: Line, subtype: str, answer: Answer) -> None:
    # Without an `init` before it, nothing was begun: so it says that it does not know the session
    # to continue.
    answer.finished = True
    answer.session = line.text("session_id") or answer.session
    answer.say(line.text("result"))
    answer.status = line.status("api_error_status")
    answer.refused += [
        _action(denial.text("tool_name"), denial, "tool_input")
        for denial in line.lines("permission_denials")
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
        answer.failure = (
            answer.text or told or line.text("terminal_reason") or subtype or "it failed"
        )
        answer.cut_short = subtype.startswith("error_max")
        answer.say("")


def codex(line: Line, answer: Answer) -> str:
    """The last `agent_message` is the answer. A refused edit leaves no trace; a top-level `error`
    is not final.
    """
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
            said = line.text("error", "message")
            answer.failure = readable(said) or "the turn failed"
            answer.status = _status_in(said)
        case "error":
            said = line.text("message")
            answer.complain(readable(said), _status_in(said))
            return _shown(answer.complaint)
        case _:
            pass
    return ""


def _codex_item(line: Line, answer: Answer) -> str:
    match line.text("item", "type"):
        case "agent_message":
            answer.progress()
            answer.say(line.text("item", "text"))
            return _shown(answer.text)
        case "command_execution":
            answer.progress()
            return _shown(
                _cut(
                    f"[shell] {line.text('item', 'command')} (exit code "
                    f"{line.at('item', 'exit_code')})"
                )
            )
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
            answer.name_tool(line.text("tool_id"), line.text("tool_name") or "tool")
            return f"\n{_action(line.text('tool_name') or 'tool', line, 'parameters')}\n"
        case "tool_result" if line.text("status") == "error":
            tool = line.text("tool_name") or answer.tool_of(line.text("tool_id"))
            answer.refused.append(_failed_action(tool, line, "error"))
        case "error":
            said = line.text("message")
            answer.complain(readable(said), _status_in(said))
            return _shown(answer.complaint)
        case "result":
            answer.finished = True
            answer.count(
                input_tokens=line.number("stats", "input_tokens"),
                output_tokens=line.number("stats", "output_tokens"),
                cached_tokens=line.number("stats", "cached"),
            )
            answer.model = _gemini_models(line) or answer.model
            if line.text("status") == "error" or line.at("error"):
                said = line.text("error", "message")
                answer.failure = readable(said) or "it failed"
                answer.status = _status_in(said)
            return "\n"
        case _:
            pass
    return ""


def _gemini_models(line: Line) -> str:
    """The models that were really asked: `auto` is what stands in `init`."""
    models = line.at("stats", "models")
    names = models if isinstance(models, dict) else {}
    return ", ".join(name for name in names if line.number("stats", "models", name, "total_tokens"))


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
                answer.refused.append(
                    _failed_action(line.text("part", "tool"), line, "part", "state", "error")
                )
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
            said = line.text("error", "data", "message")
            answer.failure = readable(said) or line.text("error", "name") or "it failed"
            answer.status = line.status("error", "data", "statusCode")
            answer.wait = _retry_after(line, "error", "data", "responseHeaders")
            answer.retryable = line.at("error", "data", "isRetryable") is True
        case _:
            pass
    return ""


def copilot(line: Line, answer: Answer) -> str:
    """The answer is the last message without tools. Its session is named by the caller, and stands
    in `result`.
    """
    match line.text("type"):
        case "user.message":
            answer.begun = True
        case "assistant.message":
            answer.progress()
            answer.model = line.text("data", "model") or answer.model
            answer.finished = not line.lines("data", "toolRequests")
            answer.say(line.text("data", "content"))
            return _shown(answer.text)
        case "tool.execution_start":
            answer.name_tool(
                line.text("data", "toolCallId"), line.text("data", "toolName") or "tool"
            )
            return _shown(_action(line.text("data", "toolName"), line, "data", "arguments"))
        case "tool.execution_complete" if line.at("data", "success") is False:
            tool = answer.tool_of(line.text("data", "toolCallId"))
            answer.refused.append(_failed_action(tool, line, "data", "error"))
        case "model.call_failure":
            status = line.status("data", "statusCode")
            answer.complain(line.text("data", "failureKind"), status)
            return f"(the model's server answered {status})\n" if status else ""
        case "session.error":
            answer.finished = True
            answer.failure = (
                readable(line.text("data", "message"))
                or line.text("data", "errorType")
                or "it failed"
            )
            answer.status = line.status("data", "statusCode")
        case "result":
            answer.session = line.text("sessionId") or answer.session
            answer.count(premium_requests=line.number("usage", "premiumRequests"))
        case _:
            pass
    return ""


def readable(text: str) -> str:
    """The message in an error that is JSON, or holds some; other texts as they are."""
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return text
    try:
        error = Line(json.loads(text[start : end + 1]))
    except (ValueError, RecursionError, AttributeError):
        return text
    said = error.text("error", "message") or error.text("message") or error.text("error")
    return f"{text[:start]}{readable(said)}{text[end + 1 :]}".strip() if said else text


def _seconds_until(moment: float) -> float | None:
    """The seconds until a moment in Unix time; None if there is none."""
    return max(moment - time.time(), 0.0) if moment else None


def _retry_after(line: Line, *where: str) -> float | None:
    headers = line.at(*where)
    told = (
        {str(name).lower(): value for name, value in headers.items()}
        if isinstance(headers, dict)
        else {}
    )
    text = str(told.get("retry-after", "")).strip()
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text) else None


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
    first = lines_of(text.strip())[0] if text.strip() else ""
    return first if len(first) <= _ACTION_CHARACTERS else first[: _ACTION_CHARACTERS - 1] + "…"


def _status_in(message: str) -> int | None:
    found = _STATUS.search(message)
    return int(found[1] or found[2] or found[3]) if found else None
