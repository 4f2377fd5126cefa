"""Python's front door by its names, as a program of somebody's uses it: seen from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from kit.program import Program

PROGRAM = """
import json, sys
import maverick
from maverick import MaverickError

failed = maverick.run("flow", {"n": 3})
open("ready", "w").close()
done = maverick.resume(failed)
run = maverick.open(".").run(done.run)
again = maverick.run("flow", {"n": 4})
codes = []
for call in (
    lambda: maverick.run("flow", {"m": 1}),
    lambda: maverick.run("nothing"),
    lambda: maverick.resume("nobody"),
    lambda: maverick.resume(done, {"n": 9}, from_step="nothing"),
):
    try:
        call()
    except MaverickError as error:
        codes.append(error.exit_code)
views = [maverick.open("."), maverick.open(".").runs(), run, run.steps["double"], run.diff(again), run.files, done]
with open("answer.json", "w") as file:
    json.dump({
        "failed": [failed.status, failed.error],
        "done": [done.run == failed.run, done.status, done.output, done.error, list(done.notices)],
        "names": [each.name for each in maverick.open(".").runs()] == [again.run, done.run],
        "step": [run.steps["double"].output, run.steps["double"].log, run.steps["double"].error],
        "seconds": run.steps["double"].seconds >= 0,
        "diff": [row["path"] for row in run.diff(again)][0],
        "output": run.output,
        "files": sorted(run.files),
        "codes": codes,
        "html": all(view._repr_html_().startswith("<") for view in views),
        "argv": sys.argv,
    }, file)
"""
FLOW = """
version: "1.0"
name: flow
inputs: {n: {type: integer}}
checkpoints: {workspace: label}
notices:
  - {when: "inputs.n == 3", message: three}
steps:
  - {name: double, action: "tools:double", args: ["${{ inputs.n }}"]}
  - {name: wait, run: test -e ready}
outputs: {n: "${{ steps.double.output }}"}
"""


def printed_by(code: str, program: Program) -> str:
    """Run *code* in the project, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=program.root,
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def answer(program: Program) -> tuple[Any, str]:
    """What the program found, and what it printed."""
    program.file(".maverick/workflows/flow.yaml", FLOW)
    program.file("tools.py", "def double(n):\n    print('doubling')\n    return 2 * n\n")
    printed = printed_by(PROGRAM, program)
    return json.loads((program.root / "answer.json").read_text()), printed


def test_a_program_runs_resumes_and_looks(
    answer: tuple[Any, str],
) -> None:
    """Nothing of it is printed on standard output."""
    found, printed = answer

    assert "" == printed
    assert ["failed", "step wait: exit code 1"] == found["failed"]
    assert [True, "done", {"n": 6}, None, ["three"]] == found["done"]
    assert [6, "doubling\n", None] == found["step"]
    assert (True, True, True) == (found["names"], found["seconds"], found["html"])
    assert ("inputs.n", {"n": 6}) == (found["diff"], found["output"])
    assert "tools.py" in found["files"]
    assert [2, 3, 10, 12] == found["codes"]


def test_the_store_takes_texts_and_plain_values(program: Program) -> None:
    code = """
import datetime, pathlib
from maverick.checkpoints import Store

with Store.create(".maverick/checkpoints") as store:
    store.save("exp1", {"params": {"at": (1, pathlib.Path("x"), datetime.date(2026, 1, 2))}}, label="best")
with Store.open(".") as store:
    print([ref.run for ref in store], store.load("exp1@best").value("params"))
    print(store.load("exp1").value("params.at[2]"), sorted(store.load("exp1").names()))
"""
    expected = "['exp1'] {'at': [1, 'x', '2026-01-02']}\n2026-01-02 ['params']\n"
    assert expected == printed_by(code, program)
