"""Ask for the value of an expression in a scope that a test describes in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maverick.dsl.expressions.evaluate import evaluate, render
from maverick.dsl.expressions.expressions import SourcePlace, parse_expression, parse_template
from maverick.dsl.expressions.scope import Frame
from maverick.values import Value

PLACE = SourcePlace("flow.yaml", 12, 7)


def frame(
    *,
    steps: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    run: Mapping[str, object] | None = None,
    root: Path = Path("/nowhere"),
    **inputs: object,
) -> Frame:
    """A scope with these inputs; *steps* are outputs by name."""
    result = Frame(inputs=inputs, env=env or {}, run=run or {}, project_root=root)
    for name, output in (steps or {}).items():
        result.set_step(name, {"output": output, "status": "done"})
    return result


def ask(text: str, scope: Frame | None = None) -> Value:
    """The value of the expression *text*."""
    return evaluate(parse_expression(text, PLACE), scope or frame())


def fill(text: str, scope: Frame | None = None) -> Value:
    """The value of the field *text*, which may be a template."""
    return render(parse_template(text, PLACE), scope or frame())
