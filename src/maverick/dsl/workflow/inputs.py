"""Workflow inputs: what is given, made to fit what is declared."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from maverick.errors import InputInvalid, ValueUnstorable
from maverick.values import normalise
from maverick.visible import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.workflow.model import Input, InputType, Workflow
    from maverick.values import Value

TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_BITS = {"1": True, "0": False, "y": True, "n": False, "t": True, "f": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITIES = {
    ".inf": float("inf"),
    "+.inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}
_SHOWN = {
    "string": "a text",
    "integer": "an integer",
    "float": "a number",
    "number": "a number",
    "boolean": "a boolean (true or false)",
    "array": 'a list (JSON, such as ["a", "b"])',
    "object": 'a mapping (JSON, such as {"a": 1})',
}


def truth_of(value: object) -> bool | None:
    """Give the truth that a boolean field's value stands for (`yes`, `no`, `on`, `off` too), else
    None.
    """
    if isinstance(value, bool):
        return value
    return TRUTHS.get(value.lower()) if isinstance(value, str) else None


def fit(value: Value, wanted: InputType) -> Value:
    """Give *value* as one of the type *wanted*: a `float` is made of an integer, a boolean of
    `yes`.

    Integers are no booleans and booleans no integers. Raises ValueError, which says what is
    expected.
    """
    if wanted == "boolean":
        truth = truth_of(value)
        if truth is not None:
            return truth
    elif not isinstance(value, bool):
        kinds: dict[str, type | tuple[type, ...]] = {
            "string": str,
            "integer": int,
            "float": float,
            "number": (int, float),
            "array": list,
            "object": dict,
        }
        if isinstance(value, kinds[wanted]):
            return value
        if wanted == "float" and isinstance(value, int) and abs(value) < 10**300:
            return float(value)
    hint = (
        "; a number or a boolean in quotes is one"
        if wanted == "string" and isinstance(value, int | float)
        else ""
    )
    raise ValueError(f"{_SHOWN[wanted]} is expected, not {_shown(value)}{hint}")


def from_text(text: str, wanted: InputType) -> Value:
    """Convert a text of the command line to the type *wanted*; raises ValueError as `fit` does."""
    plain = text.strip()
    if wanted == "string":
        return text
    if wanted == "boolean":
        truth = _BITS.get(plain.lower(), truth_of(plain))
        if truth is not None:
            return truth
    elif wanted in {"array", "object"}:
        return _from_json(text, wanted)
    elif _INTEGER.fullmatch(plain):
        return fit(int(plain), wanted)
    elif wanted != "integer":
        if plain.lower() in _INFINITIES:
            return _INFINITIES[plain.lower()]
        if _FLOAT.fullmatch(plain) and abs(float(plain)) != float("inf"):
            return float(plain)
    raise ValueError(f"{_SHOWN[wanted]} is expected, not {_shown(text)}")


def _from_json(text: str, wanted: InputType) -> Value:
    try:
        value: Value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_SHOWN[wanted]} is expected, not {_shown(text)}") from error
    return fit(value, wanted)


def _shown(value: Value) -> str:
    """Give *value* for a message, cut to a length that fits a line."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "an integer of more than 77 digits"
    text = (
        {True: "true", False: "false", None: "null"}[value]
        if isinstance(value, bool | None)
        else repr(value)
    )
    return text if len(text) <= 80 else text[:79] + "…"


def _is_same(value: Value, choice: Value) -> bool:
    """Whether two values are equal, and both a boolean or none (`1` is not `true`)."""
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)


def check_choice(value: Value, declared: Input) -> None:
    """Raise ValueError unless *value* is among the declared choices, or there are none."""
    if declared.choices and not any(_is_same(value, choice) for choice in declared.choices):
        choices = ", ".join(map(_shown, declared.choices))
        raise ValueError(f"one of {choices} is expected, not {_shown(value)}")


def convert_inputs(
    workflow: Workflow, given: Mapping[str, Value | str], *, from_text: bool
) -> dict[str, Value]:
    """Give the value of every declared input, in file order: what is given, else the default, else
    null.

    With *from_text*, what is given are texts of the command line. Raises InputInvalid, whose
    message names input, type and value of every problem.
    """
    problems = [_unknown(name, workflow) for name in given if name not in workflow.inputs]
    values: dict[str, Value] = {}
    for name, declared in workflow.inputs.items():
        try:
            values[name] = _one(declared, given, text=from_text)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise InputInvalid(f"The inputs do not fit the workflow `{workflow.name}`:\n{lines}")
    return values


def _one(declared: Input, given: Mapping[str, Value | str], *, text: bool) -> Value:
    if declared.name not in given:
        if declared.required:
            about = f": {declared.description}" if declared.description else ""
            raise ValueError(f"{declared.name} ({declared.type}) is required{about}")
        return declared.default
    value = given[declared.name]
    if not declared.required and (
        value is None or (text and value == "null" and declared.type != "string")
    ):
        return None
    try:
        fitting = (
            from_text(value, declared.type)
            if text and isinstance(value, str)
            else fit(value, declared.type)
        )
        check_choice(fitting, declared)
        return normalise(fitting, declared.name)
    except ValueUnstorable as error:
        raise ValueError(f"{declared.name} ({declared.type}): {error.why}") from error
    except ValueError as error:
        raise ValueError(f"{declared.name} ({declared.type}): {error}") from error


def _unknown(name: str, workflow: Workflow) -> str:
    hint = nearest(name, workflow.inputs)
    if not hint:
        hint = (
            f"; there are {', '.join(workflow.inputs)}"
            if workflow.inputs
            else "; the workflow has no inputs"
        )
    return f"{name[:80]} is no input{hint}"
