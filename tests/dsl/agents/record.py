#!/usr/bin/env python3
"""Records what the real programs write, for the tests that read it: tests/dsl/agents/record.py
[PROGRAM[-VERSION]...]

The programs are those that `scripts/test --agents` installed. What differs each time (paths, ids,
times) is replaced, long lists and texts are cut, and lines of one kind beyond twelve in a row are
left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]

from kit.models_server import MODEL, ModelServer, Run, Say, Write  # noqa: E402
from kit.real import PROGRAMS, call, forget_sessions, installed, node_environment  # noqa: E402
from maverick.dsl.agents.provider import load_provider  # noqa: E402
from maverick.dsl.catalog.config import AgentConfig  # noqa: E402

RECORDED = TESTS / "standins" / "recorded"
NAMES = ("claude", "claude-2.1.197", "codex", "gemini", "opencode", "copilot")
CASES = ("answer", "tools", "refused_edit", "lost_session", "400", "401", "429", "503_once")
UNKNOWN = "11111111-2222-4333-8444-555555555555"
LONGEST_SECONDS = 120
"""What takes longer is killed: OpenCode may retry a 429 for ever."""
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def record(name: str, case: str) -> dict[str, Any]:
    """Run a program once, and give its command line, exit code and output."""
    provider = load_provider(name.partition("-")[0])
    program = installed(name)
    assert program is not None, f"{name} is not installed"
    with tempfile.TemporaryDirectory(prefix="record-") as made:
        home, folder = Path(made) / "home", Path(made) / "project"
        folder.mkdir()
        subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
        model = f"standin/{MODEL}" if provider.needs_model else ""
        argv = provider.argv(
            AgentConfig(provider=provider.name, model=model),
            session=("ses_1111111111111111111111" if name == "opencode" else UNKNOWN)
            if case == "lost_session"
            else "",
            new=str(uuid.uuid4()),
            writes=case != "refused_edit",
        )
        with ModelServer(folder).serving() as server:
            if case in {"tools", "refused_edit"}:
                server.play("Do it", Write("made.txt", "hello\n"), Run("exit 3"), Say("I tried."))
            if case == "refused_edit" and name == "opencode":
                # It has no switch that forbids; what it asks for is refused.
                server.play("Do it", Write("../outside.txt", "hello\n"), Say("I tried."))
            if case[:3].isdigit():
                server.refuse(int(case[:3]), 1 if case.endswith("_once") else None)
            environment = node_environment(
                home, server.url, programs=PROGRAMS, bin_=name.partition("-")[2] or "newest"
            )
            environment |= {"NO_COLOR": "1", "CLAUDE_CODE_MAX_RETRIES": "3"}
            done = call(argv, "Do it\n", folder, environment, LONGEST_SECONDS)
            forget_sessions(home)
        said = {
            each: _stable(getattr(done, each), made, server.url) for each in ("stdout", "stderr")
        }
        return {"argv": argv, "exit_code": done.exit_code, **said}


def _stable(text: str, made: str, url: str) -> list[str]:
    known: dict[str, str] = {UNKNOWN: UNKNOWN}

    def name(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"00000000-0000-4000-8000-{len(known):012}")

    for real, shown in (
        (f"{made}/project", "/project"),
        (f"{made}/home", "/home/user"),
        (made, "/tmp/user"),
        (made.replace("/", "-").lstrip("-"), "tmp-user"),
        (url, "http://127.0.0.1:8080"),
        (str(PROGRAMS), "/usr/lib"),
        (_modules(), "/usr/lib/node_modules"),
    ):
        text = text.replace(real, shown)
    text = _TIME.sub("2026-11-30T06:00:00.000Z", _UUID.sub(name, text))
    lines: list[str] = []
    kinds: list[str] = []
    for line in text.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            lines.append(line)
            continue
        kinds.append(f"{fields.get('type')} {fields.get('subtype')}")
        if kinds[-12:].count(kinds[-1]) < 12:
            lines.append(json.dumps(_cut(fields), ensure_ascii=False))
    return lines


def _modules() -> str:
    """Where the programs' files really are: stack traces name them."""
    return str((PROGRAMS / "newest" / "node_modules").resolve())


def _cut(value: Any) -> Any:
    match value:
        case dict():
            return {key: _cut(item) for key, item in value.items()}
        case list() if len(value) > 6:
            return [_cut(item) for item in value[:3]]
        case list():
            return [_cut(item) for item in value]
        case str() if len(value) > 4000:
            return f"{value[:4000]}…"
        case _:
            return value


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        only = os.environ.get("CASES", "").split() or CASES
        program = installed(name)
        assert program is not None, f"{name} is not installed"
        version = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False
        ).stdout
        number = re.search(r"\d+\.\d+\.\d+", version)
        folder = RECORDED / f"{name.partition('-')[0]}-{number[0] if number else 'unknown'}"
        folder.mkdir(parents=True, exist_ok=True)
        for case in only:
            sample = record(name, case)
            (folder / f"{case}.json").write_text(
                json.dumps(sample, indent=1, ensure_ascii=False) + "\n"
            )
            sys.stderr.write(f"{name} {case}: exit code {sample['exit_code']}\n")
