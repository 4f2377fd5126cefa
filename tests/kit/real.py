"""The real agent programs, in a home of their own, pointed at the stand-in of their models."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.models_server import MODEL

PROGRAMS = Path(__file__).parents[2] / ".agents"
"""Where `scripts/test --agents` installs them."""
_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "telemetry": {"enabled": False},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"maxAttempts": 2},
}
_CODEX = """\
model = "{model}"
model_provider = "standin"
[model_providers.standin]
name = "standin"
base_url = "{url}/v1"
env_key = "CODEX_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""


def installed(name: str, programs: Path = PROGRAMS) -> Path | None:
    """Where the program *name* is, such as `claude` or `claude-2.1.197`; None if it is not."""
    program, _, version = name.partition("-")
    found = programs / (version or "newest") / "node_modules" / ".bin" / program
    return found if found.exists() else None


def node_environment(
    home: Path, url: str, *, programs: Path = PROGRAMS, bin_: str = "newest"
) -> dict[str, str]:
    """Variables and configuration files with which all programs speak to the server at *url*, and
    to nobody else.
    """
    opencode = {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "provider": {
            "standin": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "standin",
                "options": {"baseURL": f"{url}/v1", "apiKey": "for-a-test"},
                "models": {MODEL: {"name": MODEL, "limit": {"context": 200_000, "output": 8_000}}},
            }
        },
    }
    files = {
        ".codex/config.toml": _CODEX.format(model=MODEL, url=url),
        ".gemini/settings.json": json.dumps(_SETTINGS),
        ".config/opencode/opencode.json": json.dumps(opencode),
    }
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    node = shutil.which("node") or "node"
    return {
        "PATH": os.pathsep.join(
            [
                str(programs / bin_ / "node_modules" / ".bin"),
                str(Path(node).parent),
                "/usr/bin",
                "/bin",
            ]
        ),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "for-a-test",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CODEX_API_KEY": "for-a-test",
        "CODEX_HOME": str(home / ".codex"),
        "GEMINI_API_KEY": "for-a-test",
        "GOOGLE_GEMINI_BASE_URL": url,
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "COPILOT_OFFLINE": "true",
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_API_KEY": "for-a-test",
        "COPILOT_MODEL": MODEL,
    }


def forget_sessions(home: Path) -> None:
    """Remove what the programs keep of their sessions."""
    for name in (
        ".claude/projects",
        ".codex/sessions",
        ".gemini/tmp",
        ".gemini/history",
        ".local/share/opencode",
        ".copilot/session-state",
    ):
        shutil.rmtree(home / name, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Called:
    """How a program ended, and what it wrote until then."""

    exit_code: int
    stdout: str
    stderr: str


def call(
    argv: list[str], prompt: str, folder: Path, environment: Mapping[str, str], seconds: float
) -> Called:
    """Run a program as maverick does, the prompt on standard input; after so many seconds it is
    killed.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment,
        text=True,
        start_new_session=True,
    )
    timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        stdout, stderr = process.communicate(prompt)
    finally:
        timer.cancel()
    return Called(process.returncode, stdout, stderr)
