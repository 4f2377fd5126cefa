"""Inputs as the command line gives them: `-i key=value`, and files of YAML or JSON."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maverick.cli.terminal.streams import bytes_in
from maverick.errors import UsageError

_MOST_BYTES = 64 << 20
"""Of a file of inputs; one of YAML may have less."""
_STEP = re.compile(r'(?:\["(?:[^"\\]|\\.)*"\]|[^=])+')

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.values import Value


def given_inputs(file: str, pairs: Iterable[str]) -> dict[str, Value]:
    """Give the inputs of *file* (a path, `-` for standard input, empty for none), with those of
    *pairs* over them.

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


def given_outputs(pairs: Iterable[str]) -> dict[str, Value]:
    """Give the outputs that `STEP` (null) and `STEP=JSON` say; a key in a step's path may hold a
    `=`.

    Raises:
        UsageError: what follows the `=` is no JSON.
    """
    outputs: dict[str, Value] = {}
    for pair in pairs:
        match = _STEP.match(pair)
        step, rest = (match[0], pair[match.end() :]) if match else ("", pair)
        try:
            outputs[step] = json.loads(rest[1:]) if rest else None
        except (ValueError, RecursionError):
            raise UsageError(
                f"--skip {pair}: what follows the `=` has to be JSON (a text in double quotes)"
            ) from None
    return outputs


def read_inputs(file: str) -> dict[str, Value]:
    """Read a mapping of inputs; raises as `given_inputs`."""
    source = "standard input" if file == "-" else file
    try:
        with nullcontext(bytes_in()) if file == "-" else Path(file).open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the inputs from {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read the inputs from {source}: it is not UTF-8") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"cannot read the inputs from {source}: more than {_MOST_BYTES >> 20} MiB")
    value = parse_value(text, source)
    if not isinstance(value, dict):
        raise UsageError(f"{source} has to hold a mapping of input names to values")
    return value


def parse_value(text: str, source: str) -> Value:
    """Give the value that *text* holds, JSON or YAML. Raises UsageError."""
    try:
        return cast("Value", json.loads(text))
    except (ValueError, RecursionError):  # No JSON: YAML.
        pass
    from maverick.dsl.serialization.yaml_nodes import compose, plain_value  # noqa: PLC0415 - loads the YAML parser

    node, problems = compose(text, source)
    if node is None or problems:
        lines = "\n".join(f"  {problem}" for problem in problems) or f"  {source} is empty"
        raise UsageError(f"{source} cannot be read:\n{lines}")
    return plain_value(node)
