"""The vendors' programs as they were seen, in a few lines each: what they are called with, and what
they answer.
"""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from kit.program import Program

CALL = """
import json, sys
words, prompt = sys.argv[1:], sys.stdin.read()
if words[1:] == ["status"] or words[:2] == ["auth", "status"]: sys.exit("Not logged in")
with open("calls", "a") as file: file.write(json.dumps([words, prompt]) + "\\n")
def line(**it): print(json.dumps(it), flush=True)
def only(flags, plain):
    left = list(words)
    while left:
        word = left.pop(0)
        if word in flags: flags[word] and left.pop(0)
        elif word not in plain: sys.exit(f"error: unknown option '{word}'")
    if not prompt.strip(): sys.exit("no prompt")
"""
CLAUDE = """
only({"-p": 0, "--print": 0, "--output-format": 1, "--verbose": 0, "--model": 1, "--permission-mode": 1, "--resume": 1,
      "--max-turns": 1, "--allowedTools": 1}, [])
if "stream-json" in words and "--verbose" not in words: sys.exit("stream-json needs --verbose")
result = {"type": "result", "subtype": "success", "is_error": False, "result": "ANSWER", "session_id": "s-1",
          "num_turns": 2, "total_cost_usd": 0.01, "permission_denials": [],
          "usage": {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 1}}
line(type="system", subtype="init", session_id="s-1", model="sonnet", tools=[])
line(type="assistant", message={"content": [{"type": "text", "text": "ANSWER"}]})
line(**result)
"""
CODEX = """
only({"--skip-git-repo-check": 0, "-s": 1, "-m": 1, "--model": 1, "--json": 0, "-C": 1, "-c": 1}, ["exec", "-"])
line(type="thread.started", thread_id="t-1")
line(type="turn.started")
line(type="item.completed", item={"type": "agent_message", "text": "first I look"})
line(type="item.completed", item={"type": "command_execution", "command": "ls", "exit_code": 0, "status": "completed"})
line(type="item.completed", item={"type": "error", "message": "only a warning"})
line(type="error", message="Reconnecting... 1/5")
line(type="item.completed", item={"type": "agent_message", "text": "ANSWER"})
line(type="turn.completed", usage={"input_tokens": 5, "cached_input_tokens": 1, "output_tokens": 7})
"""
GEMINI = """
only({"-p": 1, "-o": 1, "--output-format": 1, "--skip-trust": 0, "--approval-mode": 1, "-m": 1, "-r": 1}, [])
line(type="init", session_id="g-1", model="pro")
line(type="message", role="user", content=prompt)
line(type="message", role="assistant", content="ANS", delta=True)
line(type="message", role="assistant", content="WER", delta=True)
line(type="result", status="success", stats={"input_tokens": 5, "output_tokens": 7, "cached": 1, "total_tokens": 13})
"""
OPENCODE = """
only({"--format": 1, "-m": 1, "--dir": 1, "-s": 1, "--variant": 1, "--agent": 1}, ["run"])
def part(kind, **it): line(type=kind, timestamp=1, sessionID="ses_1", part=it)
tokens = {"input": 2, "output": 3, "reasoning": 0, "total": 5, "cache": {"read": 1, "write": 0}}
part("step_start")
part("tool_use", tool="bash", state={"status": "completed", "input": {"command": "ls"}, "output": ""})
part("step_finish", reason="tool-calls", tokens=tokens, cost=0.01)
part("step_start")
part("text", text="ANSWER")
"""
ENDED = 'part("step_finish", reason="stop", tokens=tokens, cost=0.01)\n'
PROGRAMS = {
    "claude": (CLAUDE, "{provider: claude, model: sonnet}"),
    "codex": (CODEX, "{provider: codex, model: gpt-x}"),
    "gemini": (GEMINI, "{provider: gemini, model: pro}"),
    "opencode": (OPENCODE + ENDED, "{provider: opencode, model: some/model}"),
}
FLOW = "- {name: ask, type: agent, agent: implementer, context: {task: Do it}}"


def _put(program: Program, name: str, body: str, agent: str) -> str:
    """Put a program on PATH; give that PATH."""
    path = program.file(f"../bin/{name}", f"#!/usr/bin/env python3\n{CALL}{dedent(body)}")
    path.chmod(0o755)
    program.file("maverick.yaml", f"agents: {{default: {agent}}}\n")
    program.flow(FLOW)
    return f"{path.parent}:{program.environment['PATH']}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_vendor_s_program_is_called_without_a_person_and_its_last_text_is_the_answer(
    program: Program, name: str
) -> None:
    """It knows every flag that it gets, and the prompt comes by standard input."""
    path = _put(program, name, *PROGRAMS[name])
    done = program.run("run", "flow.yaml", PATH=path)
    words, prompt = json.loads((program.root / "calls").read_text())

    assert (0, "ANSWER\n") == (done.code, done.out), done.err
    assert "Do it" in prompt
    assert PROGRAMS[name][1].rpartition(" ")[2].rstrip("}") in words


def test_a_text_that_ends_opencode_s_lines_is_an_answer(program: Program) -> None:
    """Cut short is what ends with tool calls and no text after them."""
    agent = PROGRAMS["opencode"][1]
    without_end = program.run("run", "flow.yaml", PATH=_put(program, "opencode", OPENCODE, agent))
    tools_last = OPENCODE.rpartition('part("step_start")')[0]
    cut_short = program.run("run", "flow.yaml", PATH=_put(program, "opencode", tools_last, agent))

    assert (0, "ANSWER\n") == (without_end.code, without_end.out), without_end.err
    assert (1, True) == (cut_short.code, "cut short" in cut_short.err), cut_short.err


ERROR_RESULT = """
line(type="result", subtype="success", is_error=True, api_error_status=401, session_id="s",
     result="Invalid API key · Fix external API key")
sys.exit(1)
"""
FAILED_TURN = """
line(type="thread.started", thread_id="t")
line(type="turn.failed", error={"message": "unexpected status 401 Unauthorized: no"})
sys.exit(1)
"""
NO_AUTH = """
sys.stderr.write("Please set an Auth method in your /root/.gemini/settings.json\\n")
sys.exit(41)
"""
API_ERROR = """
line(type="error", timestamp=1, sessionID="s", error={"name": "APIError",
     "data": {"message": "bad key", "statusCode": 401, "isRetryable": False}})
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("claude", ERROR_RESULT, "Invalid API key"),
        ("codex", FAILED_TURN, "unexpected status 401"),
        ("gemini", NO_AUTH, "Auth method"),
        ("opencode", API_ERROR, "bad key"),
    ],
)
def test_a_program_that_is_not_logged_in_fails_the_step_with_its_words(
    program: Program, name: str, body: str, said: str
) -> None:
    """And is not asked again: a wrong key stays wrong."""
    path = _put(program, name, body, PROGRAMS[name][1])
    done = program.run("run", "flow.yaml", PATH=path)

    assert 1 == done.code
    assert said in done.err, done.err
    assert "log in" in done.err or "API_KEY" in done.err
    assert 1 == len((program.root / "calls").read_text().splitlines())
