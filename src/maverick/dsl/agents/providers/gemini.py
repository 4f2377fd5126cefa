"""Gemini CLI: how it is called, and how its JSON lines are read.

The names of fields are those that Gemini 0.61 writes; what a later version adds is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maverick.dsl.agents.answers import action, failed_action, own_lines, readable, status_in
from maverick.dsl.agents.provider import Provider, Setting

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer, JsonLine


def read(line: JsonLine, answer: Answer) -> str:
    """The answer is what the assistant says after its last tool, joined."""
    match line.text("type"):
        case "init":
            answer.begun = True
            answer.session = line.text("session_id")
            answer.model = line.text("model")
        case "message" if line.text("role") == "assistant":
            answer.add_text(line.text("content"))
            return line.text("content")
        case "tool_use":
            answer.begin_turn()
            answer.name_tool(line.text("tool_id"), line.text("tool_name") or "tool")
            return f"\n{action(line.text('tool_name') or 'tool', line, 'parameters')}\n"
        case "tool_result" if line.text("status") == "error":
            tool = line.text("tool_name") or answer.tool_of(line.text("tool_id"))
            answer.refused.append(failed_action(tool, line, "error"))
        case "error":
            said = line.text("message")
            answer.note_complaint(readable(said), status_in(said))
            return own_lines(answer.complaint)
        case "result":
            answer.finished = True
            answer.add_usage(
                input_tokens=line.number("stats", "input_tokens"),
                output_tokens=line.number("stats", "output_tokens"),
                cached_tokens=line.number("stats", "cached"),
            )
            answer.model = _models(line) or answer.model
            if line.text("status") == "error" or line.at("error"):
                said = line.text("error", "message")
                answer.failure = readable(said) or "it failed"
                answer.status = status_in(said)
            return "\n"
        case _:
            pass
    return ""


def _models(line: JsonLine) -> str:
    """The models that were really asked: `auto` is what stands in `init`."""
    models = line.at("stats", "models")
    names = models if isinstance(models, dict) else {}
    return ", ".join(name for name in names if line.number("stats", "models", name, "total_tokens"))


PROVIDER: Final = Provider(
    name="gemini",
    command=("gemini", "-o", "stream-json", "--skip-trust"),
    again=("-r", "{session}"),
    model_flag="-m",
    settings=(
        # `default` has no tool that writes, `auto_edit` none that runs commands.
        Setting(
            option="approval_mode",
            flag="--approval-mode",
            default="auto_edit",
            asking="default",
            values=("default", "auto_edit", "yolo"),
        ),
    ),
    reader=read,
    package="@google/gemini-cli",
    version_check=("gemini", "--version"),
    login="set GEMINI_API_KEY, or log in with `gemini`",
    exit_codes={
        41: "it is not logged in",
        42: "it cannot read its input",
        44: "its sandbox failed",
        52: "its configuration is wrong",
        53: "its limit of turns was reached",
        54: "a tool failed",
        55: "it does not trust the folder",
        130: "it was cancelled",
    },
    exit_is_status=True,
    noise=(
        r"Warning: 256-color support|Warning: Basic terminal|Ripgrep is not available|YOLO mode "
        r"is enabled|Loaded cached credentials|\[STARTUP\]"
    ),
)
