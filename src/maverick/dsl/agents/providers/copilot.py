"""GitHub Copilot CLI: how it is called, and how its JSON lines are read.

The names of fields are those that Copilot 1.0 writes; what a later version adds is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maverick.dsl.agents.answers import action, failed_action, own_lines, readable
from maverick.dsl.agents.provider import Provider, Setting

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer, JsonLine


def read(line: JsonLine, answer: Answer) -> str:
    """The answer is the last message without tools. Its session is named by the caller, and stands
    in `result`.
    """
    match line.text("type"):
        case "user.message":
            answer.begun = True
        case "assistant.message":
            answer.drop_complaint()
            answer.model = line.text("data", "model") or answer.model
            answer.finished = not line.lines("data", "toolRequests")
            answer.set_text(line.text("data", "content"))
            return own_lines(answer.text)
        case "tool.execution_start":
            answer.name_tool(
                line.text("data", "toolCallId"), line.text("data", "toolName") or "tool"
            )
            return own_lines(action(line.text("data", "toolName"), line, "data", "arguments"))
        case "tool.execution_complete" if line.at("data", "success") is False:
            tool = answer.tool_of(line.text("data", "toolCallId"))
            answer.refused.append(failed_action(tool, line, "data", "error"))
        case "model.call_failure":
            status = line.status("data", "statusCode")
            answer.note_complaint(line.text("data", "failureKind"), status)
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
            answer.add_usage(premium_requests=line.number("usage", "premiumRequests"))
        case _:
            pass
    return ""


PROVIDER: Final = Provider(
    name="copilot",
    command=("copilot", "--output-format", "json", "--no-auto-update"),
    fresh=("--session-id", "{session}"),
    again=("--resume={session}",),
    model_flag="--model",
    settings=(
        # Without any, each tool that changes something is refused: nobody is there to be asked.
        Setting(
            option="allowed_tools",
            flag="--allow-tool",
            default="write",
            asking="",
            listed="repeated",
        ),
    ),
    reader=read,
    package="@github/copilot",
    version_check=("copilot", "--version"),
    login="log in with `copilot` and /login, or set COPILOT_GITHUB_TOKEN, GH_TOKEN or GITHUB_TOKEN",
)
