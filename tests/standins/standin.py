"""What the stand-ins of coding agents' programs share: their options, their log, and the scenario
they play.

The folder `$STANDIN_FOLDER` holds `script.json`, a list with one scenario per call (the last one is
played again), and gets `calls.jsonl`, what each call was given. A scenario is a mapping; every
stand-in knows:

    text       the final answer (null: none)
    before     text said before the tools are used
    write      {path: content} to write as a tool
    words      text for standard error
    status     the HTTP status that the model gives
    message    what the error says (with or without a status)
    cut_short  end in the middle of the turn
    hang       open the session, then wait for ever
    flood      so many bytes of noise first
    logged_out nobody is logged in
    limit      the limit of turns is reached
    exit       end with this exit code, saying only `words`
    retries    claude: asks the model's server so often again, with `status` each time, before
               all else
    rate_limit claude: what it says of the account's limit
    healed     claude: those were all, the rest is as without `status`
    recorded   replay a sample of `recorded/`, such as `codex-0.171.0/400`
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

FOLDER = Path(os.environ["STANDIN_FOLDER"])
RECORDED = Path(__file__).parent / "recorded"
UNKNOWN = "11111111-2222-4333-8444-555555555555"
"""The session that was asked for when a lost one was recorded."""
NAMES = (
    "MAVERICK_AGENT",
    "MAVERICK_STEP",
    "MAVERICK_CONTEXT",
    "MAVERICK_OUTPUT",
    "IS_SANDBOX",
    "EXTRA",
    "NO_COLOR",
)


class Call:
    """One call: its options and words, its prompt, and the scenario to play."""

    def __init__(
        self,
        program: str,
        argv: list[str],
        flags: dict[str, bool],
        unknown: Callable[[str], NoReturn],
    ) -> None:
        """*flags* are the options that the real program knows; True: it takes a value."""
        self.options: dict[str, str] = {}
        self.words: list[str] = []
        waiting = list(argv)
        while waiting:
            word = waiting.pop(0)
            if not word.startswith("-") or word == "-":
                self.words.append(word)
            elif word not in flags:
                unknown(word)
            else:
                self.options[word] = waiting.pop(0) if flags[word] else ""
        self.prompt = sys.stdin.read()
        self.scenario = self._log(program)
        if self["recorded"]:
            replay(self["recorded"])

    def _log(self, program: str) -> dict[str, Any]:
        log = FOLDER / "calls.jsonl"
        number = len(log.read_text().splitlines()) if log.exists() else 0
        seen = {name: os.environ[name] for name in NAMES if name in os.environ}
        call = {
            "program": program,
            "argv": sys.argv[1:],
            "prompt": self.prompt,
            "env": seen,
            "cwd": str(Path.cwd()),
        }
        with log.open("a") as file:
            file.write(json.dumps(call) + "\n")
        script = json.loads((FOLDER / "script.json").read_text())
        scenario: dict[str, Any] = script[min(number, len(script) - 1)]
        return scenario

    def __getitem__(self, name: str) -> Any:
        return self.scenario.get(name)

    @property
    def text(self) -> str:
        """The final answer."""
        return self.scenario.get("text", "Done.") or ""

    def play_start(self) -> None:
        """What any scenario may begin with, once the session is open."""
        if self["words"]:
            sys.stderr.write(f"{self['words']}\n")
        if self["flood"]:
            line = "x" * 999 + "\n"
            for _ in range(self["flood"] // len(line)):
                sys.stdout.write(line)
            sys.stdout.flush()
        if self["exit"]:
            sys.exit(self["exit"])
        if self["hang"]:
            (FOLDER / "hanging").touch()
            time.sleep(600)


def session(wanted: str | None, make: Callable[[], str] = lambda: str(uuid.uuid4())) -> str | None:
    """A new session's id; of a *wanted* one its id, or None if there is none."""
    known = FOLDER / "sessions"
    if wanted is not None:
        return wanted if known.exists() and wanted in known.read_text().split() else None
    made = make()
    with known.open("a") as file:
        file.write(f"{made}\n")
    return made


def replay(sample: str, session: str = "") -> NoReturn:
    """Write what a real program wrote, as `claude-2.1.332/lost_session`, and end as it did.

    The session that it was asked to continue gets the name *session*.
    """
    text = (RECORDED / f"{sample}.json").read_text("utf-8").replace(UNKNOWN, session or UNKNOWN)
    recorded = json.loads(text)
    for stream, lines in ((sys.stderr, recorded["stderr"]), (sys.stdout, recorded["stdout"])):
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()
    sys.exit(recorded["exit_code"])


def emit(**fields: Any) -> None:
    """A JSON line."""
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def die(code: int, text: str) -> NoReturn:
    """End with a message on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.exit(code)


def write(files: dict[str, str]) -> None:
    """What the tool that writes does."""
    for name, content in files.items():
        Path(name).write_text(content)
