"""Codex CLI: how it is called, and how its JSON lines are read.

The names of fields are those that Codex 0.171 writes; what a later version adds is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maverick.dsl.agents.answers import first_line, own_lines, readable, status_in
from maverick.dsl.agents.provider import Provider, Setting

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer, JsonLine


def read(line: JsonLine, answer: Answer) -> str:
    """The last `agent_message` is the answer. A refused edit leaves no trace; a top-level `error`
    is not final.
    """
    match line.text("type"):
        case "thread.started":
            answer.begun = True
            answer.session = line.text("thread_id")
        case "item.completed":
            return _item(line, answer)
        case "turn.completed":
            answer.finished = True
            answer.add_usage(
                input_tokens=line.number("usage", "input_tokens"),
                output_tokens=line.number("usage", "output_tokens"),
                cached_tokens=line.number("usage", "cached_input_tokens"),
            )
        case "turn.failed":
            answer.finished = True
            said = line.text("error", "message")
            answer.failure = readable(said) or "the turn failed"
            answer.status = status_in(said)
        case "error":
            said = line.text("message")
            answer.note_complaint(readable(said), status_in(said))
            return own_lines(answer.complaint)
        case _:
            pass
    return ""


def _item(line: JsonLine, answer: Answer) -> str:
    match line.text("item", "type"):
        case "agent_message":
            answer.drop_complaint()
            answer.set_text(line.text("item", "text"))
            return own_lines(answer.text)
        case "command_execution":
            answer.drop_complaint()
            return own_lines(
                first_line(
                    f"[shell] {line.text('item', 'command')} (exit code "
                    f"{line.at('item', 'exit_code')})"
                )
            )
        case "error":
            return own_lines(line.text("item", "message"))
        case other:
            return own_lines(f"[{other}]" if other else "")


PROVIDER: Final = Provider(
    name="codex",
    command=("codex", "exec", "--skip-git-repo-check"),
    fresh=("--json", "-"),
    # The sandbox has to stand before the word `resume`.
    again=("resume", "--json", "{session}", "-"),
    model_flag="-m",
    settings=(
        # In `workspace-write` .git is read-only: the workflow commits, not the agent.
        Setting(
            option="sandbox",
            flag="-s",
            default="workspace-write",
            asking="read-only",
            values=("read-only", "workspace-write", "danger-full-access"),
        ),
    ),
    reader=read,
    running_totals=("input_tokens", "output_tokens", "cached_tokens"),
    package="@openai/codex",
    version_check=("codex", "--version"),
    login_check=("codex", "login", "status"),
    login="log in with `codex login`, or set CODEX_API_KEY (`codex exec` does not read "
    "OPENAI_API_KEY)",
    silent_without="CODEX_API_KEY",
    own_provider=("CODEX_HOME", ".codex", "config.toml"),
    exit_codes={2: "it does not know one of its options"},
)
