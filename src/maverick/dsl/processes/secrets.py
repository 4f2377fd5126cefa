"""Keeping secrets out of everything that is written or shown.

A secret is the value of an environment variable named under `secrets:` in maverick.yaml, and the
credentials that the shipped agents' programs and `gh` read from the environment. It is replaced by
`***` where it stands as it is, as base64 (also inside a longer text that was encoded, and broken
into lines), URL-escaped, escaped by a shell, or as the inside of a JSON or Python text. Of one of
several lines each line is a secret, too, and each text in one that is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.dsl.processes.secret_forms import Finder
    from maverick.values import Value

MASK: Final = "***"
SHORTEST: Final = 8
"""Characters: a shorter value would stand in harmless text by chance, and be found out by where it
was masked.
"""

CREDENTIALS: Final = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "OPENAI_API_KEY",
    "CODEX_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "OPENCODE_API_KEY",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "COPILOT_GITHUB_TOKEN",
)
"""The variables that the shipped agents' programs and `gh` read their credentials from: secrets
unasked.
"""


def secrets_of(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Every secret there is: those of *names*, and the credentials. Raises as `secrets_in`."""
    return {**credentials_in(environment), **secrets_in(names, environment)}


def secrets_in(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that are set: name -> value.

    Raises:
        UsageError: One is too short to be masked.
    """
    found = {name: environment[name] for name in names if environment.get(name)}
    short = [name for name, secret in found.items() if len(secret.strip()) < SHORTEST]
    if short:
        raise UsageError(
            f"the secret {', '.join(short)} has less than {SHORTEST} characters and cannot be "
            "kept out of records: use a longer one, or take it out of `secrets:` in maverick.yaml"
        )
    return found


def credentials_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of the shipped agents' programs and of `gh` that are set, and long enough to be masked:
    name -> value.
    """
    return {
        name: environment[name]
        for name in CREDENTIALS
        if len(environment.get(name, "").strip()) >= SHORTEST
    }


class Scrubber:
    """Replaces secrets. One without secrets gives back what it is given."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({part for secret in secrets for part in parts_of(secret)})

    def __bool__(self) -> bool:
        """Whether there is anything to replace."""
        return bool(self._secrets)

    @cached_property
    def _in_text(self) -> Finder:
        from maverick.dsl.processes.secret_forms import Finder  # noqa: PLC0415 - most projects have no secrets

        return Finder(self._secrets)

    @cached_property
    def _in_bytes(self) -> Finder:
        """Finds in bytes, each taken as a character."""
        from maverick.dsl.processes.secret_forms import Finder  # noqa: PLC0415

        return (
            self._in_text
            if all(map(str.isascii, self._secrets))
            else Finder(self._secrets, in_bytes=True)
        )

    def text(self, text: str) -> str:
        """*text* with every secret masked."""
        return self._in_text.mask(text) if self else text

    def data(self, data: bytes) -> bytes:
        """*data* with every secret masked."""
        return self._in_bytes.mask(data.decode("latin-1")).encode("latin-1") if self else data

    def holds(self, data: bytes) -> bool:
        """Whether a secret stands in *data*."""
        return bool(self) and bool(self._in_bytes.find(data.decode("latin-1")).spans)

    def value(self, value: Value) -> Value:
        """*value* with every secret masked, at any depth, in the keys of mappings, too."""
        if not self:
            return value
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.data(value)
            case list():
                return [self.value(entry) for entry in value]
            case dict():
                return {self.text(name): self.value(entry) for name, entry in value.items()}
            case _:
                return value

    def stream(
        self, write: Callable[[bytes], None]
    ) -> tuple[Callable[[bytes], None], Callable[[], None]]:
        """A writer that masks secrets which come in pieces, and what ends it.

        What it writes is what `data` gives for the whole. It holds back only what could still
        become a secret, until `end` is called.
        """
        if not self:
            return write, lambda: None
        finder, held = self._in_bytes, ""

        def add(piece: bytes) -> None:
            nonlocal held
            held += piece.decode("latin-1")
            found = finder.find(held, goes_on=True)
            if found.certain:
                write(found.masked(held[: found.certain]).encode("latin-1"))
                held = held[found.certain :]

        def end() -> None:
            nonlocal held
            if held:
                write(finder.mask(held).encode("latin-1"))
            held = ""

        return add, end


# --- what is secret in a secret -------------------------------------------------------------------

_MARK_OF_KEY: Final = re.compile(r"-----(BEGIN|END) ")
_LINE_BREAK: Final = re.compile(r"\r?\n|\r|(?:\\r)?\\n")
"""Also as it stands in a variable of one line that holds several, to be unescaped by who reads it.
"""


def parts_of(secret: str) -> Iterator[str]:
    """Give *secret*, its lines if there are several, the texts in it if it is JSON, and of each of
    them the same.
    """
    pending, seen = [secret.strip()], set[str]()
    while pending:
        part = pending.pop()
        if len(part) < SHORTEST or part in seen:
            continue
        seen.add(part)
        yield part
        pending += _texts_in(part)
        lines = _LINE_BREAK.split(part)
        if len(lines) > 1:
            pending += [line.strip() for line in lines if not _MARK_OF_KEY.match(line.strip())]


def _texts_in(part: str) -> list[str]:
    """The texts at any depth of what *part* says as JSON; none where it says none."""
    if part[0] not in '{["':
        return []
    try:
        pending = [json.loads(part)]
    except (ValueError, RecursionError):
        return []
    texts = []
    while pending:
        match pending.pop():
            case str() as text:
                texts.append(text.strip())
            case list() as items:
                pending += items
            case dict() as mapping:
                pending += mapping.values()
    return texts
