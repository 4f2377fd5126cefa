"""`validate`: stages, which are commands, run in order up to the first that fails."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from maverick.dsl.catalog.config import MEANS_A_STAGE, Stage
from maverick.dsl.durations import Limit, shortest
from maverick.dsl.expressions import evaluate, resolve
from maverick.dsl.processes.last_words import text_of, timed_out
from maverick.dsl.work import Attempt, Tools, Work
from maverick.errors import StepFailed, StepTimeout
from maverick.visible import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.workflow.model import ValidateStep
    from maverick.values import Value

OUTPUT_CHARACTERS = 20_000
"""The end of a stage's output that is kept: what a fixer needs, not a log."""

TIMED_OUT = 124
"""The exit code of a stage that took longer than its own timeout, as timeout(1) has it."""


def prepare(step: ValidateStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the stages' commands."""
    tools = replace(tools, root=resolve.folder(step.cwd, frame))
    stages = stages_of(evaluate.render(step.stages, frame), tools.catalog.stages)

    def run(attempt: Attempt) -> dict[str, Value]:
        results: list[Value] = []
        started = time.monotonic()
        for stage in stages:
            limit = (
                None if attempt.limit is None else attempt.limit.after(time.monotonic() - started)
            )
            result = _run(stage, shortest(limit, stage.limit), attempt, tools)
            results.append(result)
            if not result["success"]:
                break
        success = all(isinstance(r, dict) and r["success"] for r in results)
        return {"success": success, "passed": success, "stages": results}

    return Work(
        parts={"stages": [[stage.name, stage.run] for stage in stages]},
        run=run,
        folder=tools.root,
    )


def stages_of(given: Value, configured: Mapping[str, Stage]) -> list[Stage]:
    """The stages that `stages` means: all configured ones (null), one by name, or a list.

    An entry of a list is the name of a configured stage, a mapping `{name, run}`, or a command
    line.

    Raises:
        StepFailed: An entry is none of these.
    """
    if given is None:
        return list(configured.values())
    if isinstance(given, dict):
        return [_stage({"name": name, "run": run}, configured) for name, run in given.items()]
    return [_stage(entry, configured) for entry in (given if isinstance(given, list) else [given])]


def _stage(entry: Value, configured: Mapping[str, Stage]) -> Stage:
    if isinstance(entry, str) and entry in configured:
        return configured[entry]
    if (
        isinstance(entry, str)
        and entry != MEANS_A_STAGE
        and (len(entry.split()) > 1 or _is_program(entry))
    ):
        return Stage(entry, entry)
    if isinstance(entry, str):
        names = ", ".join(configured) or "none"
        hint = nearest(entry, configured)
        raise StepFailed(
            f"there is no validation stage {entry!r}{hint} (validation.stages in maverick.yaml: "
            f"{names})"
        )
    if isinstance(entry, dict):
        command = entry.get("run", entry.get("command"))
        name = entry.get("name", command)
        if isinstance(command, str) and isinstance(name, str):
            return Stage(
                name, command, resolve.own_limit(entry.get("timeout"), f"the stage {name}")
            )
    raise StepFailed(
        f"a stage is a name, a command or {{name, run}}, not {resolve.describe_value(entry)}"
    )


def _is_program(text: str) -> bool:
    import shutil  # noqa: PLC0415

    return shutil.which(text) is not None


def _run(stage: Stage, limit: Limit | None, attempt: Attempt, tools: Tools) -> dict[str, Value]:
    from maverick.dsl.processes.processes import Script  # noqa: PLC0415 - what only looks for stages runs none

    try:
        done = tools.processes.run(
            ["sh"],
            script=Script(stage.run),
            cwd=tools.root,
            env={**tools.environment_in(tools.root), **attempt.environment},
            timeout=limit,
            on_output=attempt.say,
            step=attempt.path,
        )
    except StepTimeout as error:
        if limit is not stage.limit:
            raise timed_out(error) from None
        return _result(stage, TIMED_OUT, error.stdout, error.stderr, str(error))
    return _result(stage, done.exit_code, done.stdout, done.stderr)


def _result(
    stage: Stage, exit_code: int, stdout: bytes, stderr: bytes, reason: str = ""
) -> dict[str, Value]:
    output = "\n".join(filter(None, (text_of(stdout).strip(), text_of(stderr).strip(), reason)))
    return {
        "name": stage.name,
        "success": exit_code == 0,
        "exit_code": exit_code,
        "output": output[-OUTPUT_CHARACTERS:],
    }
