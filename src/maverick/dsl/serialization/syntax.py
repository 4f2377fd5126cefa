"""What the YAML parser complains about, in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maverick.errors import Problem

if TYPE_CHECKING:
    import yaml

_UNCLOSED = "unclosed quote: the text that starts here never ends"
_MESSAGES = (
    ("end of stream", "quoted scalar", _UNCLOSED),
    ("document indicator", "quoted scalar", _UNCLOSED),
    ("did not find expected '-'", "", "a list item (`- `) is expected here; check the indentation"),
    ("expected <document start>", "", "a second document starts here; one file holds one document"),
    ("did not find expected node content", "", "a value is missing, or a `[` or `{` is not closed"),
    (
        "did not find expected key",
        "",
        "a key is expected here; check the indentation and the quotes",
    ),
    (
        "could not find expected ':'",
        "",
        "a key without `:`; every line of a mapping is `key: value`",
    ),
    (
        "unknown escape",
        "",
        "unknown escape in a text in double quotes; double the `\\`, or use single quotes",
    ),
)
"""What stands in the parser's problem and context, and what is said instead."""


def nested_too_deeply(error: yaml.YAMLError) -> yaml.Mark | None:
    """Give the place where the parser's own limit of nesting stopped it; None if something else
    did.

    PyYAML has one since 6.0.4 ("exceeded maximum nesting depth"), libyaml in another wording.
    """
    mark: yaml.Mark | None = getattr(error, "problem_mark", None)
    return mark if "nesting" in str(getattr(error, "problem", "")).lower() else None


def syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Turn the parser's *error* on *text* into a problem with the place where a person would
    look.
    """
    mark: Any = getattr(error, "problem_mark", None)
    context_mark: Any = getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    lines = text.split("\n")
    if mark is None:
        return Problem(file, 0, 0, f"not YAML: {problem}")
    line = lines[mark.line] if mark.line < len(lines) else ""
    message = _message(problem, context, line, mark.column)
    opened = context_mark is not None and mark.line >= context_mark.line and "unclosed" in message
    place: Any = context_mark if opened else mark
    return Problem(file, place.line + 1, place.column + 1, message)


def _message(problem: str, context: str, line: str, column: int) -> str:  # noqa: PLR0911 - a table in effect.
    if "\t" in line[: column + 1] and not line[: column + 1].strip():
        return "a tab cannot indent YAML; use spaces"
    for words, wanted_context, message in _MESSAGES:
        if words in problem and wanted_context in context:
            return message
    if "cannot start any token" in problem:
        return f"a text cannot start with `{line[column : column + 1]}` unless it is quoted"
    if "mapping values are not allowed" in problem:
        if "${{" in line[:column]:
            return "`: ` inside an expression: quote the whole text"
        return "a `:` does not fit here; check the indentation, or quote the text if it is one"
    if "flow sequence" in context or "flow mapping" in context:
        bracket = "[" if "flow sequence" in context else "{"
        if line[column:].startswith("{{") and line[:column].endswith("$"):
            return f"quote expressions inside `{bracket}`: '${{{{ … }}}}'"
        return f"unclosed `{bracket}`, or a missing `,` in what starts here"
    return f"not YAML: {problem}" + (f" {context}" if context else "")
