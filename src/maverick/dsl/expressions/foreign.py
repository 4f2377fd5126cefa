"""Names and functions of other languages' expressions, and what is written here instead."""

from __future__ import annotations

from typing import Final

_NAMES: Final = {
    "is": "write `==` to compare",
    "for": "there are no loops in an expression: use a `loop` step",
    "lambda": "there are no functions of one's own",
    "undefined": "write `null`",
    "nil": "write `null`",
    "TRUE": "write `true`",
    "FALSE": "write `false`",
    "NULL": "write `null`",
    "github": "a run reads `env.NAME`, and `run.id`; what CI knows is in `env.GITHUB_…`",
    "runner": "a run reads `env.NAME`",
    "job": "a step is read as `steps.NAME.status`",
    "jobs": "a step is read as `steps.NAME.output`",
    "needs": "a step is read as `steps.NAME.output`",
    "tasks": "a step is read as `steps.NAME.output`",
    "outputs": "a step is read as `steps.NAME.output`",
    "matrix": "the value at hand of a `for_each` is `item`",
    "each": "the value at hand of a `for_each` is `item`",
    "strategy": "the value at hand of a `for_each` is `item`",
    "loop": "the round at hand is `index`, the value `item`",
    "secrets": "write `env.NAME`, and name it under `secrets` in maverick.yaml",
    "vars": "write `inputs.NAME`, or `env.NAME`",
    "variables": "write `inputs.NAME`, or `env.NAME`",
    "params": "write `inputs.NAME`",
    "workflow": "write `inputs.NAME`, or `run.id`",
}
_CALLS: Final = {
    "success": "a step runs only if those before it succeeded; remove it",
    "always": "`continue_on_error: true` on the step before lets the run go on",
    "failure": "with `continue_on_error: true` a step that failed has the status 'failed': "
    "`steps.NAME.status == 'failed'`",
    "cancelled": "nothing runs in a run that is interrupted; it goes on when it is resumed",
    "fromJSON": "write `json(text)`",
    "toJSON": "write `to_json(value)`",
    "hashFiles": "write `hash(value)`",
    "length": "write `len(value)`",
    "size": "write `len(value)`",
    "count": "write `len(value)`",
    "trim": "write `strip(text)`",
    "env": "write `env.NAME`",
}


def answer_name(name: str) -> str:
    """Say what is written instead of a name that is none here; nothing where nobody knows."""
    return f": {_NAMES[name]}" if name in _NAMES else ""


def answer_call(name: str) -> str:
    """Say what is written instead of a function that there is not here."""
    return f": {_CALLS[name]}" if name in _CALLS else ""
