"""The JSON in an agent's answer, and whether it is what `output_schema` asks for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from maverick.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from maverick.dsl.values import Value

_FENCE = re.compile(r"^```[ \t]*(?:json|JSON)?[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_SHOWN = 300


class AnswerWrong(Exception):
    """An answer that is no JSON, or not what the schema asks for; its text says where and why."""


def check_schema(schema: Value) -> None:
    """Refuse a schema that is none.

    Raises:
        StepFailed: It is no JSON Schema; says where and why.
    """
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - only for those who give a schema

    try:
        Draft202012Validator.check_schema(cast("Mapping[str, Any]", schema))
    except SchemaError as error:
        raise StepFailed(f"output_schema is no JSON Schema, at {error.json_path}: {error.message[:_SHOWN]}") from None


def parse(text: str, schema: Value, *, whole: bool = False) -> Value:
    """The value that *text* gives: JSON, in a fence or with other text around it, unless all of it has to be (*whole*).

    Raises:
        AnswerWrong: There is none, or it is not valid for *schema* (null: anything is).
    """
    first: Exception | None = None
    for candidate in [text] if whole else _candidates(text):
        try:
            value: Value = json.loads(candidate)
        except (ValueError, RecursionError) as error:
            first = first or error
            continue
        _validate(value, schema)
        return value
    raise AnswerWrong(f"it is no JSON ({first}): {text.strip()[:_SHOWN]!r}")


def _candidates(text: str) -> Iterator[str]:
    """Everything; what stands in the last fence; everything from the first brace or bracket to the last."""
    yield text
    fences = _FENCE.findall(text)
    if fences:
        yield fences[-1]
    pairs = [("{", "}"), ("[", "]")]
    for opening, closing in sorted(pairs, key=lambda pair: text.find(pair[0]) % (len(text) + 1)):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            yield text[start : end + 1]


def _validate(value: Value, schema: Value) -> None:
    if schema is None:
        return
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    # A registry of its own, so that a `$ref` never reaches the network.
    validator = Draft202012Validator(cast("Mapping[str, Any]", schema), registry=Registry())
    try:
        found = next(iter(validator.iter_errors(value)), None)
    except Unresolvable as error:
        raise StepFailed(f"output_schema refers to something that is not in it: {error.ref}") from None
    except RecursionError:
        raise AnswerWrong("it is nested too deeply") from None
    if found is not None:
        raise AnswerWrong(f"it does not fit output_schema at {found.json_path}: {found.message[:_SHOWN]}")
