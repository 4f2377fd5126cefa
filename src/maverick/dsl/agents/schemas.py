"""The JSON in an agent's answer, and whether it is what `output_schema` asks for."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, cast

from maverick.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from maverick.values import Value

_SHOWN = 300
_SLOW = frozenset(
    {"pattern", "patternProperties", "uniqueItems", "unevaluatedProperties", "unevaluatedItems"}
    | {"$ref", "$dynamicRef", "$recursiveRef"}
)
"""Keywords whose check may take more than a time in proportion to the answer: for a pattern, years.
"""
_OF_NAMES = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
"""Keywords whose value is a mapping of names that anybody chose to schemas."""
_DATA = frozenset({"enum", "const", "default", "examples"})
_QUICK_WORK = 20_000_000
"""Characters of an answer times values in its schema up to which the check is at most a matter of
seconds.
"""


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
        raise StepFailed(
            f"output_schema is no JSON Schema, at {error.json_path}: {error.message[:_SHOWN]}"
        ) from None


def is_quick(text: str, schema: Value) -> bool:
    """Whether checking the answer *text* takes next to no time, whatever stands in it."""
    count = _count_keywords(schema)
    return count is not None and count * len(text) <= _QUICK_WORK


def _count_keywords(schema: Value) -> int | None:
    """How many values there are in *schema*; None where a keyword among them may be slow."""
    count, pending = 0, [schema]
    while pending:
        part = pending.pop()
        count += 1
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            if not _SLOW.isdisjoint(part):
                return None
            for keyword, value in part.items():
                if keyword in _OF_NAMES and isinstance(value, dict):
                    pending += value.values()
                elif keyword not in _DATA:
                    pending.append(value)
                else:
                    count += len(value) if isinstance(value, list) else 1
    return count


def parse(
    text: str,
    schema: Value,
    *,
    whole: bool = False,
    check: Callable[[str, Value], None] | None = None,
) -> Value:
    """The value that *text* gives: JSON, in a fence or with other text around it, unless all of it
    has to be (*whole*).

    *check* is called with the JSON text and the schema, where a check takes its time; it raises as
    this does.

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
        if check is None or is_quick(candidate, schema):
            check_fits(value, schema)
        else:
            check(candidate, schema)
        return value
    raise AnswerWrong(f"it is no JSON ({first}): {text.strip()[:_SHOWN]!r}")


def _candidates(text: str) -> Iterator[str]:
    """Everything; what stands in the last fence; everything from the first brace or bracket to the
    last.
    """
    yield text
    if (fenced := _last_fenced(text)) is not None:
        yield fenced
    pairs = [("{", "}"), ("[", "]")]
    for opening, closing in sorted(pairs, key=lambda pair: text.find(pair[0]) % (len(text) + 1)):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            yield text[start : end + 1]


def _last_fenced(text: str) -> str | None:
    """What stands in the last fence that is closed: between a line with ``` or ```json and one with
    ``` alone.
    """
    begin, fenced, position = None, None, 0
    for line in text.split("\n"):
        word = line.rstrip(" \t\r")
        position += len(line) + 1
        if begin is not None and word == "```":
            fenced, begin = text[begin : position - len(line) - 1], None
        elif (
            begin is None
            and word.startswith("```")
            and word[3:].lstrip(" \t") in ("", "json", "JSON")
        ):
            begin = position
    return fenced


def check_fits(value: Value, schema: Value) -> None:
    """Check *value* in this process.

    Raises:
        AnswerWrong: It is not what *schema* asks for.
        StepFailed: The schema refers to something that is not there.
    """
    if schema is None:
        return
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    # A registry of its own, so that a `$ref` never reaches the network.
    validator = Draft202012Validator(cast("Mapping[str, Any]", schema), registry=Registry())
    try:
        misfit = next(iter(validator.iter_errors(value)), None)
    except Unresolvable as error:
        raise StepFailed(
            f"output_schema refers to something that is not in it: {error.ref}"
        ) from None
    except RecursionError:
        raise AnswerWrong("it is nested too deeply") from None
    except (ArithmeticError, ValueError) as error:
        # NaN, or an integer of hundreds of digits, under `multipleOf`.
        raise AnswerWrong(
            f"a number in it cannot be compared as output_schema asks for: {error}"
        ) from None
    if misfit is not None:
        raise AnswerWrong(
            f"it does not fit output_schema at {misfit.json_path}: {misfit.message[:_SHOWN]}"
        )


# --- in a process of its own ----------------------------------------------------------------------


def request(text: str, schema: Value) -> bytes:
    """What the child that checks an answer, the JSON *text*, is told on its standard input."""
    return json.dumps([text, schema]).encode()


def conclude(answer: bytes) -> None:
    """Raise what the child found, by what it wrote to its standard output; see `validate`."""
    kind, message = json.loads(answer)
    if kind == "wrong":
        raise AnswerWrong(message)
    if kind == "failed":
        raise StepFailed(message)


def main() -> None:
    """Be that child."""
    text, schema = json.loads(sys.stdin.buffer.read())
    outcome = ("right", "")
    try:
        check_fits(json.loads(text), schema)
    except AnswerWrong as error:
        outcome = ("wrong", str(error))
    except StepFailed as error:
        outcome = ("failed", str(error))
    sys.stdout.write(json.dumps(outcome))
