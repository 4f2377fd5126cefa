"""`shell`: a script in a shell of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from maverick.dsl.expressions import nodes
from maverick.dsl.expressions.expressions import Expression, Template
from maverick.dsl.serialization.problems import as_written
from maverick.dsl.serialization.yaml_nodes import MappingNode, ScalarNode, SequenceNode
from maverick.dsl.workflow.model import Step
from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.serialization.fields import Common, Fields
    from maverick.dsl.steps.scripts import Parse
    from maverick.dsl.work import Tools, Work

_UNQUOTED = (
    "an unquoted expression in a shell script: use `${{ quote(…) }}`, or hand the value over in "
    "`env`"
)
ABOUT: Final[Mapping[str, str]] = {
    "run": "The script. Values reach it safely through `env`, or as `${{ quote(x) }}`.",
    "shell": "What runs it; by default `bash -euo pipefail`, without bash `sh -eu`.",
    "cwd": "The folder to run in, from the project's root.",
    "env": "Variables; null takes one away.",
    "stdin": "What standard input holds: a text, or a value as JSON.",
    "grace": "How long its processes have from the first signal to SIGKILL (10s).",
    "parse": "What `output.value` is: the text, what it is as JSON, or its lines.",
}
# What these give cannot change what a shell script does.
_HARMLESS_CALLS = frozenset({"quote", "len", "int", "float", "bool", "exists", "hash"})


@record(kw_only=True)
class ShellStep(Step):
    """Runs a script in a shell. `shell` None is `bash -euo pipefail`, else `sh -eu`."""

    kind = "shell"
    gives = ("stdout", "stderr", "exit_code", "value", "truncated")

    run: Field
    shell: Field = None
    cwd: Field = None
    env: Field = None
    stdin: Field = None
    grace: Field = None
    """Seconds from the first signal to SIGKILL when it is stopped; None is what maverick.yaml says.
    """
    parse: Parse = "text"


def read(fields: Fields, common: Common) -> ShellStep:
    """Read the fields; an expression that the shell would split or run is warned of."""
    run = fields.template("run", required=True)
    if isinstance(run, Template):
        _warn_unquoted(fields, run)
    return ShellStep(
        **common,
        run=run,
        shell=fields.shaped("shell", (ScalarNode, SequenceNode), "a command such as `bash -eu`"),
        cwd=fields.template("cwd"),
        env=_environment(fields),
        stdin=fields.field("stdin"),
        grace=fields.seconds("grace"),
        parse=fields.word("parse", ("text", "json", "lines"), "text"),
    )


def _environment(fields: Fields) -> Field:
    """Give the variables; a number or a boolean is the text that it is in the file."""
    given = fields.node_of("env")
    if isinstance(given, MappingNode):
        entries = {name: (key, as_written(node)) for name, (key, node) in given.entries.items()}
        for _, node in entries.values():
            fields.problems.warn_of_numbers(node)
        return fields.problems.field(replace(given, entries=entries))
    return fields.shaped("env", (MappingNode,), "a mapping")


def _warn_unquoted(fields: Fields, run: Template) -> None:
    for part in run.parts:
        if isinstance(part, Expression) and not _is_harmless(part.node):
            fields.problems.warn_at(part.place, _UNQUOTED)


def _is_harmless(node: nodes.Node) -> bool:
    match node:
        case nodes.Call(function, _):
            return function.name in _HARMLESS_CALLS
        case nodes.Access(nodes.Name("run"), _) | nodes.Name("index") | nodes.Literal():
            return True
        case nodes.Choice(_, then, otherwise):
            return _is_harmless(then) and _is_harmless(otherwise)
        case _:
            return False


def prepare(step: ShellStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the script, the shell, the folder, the variables, the input and
    `parse`.
    """
    from maverick.dsl.expressions import evaluate  # noqa: PLC0415 - see maverick.dsl.steps
    from maverick.dsl.steps.scripts import run_script  # noqa: PLC0415
    from maverick.dsl.work import Work  # noqa: PLC0415

    fields = {name: getattr(step, name) for name in ("run", "shell", "cwd", "env", "stdin")}
    parts = {name: evaluate.key_view(field, frame) for name, field in fields.items()}
    return Work(
        parts={**parts, "parse": None if step.parse == "text" else step.parse},
        run=lambda attempt: run_script(fields, step.parse, step.grace, attempt, tools),
    )
