"""OpenCode: how it is called, and how its JSON lines are read.

The names of fields are those that OpenCode 1.18 writes; what a later version adds is passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from maverick.dsl.agents.answers import action, failed_action, own_lines, readable
from maverick.dsl.agents.provider import Provider, Setting

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer, JsonLine


def read(line: JsonLine, answer: Answer) -> str:
    """The answer is the text of the last step; usage is added up over all steps.

    It was cut short if a tool was used last.
    """
    answer.begun = True
    answer.session = line.text("sessionID") or answer.session
    match line.text("type"):
        case "step_start":
            answer.begin_turn()
            answer.finished = False
        case "text":
            answer.add_text(line.text("part", "text"))
            answer.finished = True
            return own_lines(line.text("part", "text"))
        case "tool_use":
            answer.finished = False
            if line.text("part", "state", "status") == "error":
                answer.refused.append(
                    failed_action(line.text("part", "tool"), line, "part", "state", "error")
                )
            return own_lines(action(line.text("part", "tool"), line, "part", "state", "input"))
        case "step_finish":
            answer.finished = line.text("part", "reason") != "tool-calls"
            answer.add_usage(
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


def _retry_after(line: JsonLine, *where: str) -> float | None:
    headers = line.at(*where)
    told = (
        {str(name).lower(): value for name, value in headers.items()}
        if isinstance(headers, dict)
        else {}
    )
    text = str(told.get("retry-after", "")).strip()
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text) else None


PROVIDER: Final = Provider(
    name="opencode",
    command=("opencode", "run", "--format", "json"),
    again=("-s", "{session}"),
    model_flag="-m",
    needs_model="without one it may send the project's code to a free hosted model",
    settings=(Setting(option="variant", flag="--variant"), Setting(option="agent", flag="--agent")),
    reader=read,
    cached_apart=True,
    package="opencode-ai",
    version_check=("opencode", "--version"),
    login="log in with `opencode auth login`, and name a model as provider/model (`opencode "
    "models` lists them)",
)
