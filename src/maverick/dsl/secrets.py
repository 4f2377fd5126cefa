"""Keeping secrets out of everything that is written or shown.

A secret is the value of an environment variable named under `secrets:` in maverick.yaml. It is replaced by `***`
where it stands as it is, as base64 (also inside a longer text that was encoded, and broken into lines), URL-escaped,
or as the inside of a JSON or Python text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.dsl.values import Value

MASK = "***"
SHORTEST = 8
"""Characters: a shorter value would stand in harmless text by chance, and be found out by where it was masked."""

_SLASHES = r"\\{1,4}"
"""Before an escape: one, or more where a text was escaped again."""
_LINE_END = rf"(?:\r?\n|(?:{_SLASHES}r)?{_SLASHES}n)?"
_ESCAPES = {'"': '"', "/": "/", "'": "'", "\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_ESCAPING = re.compile(rb"[\\%'\x80-\xff]")
"""What letters of more than one byte begin with; not the ends of lines in base64."""


def secrets_in(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that are set: name -> value.

    Raises:
        UsageError: One is too short to be masked.
    """
    found = {name: environment[name] for name in names if environment.get(name)}
    short = [name for name, secret in found.items() if len(secret.strip()) < SHORTEST]
    if short:
        raise UsageError(
            f"the secret {', '.join(short)} has less than {SHORTEST} characters and cannot be kept out of records: "
            "use a longer one, or take it out of `secrets:` in maverick.yaml"
        )
    return found


class Scrubber:
    """Replaces secrets. One without secrets gives back what it is given."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        every = {form for secret in secrets for form in _forms(secret.strip())}
        forms = sorted(every, key=lambda form: (-len(form), form))
        patterns = ["".join(map(_any_of, form)) for form in forms]
        self._text = re.compile("|".join(patterns)) if forms else None
        self._bytes = re.compile("|".join(patterns).encode("utf-8", "surrogateescape")) if forms else None
        self._forms = [(_compiled(form), sum(map(_most_bytes, form))) for form in forms]

    def __bool__(self) -> bool:
        """Whether there is anything to replace."""
        return self._text is not None

    def text(self, text: str) -> str:
        """*text* with every secret masked."""
        return self._text.sub(MASK, text) if self._text else text

    def data(self, data: bytes) -> bytes:
        """*data* with every secret masked."""
        return self._bytes.sub(MASK.encode(), data) if self._bytes else data

    def holds(self, data: bytes) -> bool:
        """Whether a secret stands in *data*."""
        return self._bytes is not None and self._bytes.search(data) is not None

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

        What it writes is what `data` gives for the whole. It holds back only what could still become a secret, until
        `end` is called.
        """
        if not self:
            return write, lambda: None
        held = b""

        def add(piece: bytes) -> None:
            nonlocal held
            held += piece
            if end := self._certain(held):
                write(self.data(held[:end]))
                held = held[end:]

        def end() -> None:
            nonlocal held
            if held:
                write(self.data(held))
            held = b""

        return add, end

    def _certain(self, data: bytes) -> int:
        """How many bytes of *data* no continuation can make part of a secret that is not whole."""
        at = 0
        end = self._first_open(data, 0)
        for found in self._bytes.finditer(data) if self._bytes else ():
            if found.start() >= end:
                break
            at = found.end()
            if at > end:
                end = self._first_open(data, at)
        return end

    def _first_open(self, data: bytes, start: int) -> int:
        """Where, from *start* on, the first secret begins that the end of *data* may have cut off."""
        first = len(data)
        for form, longest in self._forms:
            begun = (way.finditer(data, max(start, len(data) - longest)) for way in form[0])
            for place in sorted(found.start() for way in begun for found in way):
                if place >= first:
                    break
                if _is_cut_off(form, data, place):
                    first = place
        for found in _ESCAPING.finditer(data, max(start, len(data) - _LONGEST_PART)):
            if found.start() >= first:
                break
            if any(_is_cut_off(form, data, found.start()) for form, _ in self._forms):
                return found.start()  # The first letter itself may be cut off.
        return first


# --- the forms of a secret: patterns, one for each character -------------------------------------------------------

_LONGEST_PART = 40
"""Bytes of one character, escaped (four bytes, each after four backslashes)."""
_LONGEST_LINE_END = 10


Part: TypeAlias = tuple[str, ...]
"""Patterns for one character (or a run of backslashes), any of which matches it. A character itself stands alone."""
Form: TypeAlias = tuple[Part, ...]


def _forms(secret: str) -> set[Form]:
    data = secret.encode("utf-8", "surrogateescape")
    encoded = (_base64_inside(data, offset) for offset in range(3))
    return {tuple(_escaped(secret)), *(_broken(text) for text in encoded if len(text) >= SHORTEST)}


def _escaped(secret: str) -> Iterator[Part]:
    """What matches each letter, and each run of backslashes (which takes all of them, and gives none back)."""
    slashes = _SLASHES
    for part in re.findall(r"\\+|[^\\]", secret):
        if part[0] == "\\":
            count = len(part)
            yield rf"\\{{{count},{count * 8}}}+", rf"(?i:%5c|{_SLASHES}(?:u005c|x5c)){{{count}}}"
            slashes = r"\\{0,4}"  # The part before takes those of an escape, too.
            continue
        yield (part,) if part.isascii() and part.isalnum() else _character(part, slashes)
        slashes = _SLASHES


def _character(letter: str, slashes: str) -> Part:
    """What matches *letter*, however JSON, Python, URLs or a shell's quotes escape it."""
    data = letter.encode("utf-8", "surrogateescape")
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    unicode = "".join(f"{slashes}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    ways = ["(?i:" + "".join(f"%{byte:02x}" for byte in data) + ")", f"(?i:{unicode})"]
    ways += ["(?i:" + "".join(f"{slashes}x{byte:02x}" for byte in data) + ")"]
    if ord(letter) > 0xFFFF:
        ways.append(f"(?i:{slashes}U{ord(letter):08x})")
    if 0x80 <= ord(letter) < 0x100:
        ways.append(f"(?i:{slashes}x{ord(letter):02x})")
    if letter in _ESCAPES:
        ways.insert(0, slashes + _ESCAPES[letter])
    if letter == " ":
        ways.append(r"\+")
    if letter == "'":
        ways[:0] = [r"'\\''", "'\"'\"'"]
    return (*ways, re.escape(letter))


def _broken(text: str) -> Form:
    """What matches the base64 *text* in either alphabet, broken into lines anywhere."""
    letters = {"+": "[+-]", "/": "[/_]"}
    return tuple(((_LINE_END if number else "") + letters.get(letter, letter),) for number, letter in enumerate(text))


def _base64_inside(data: bytes, offset: int) -> str:
    """The characters that *data* alone decides, where it stands *offset* bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data).decode()
    first = (offset * 8 + 5) // 6
    whole_bits = (offset + len(data)) * 8
    return text[first : whole_bits // 6]


def _any_of(part: Part) -> str:
    return part[0] if len(part) == 1 else f"(?:{'|'.join(part)})"


def _most_bytes(part: Part) -> int:
    if len(part) > 1:
        return _LONGEST_PART
    return 1 if len(part[0]) == 1 else _LONGEST_LINE_END + 1


def _compiled(form: Form) -> list[list[re.Pattern[bytes]]]:
    return [[re.compile(way.encode("utf-8", "surrogateescape")) for way in part] for part in form]


def _is_cut_off(form: list[list[re.Pattern[bytes]]], data: bytes, start: int) -> bool:
    """Whether what begins at *start* may become *form* by what follows *data*."""
    places = {start}
    for part in form:
        if len(data) in places or any(_is_escape_cut_off(data, start, at) for at in places):
            return True
        places = {found.end() for at in places for way in part if (found := way.match(data, at))}
        if not places:
            return False
    # It is whole, but what its last letter is matched by may go on.
    return len(form[-1]) > 1 and any(at == len(data) or _is_escape_cut_off(data, start, at) for at in places)


def _is_escape_cut_off(data: bytes, start: int, at: int) -> bool:
    """Whether what stands at *at* may be an escape, or the end of a line, that *data* does not hold all of."""
    if len(data) - at >= _LONGEST_PART:
        return False
    return _ESCAPING.match(data, at) is not None or (at > start and data[at] in b"\r\n")
