"""Inputs as the command line gives them: `-i key=value`, and files of YAML or JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maverick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.dsl.values import Value


def given_inputs(file: str, pairs: Iterable[str]) -> dict[str, Value]:
    """Give the inputs of *file* (a path, `-` for standard input, empty for none), with those of *pairs* over them.

    Raises:
        UsageError: a pair has no `=`, or the file cannot be read or holds no mapping.
    """
    inputs = read_inputs(file) if file else {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"an input is given as key=value, not {pair!r}")
        inputs[name.strip()] = text
    return inputs


def read_inputs(file: str) -> dict[str, Value]:
    """Read a mapping of inputs; raises as `given_inputs`."""
    shown = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the inputs from {shown}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read the inputs from {shown}: it is not UTF-8") from error
    value = _parse(text, shown)
    if not isinstance(value, dict):
        raise UsageError(f"{shown} has to hold a mapping of input names to values")
    return value


def _parse(text: str, shown: str) -> Value:
    try:
        return cast("Value", json.loads(text))
    except (ValueError, RecursionError):  # No JSON: YAML.
        pass
    from maverick.dsl.serialization.nodes import compose  # noqa: PLC0415 - loads the YAML parser
    from maverick.dsl.serialization.report import Report  # noqa: PLC0415

    node, problems = compose(text, shown)
    if node is None or problems:
        lines = "\n".join(f"  {problem}" for problem in problems) or f"  {shown} is empty"
        raise UsageError(f"the inputs cannot be read:\n{lines}")
    return Report(shown, text).value(node)
