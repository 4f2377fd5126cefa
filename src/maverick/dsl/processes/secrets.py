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
    from maverick.dsl.processes.secret_forms import SecretFinder
    from maverick.values import Value

SHORTEST: Final = 8
"""Characters: a shorter value would stand in harmless text, and masking would give it away."""

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
"""The variables that shipped agents' programs and `gh` read credentials from: secrets unasked."""


def secrets_of(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Give every secret there is: those of *names* and the credentials. Raises as `secrets_in`."""
    return {**credentials_in(environment), **secrets_in(names, environment)}


def secrets_in(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Give the secrets that are set: name -> value.

    Raises:
        UsageError: One is too short to be masked.
    """
    secrets = {name: environment[name] for name in names if environment.get(name)}
    short = [name for name, secret in secrets.items() if len(secret.strip()) < SHORTEST]
    if short:
        raise UsageError(
            f"the secret {', '.join(short)} has less than {SHORTEST} characters and cannot be "
            "kept out of records: use a longer one, or take it out of `secrets:` in maverick.yaml"
        )
    return secrets


def credentials_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the credentials that are set and long enough to be masked: name -> value."""
    return {
        name: environment[name]
        for name in CREDENTIALS
        if len(environment.get(name, "").strip()) >= SHORTEST
    }


class Scrubber:
    """Replaces secrets. One without secrets gives back what it is given."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({part for secret in secrets for part in parts_of(secret)})

    @classmethod
    def of(cls, names: Iterable[str], environment: Mapping[str, str]) -> Scrubber:
        """Make one for `secrets_of(names, environment)`."""
        return cls(secrets_of(names, environment).values())

    def __bool__(self) -> bool:
        """Whether there is anything to replace."""
        return bool(self._secrets)

    @cached_property
    def _in_text(self) -> SecretFinder:
        from maverick.dsl.processes.secret_forms import SecretFinder  # noqa: PLC0415 - most projects have no secrets

        return SecretFinder(self._secrets)

    @cached_property
    def _in_bytes(self) -> SecretFinder:
        """Finds in bytes, each taken as a character."""
        from maverick.dsl.processes.secret_forms import SecretFinder  # noqa: PLC0415

        return (
            self._in_text
            if all(map(str.isascii, self._secrets))
            else SecretFinder(self._secrets, in_bytes=True)
        )

    def text(self, text: str) -> str:
        """Give *text* with every secret masked."""
        return self._in_text.mask(text) if self else text

    def data(self, data: bytes) -> bytes:
        """Give *data* with every secret masked."""
        return self._in_bytes.mask(data.decode("latin-1")).encode("latin-1") if self else data

    def holds(self, data: bytes) -> bool:
        """Whether a secret stands in *data*."""
        return bool(self) and bool(self._in_bytes.find(data.decode("latin-1")).spans)

    def value(self, value: Value) -> Value:
        """Give *value* with every secret masked, at any depth, in the keys of mappings, too."""
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
        """Give a writer that masks secrets which come in pieces, and what ends it.

        It writes what `data` gives for the whole. It holds back only what could still become a
        secret, until it is ended.
        """
        if not self:
            return write, lambda: None
        finder, held = self._in_bytes, ""

        def add(piece: bytes) -> None:
            nonlocal held
            held += piece.decode("latin-1")
            matches = finder.find(held, goes_on=True)
            if matches.certain:
                write(matches.masked(held[: matches.certain]).encode("latin-1"))
                held = held[matches.certain :]

        def end() -> None:
            nonlocal held
            if held:
                write(finder.mask(held).encode("latin-1"))
            held = ""

        return add, end


# --- what is secret in a secret -------------------------------------------------------------------

_MARK_OF_KEY: Final = re.compile(r"-----(BEGIN|END) ")
_LINE_BREAK: Final = re.compile(r"\r?\n|\r|(?:\\r)?\\n")
"""Also as it stands escaped in a variable of one line that holds several."""


def parts_of(secret: str) -> Iterator[str]:
    """Give *secret*, its lines, the texts in it if it is JSON, and of each of these the same."""
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
    """Give the texts at any depth of the JSON in *part*; none where it is no JSON."""
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
