"""What an action prints: masked and kept, however it is written, and the process's streams stay
what they are.
"""

from __future__ import annotations

import sys

import pytest

from kit.runs import Runs
from maverick.checkpoints import Store
from maverick.dsl.journal.logs import find_log
from maverick.dsl.journal.tree import RunTree

TOKEN = "tok-4f8a1b2c9d3e7f60"
ACTIONS = """
import asyncio, io, sys

def pieces(token, size):
    text = f"<{token}>\\n"
    for at in range(0, len(text), size):
        sys.stdout.write(text[at:at + size])
        sys.stdout.flush()
    raise ValueError("failed")

def arguments(token, size):
    print("<", token[:size], token[size:], ">", sep="")
    raise ValueError("failed")

def through_bytes(token, size):
    data = f"<{token}>\\n".encode()
    for at in range(0, len(data), size):
        sys.stdout.buffer.write(memoryview(data)[at:at + size])
    raise ValueError("failed")

def wrapped(token, size):
    print(f"<{token}>", file=io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", write_through=True))
    raise ValueError("failed")

async def in_a_task(token, size):
    async def each():
        for at in range(0, len(token), size):
            print(token[at:at + size], end="")
            await asyncio.sleep(0)
    print("<", end="")
    await asyncio.create_task(each())
    print(">")
    raise ValueError("failed")

def closes(how):
    if how == "close":
        sys.stdout.close()
        sys.stderr.close()
    elif how == "with":
        with sys.stdout as out, sys.stderr:
            out.write("inside\\n")
    else:
        sys.stdout.reconfigure(encoding="ascii", errors="strict")
    print("after: caf\\u00e9")
"""


@pytest.fixture
def acting(runs: Runs) -> Runs:
    runs.set_actions(ACTIONS)
    runs.file("maverick.yaml", f"actions: [{runs.module}]\nsecrets: [TOKEN]\n")
    runs.environment["TOKEN"] = TOKEN
    return runs


@pytest.mark.parametrize("timeout", ["", ", timeout: 300"])
@pytest.mark.parametrize("size", [1, 7, 8, 10, 11, 19, 100])
@pytest.mark.parametrize("action", ["pieces", "arguments", "through_bytes", "wrapped", "in_a_task"])
def test_a_secret_is_masked_in_whatever_pieces_it_is_printed(
    acting: Runs, capsys: pytest.CaptureFixture[str], action: str, size: int, timeout: str
) -> None:
    """On the terminal, in the log and in the message, which have all the rest."""
    acting.flow(
        f"- {{name: a, type: python, action: {action}, args: ['${{{{ env.TOKEN }}}}', "
        f"{size}]{timeout}}}"
    )

    failed = acting.start()

    [attempt] = find_log(
        RunTree(Store.open(acting.root / ".maverick" / "checkpoints").load("@latest")), "a"
    )
    shown = capsys.readouterr()
    seen = "".join(
        [failed.error, attempt.stream("stdout").decode(), attempt.stream("stderr").decode(), *shown]
    )
    assert [] == [at for at in range(len(TOKEN) - 7) if TOKEN[at : at + 8] in seen]
    assert (b"<***>\n", True) == (attempt.stream("stdout"), "  <***>" in failed.error)
    if not timeout:
        assert "<***>\n" in shown.out


@pytest.mark.parametrize("how", ["close", "with", "encoding"])
def test_the_streams_of_the_process_stay_what_they_are(
    acting: Runs, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    acting.flow(f"- {{name: a, type: python, action: closes, args: [{how}]}}")

    assert "done" == acting.start().status
    assert "after: café\n" in capsys.readouterr().out
    assert not sys.stdout.closed
