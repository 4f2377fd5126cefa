"""`shell`: a script in a shell of its own, in a process group of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from typing import TYPE_CHECKING

from maverick.dsl import evaluate, fields
from maverick.dsl.events import Event
from maverick.dsl.steps.work import Attempt, Tools, Work
from maverick.errors import StepFailed
from maverick.visible import last_lines

if TYPE_CHECKING:
    from maverick.dsl.model import ShellStep
    from maverick.dsl.processes import Completed
    from maverick.dsl.scope import Frame
    from maverick.dsl.values import Value

LAST_LINES = 12
"""Of standard error, in the message of a failure."""


def prepare(step: ShellStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the script, the shell, the folder, the variables and `parse`."""
    parts = {name: evaluate.key_view(getattr(step, name), frame) for name in ("run", "shell", "cwd", "env")}

    def run(attempt: Attempt) -> dict[str, Value]:
        scope = attempt.frame
        script = evaluate.as_text(evaluate.render(step.run, scope))
        variables = {name: evaluate.as_text(v) for name, v in fields.mapping(step.env, scope, "env").items()}
        done = tools.processes.run(
            [*_shell(evaluate.render(step.shell, scope)), script],
            cwd=tools.root if step.cwd is None else tools.root / fields.text(step.cwd, scope, "cwd"),
            env={**tools.environment, **attempt.environment, **variables},
            timeout=attempt.seconds,
            on_output=attempt.say,
            step=attempt.path,
        )
        if done.leftovers:
            message = f"stopped what the script left running: {', '.join(done.leftovers)}"
            tools.observe(Event(event="notice", step=attempt.path, message=message))
        if done.truncated:
            raise StepFailed("the script wrote more output than a step can record; send it to a file")
        if done.exit_code != 0:
            raise StepFailed(failure(done))
        stdout, stderr = text_of(done.stdout), text_of(done.stderr)
        return {"stdout": stdout, "stderr": stderr, "exit_code": 0, "value": _parse(stdout, step.parse)}

    return Work(type="shell", parts={**parts, "parse": None if step.parse == "text" else step.parse}, run=run)


def _shell(given: Value) -> list[str]:
    if given is None:
        return ["bash", "-euo", "pipefail", "-c"] if shutil.which("bash") else ["sh", "-eu", "-c"]
    if isinstance(given, str) and given.strip():
        return [*shlex.split(given), "-c"]
    raise StepFailed(f"shell has to be a command such as `bash -eu`, not {fields.describe(given)}")


def failure(done: Completed) -> str:
    """Say how a command failed: its exit code or signal, and the last lines of what it wrote to standard error."""
    how = f"killed by {done.signal}" if done.signal else f"exit code {done.exit_code}"
    lines = last_lines(text_of(done.stderr).strip() or text_of(done.stdout), LAST_LINES)
    return f"{how}: {os.linesep.join(lines)}" if lines else how


def text_of(output: bytes) -> str:
    r"""The text of a program's output; bytes that are no UTF-8 are shown as `\xNN`."""
    return output.decode("utf-8", "backslashreplace")


def _parse(stdout: str, how: str) -> Value:
    if how == "lines":
        return list(stdout.splitlines())
    if how == "json":
        try:
            value: Value = json.loads(stdout)
        except (ValueError, RecursionError) as error:
            raise StepFailed(f"parse: json, but the output is no JSON ({error}): {stdout[:80]!r}") from None
        return value
    return stdout.removesuffix("\n")
