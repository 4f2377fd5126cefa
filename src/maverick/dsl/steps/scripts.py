"""Scripts of `shell` steps: each in a shell of its own, in a process group of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import TYPE_CHECKING, Literal, TypeAlias

from maverick.dsl.events import Event
from maverick.dsl.expressions import evaluate, resolve
from maverick.dsl.expressions.expressions import Template
from maverick.dsl.expressions.text import to_json
from maverick.dsl.processes.last_words import failure, text_of, timed_out
from maverick.dsl.processes.processes import LIMIT_BYTES, Script
from maverick.dsl.processes.programs import where_is
from maverick.encoding import encode, file_name, lines_of, name_text
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.processes.processes import Completed
    from maverick.dsl.work import Attempt, Tools
    from maverick.values import Value

Parse: TypeAlias = Literal["text", "json", "lines"]
"""What standard output is taken for."""
_SHELL = re.compile(r"(.*/)?(sh|bash|dash|ash|ksh|mksh|zsh)")
_PYTHON = re.compile(r"(.*/)?python[0-9.]*")


def run_script(
    fields: Mapping[str, Field], parse: Parse, grace: Field, attempt: Attempt, tools: Tools
) -> dict[str, Value]:
    """Run a script once; give its streams, and what *parse* makes of standard output.

    *fields* are `run`, `shell`, `cwd`, `env` and `stdin` of the step. Raises StepFailed, Stopped.
    """
    scope = attempt.frame
    folder = (
        tools.root
        if fields["cwd"] is None
        else tools.root / file_name(resolve.text(fields["cwd"], scope, "cwd"))
    )
    environment = _environment(
        fields["env"], scope, {**tools.environment_in(folder), **attempt.environment}
    )
    shell = _shell(evaluate.render(fields["shell"], scope), folder, environment)
    script = Script(
        evaluate.as_text(evaluate.render(fields["run"], scope)),
        sourced=_sources(fields["shell"], shell),
    )
    given = evaluate.render(fields["stdin"], scope)
    try:
        done = tools.processes.run(
            shell,
            script=script,
            cwd=folder,
            env=_with_modules(shell, folder, environment),
            stdin=b"" if fields["stdin"] is None else _input(given),
            timeout=attempt.limit,
            grace=resolve.seconds(grace, scope, "grace"),
            on_output=attempt.say,
            step=attempt.path,
        )
    except StepTimeout as error:
        raise timed_out(error) from None
    if done.leftovers:
        message = f"stopped what the script left running: {', '.join(done.leftovers)}"
        tools.observe(Event(event="notice", step=attempt.path, message=message))
    if done.exit_code != 0:
        failed = StepFailed(failure(done))
        failed.command_exit = done.exit_code
        raise failed
    return _output(done, parse, attempt, tools)


def _output(done: Completed, parse: Parse, attempt: Attempt, tools: Tools) -> dict[str, Value]:
    stdout, stderr = text_of(done.stdout), text_of(done.stderr)
    output: dict[str, Value] = {"stdout": stdout, "stderr": stderr, "exit_code": 0}
    if done.cut:
        streams = " and ".join(
            {"stdout": "standard output", "stderr": "standard error"}[name] for name in done.cut
        )
        message = f"its {streams} had more than {LIMIT_BYTES >> 20} MiB, of which the end is kept"
        if "stdout" in done.cut and parse != "text":
            raise StepFailed(
                f"parse: {parse} needs all of the output, but {message}; send it to a file"
            )
        tools.observe(Event(event="notice", step=attempt.path, message=message))
        return {**output, "value": _parse(stdout, parse), "truncated": True}
    return {**output, "value": _parse(stdout, parse)}


def _environment(given: Field, scope: Frame, around: Mapping[str, str]) -> dict[str, str]:
    """The variables *around* with those of `env`. A null that stands there takes the variable away;
    an expression that comes to null is an empty text, as everywhere.
    """
    variables = dict(around)
    for name, value in resolve.mapping(given, scope, "env").items():
        is_computed = isinstance(given, dict) and isinstance(given[name], Template)
        if value is None and not is_computed:
            variables.pop(name, None)
        else:
            variables[name] = evaluate.as_text(value)
    return variables


def _input(value: Value) -> bytes:
    """What standard input holds: text and bytes as they are, all else as JSON."""
    if isinstance(value, bytes):
        return value
    return encode(value if isinstance(value, str) else to_json(value), "stdin")


def _shell(given: Value, folder: Path, environment: Mapping[str, str]) -> list[str]:
    if given is None:
        bash = where_is("bash", folder, environment)
        return [bash, "-euo", "pipefail"] if bash else ["sh", "-eu"]
    if isinstance(given, str) and given.strip():
        return shlex.split(given)
    if (
        isinstance(given, list)
        and given
        and given[0]
        and all(isinstance(word, str) for word in given)
    ):
        return [str(word) for word in given]
    raise StepFailed(
        f"shell has to be a command such as `bash -eu`, not {resolve.describe_value(given)}"
    )


def _sources(given: Field, shell: list[str]) -> bool:
    """Whether *shell* reads the script by its `.`: one that was named stays `$0`, as with `-c`."""
    return given is not None and _SHELL.fullmatch(shell[0]) is not None


def _with_modules(shell: list[str], folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """Let Python import what is in the step's folder, as `python -c` does: it looks where the
    script's file is.
    """
    if (
        not any(_PYTHON.fullmatch(word) for word in shell)
        or "-P" in shell
        or environment.get("PYTHONSAFEPATH")
    ):
        return environment
    path = os.pathsep.join(filter(None, (name_text(folder), environment.get("PYTHONPATH"))))
    return {**environment, "PYTHONPATH": path}


def _parse(stdout: str, how: str) -> Value:
    if how == "lines":
        return list(lines_of(stdout))
    if how == "json":
        try:
            value: Value = json.loads(stdout)
        except (ValueError, RecursionError) as error:
            raise StepFailed(
                f"parse: json, but the output is no JSON ({error}): {stdout[:80]!r}"
            ) from None
        return value
    return stdout.removesuffix("\n")
