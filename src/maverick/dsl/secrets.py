"""Keeping secrets out of everything that is written or shown.

A secret is the value of an environment variable named under `secrets:` in maverick.yaml. It is replaced by `***`
where it stands as it is, as base64 (also inside a longer text that was encoded), URL-escaped or JSON-escaped.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.dsl.values import Value

MASK = "***"
SHORTEST = 8
"""Characters: a shorter value would stand in harmless text by chance, and be found out by where it was masked."""


def secrets_in(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that are set: name -> value.

    Raises:
        UsageError: One is too short to be masked.
    """
    found = {name: environment[name] for name in names if environment.get(name)}
    short = [name for name, secret in found.items() if len(secret) < SHORTEST]
    if short:
        raise UsageError(
            f"the secret {', '.join(short)} has less than {SHORTEST} characters and cannot be kept out of records: "
            "use a longer one, or take it out of `secrets:` in maverick.yaml"
        )
    return found


class Scrubber:
    """Replaces secrets. One without secrets gives back what it is given."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._longest = len(ordered[0]) if ordered else 0
        self._bytes = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None
        texts = [form.decode("utf-8", "surrogateescape") for form in ordered]
        self._text = re.compile("|".join(map(re.escape, texts))) if ordered else None

    def __bool__(self) -> bool:
        """Whether there is anything to replace."""
        return self._text is not None

    def text(self, text: str) -> str:
        """*text* with every secret masked."""
        return self._text.sub(MASK, text) if self._text else text

    def data(self, data: bytes) -> bytes:
        """*data* with every secret masked."""
        return self._bytes.sub(MASK.encode(), data) if self._bytes else data

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

    def stream(self, write: Callable[[bytes], None]) -> tuple[Callable[[bytes], None], Callable[[], None]]:
        """A writer that masks secrets which come in pieces, and what ends it.

        It holds back as many bytes as could still become a secret, until `end` is called.
        """
        if not self:
            return write, lambda: None
        held = b""

        def add(piece: bytes) -> None:
            nonlocal held
            held = self.data(held + piece)
            keep = self._longest - 1
            if len(held) > keep:
                write(held[: len(held) - keep])
                held = held[len(held) - keep :]

        def end() -> None:
            nonlocal held
            if held:
                write(held)
            held = b""

        return add, end


def _forms(secret: str) -> set[bytes]:
    data = secret.encode("utf-8", "surrogateescape")
    texts = {quote(data, safe=""), quote(data), quote_plus(data)}
    if secret.isprintable() or "\n" in secret:
        texts |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    encoded = {data, *(text.encode("utf-8", "surrogateescape") for text in texts)}
    for offset in range(3):
        inside = _base64_inside(data, offset)
        encoded |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form for form in encoded if len(form) >= SHORTEST}


def _base64_inside(data: bytes, offset: int) -> bytes:
    """The characters that *data* alone decides, where it stands *offset* bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data)
    first = (offset * 8 + 5) // 6
    whole_bits = (offset + len(data)) * 8
    return text[first : whole_bits // 6]
