"""Finds secrets in text, in every form in which they may come out, also while text goes on coming.

A secret has four forms: its characters, each of which may be escaped, and its base64 at three
offsets. Where one may begin is found by the first few characters of all of them at once; whether it
does, by matching that form. So a text is looked through once, however many secrets there are.

Bytes are looked through as text of which each character is one byte; the letters of a secret are
then those bytes.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple, Protocol, TypeAlias

MASK: Final = "***"
SHORTEST_BASE64: Final = 8
_SLASHES: Final = r"\\{1,4}"
"""Before an escape: one, or more where a text was escaped again."""
_ESCAPES: Final = {
    '"': '"',
    "/": "/",
    "'": "'",
    "\n": "n",
    "\r": "r",
    "\t": "t",
    "\b": "b",
    "\f": "f",
}
_ESCAPES_OF_SHELLS: Final = {"\a": "a", "\v": "v", "\x1b": "[eE]"}
_ESCAPING: Final = re.compile("[\\\\%'\r\n\x80-\xff]")
"""What begins whatever stands for a character and is longer than one."""
_LONGEST_PART: Final = 40
"""Of one character, escaped (four bytes, each after four backslashes)."""
_ANCHOR: Final = 4
"""How many characters of a form have to be there before it is matched."""
_BASE64_BREAK: Final = re.compile(r"[\r\n\\]")
_LINE_END: Final = re.compile(rf"\r?\n|(?:{_SLASHES}r)?{_SLASHES}n")
_BREAK: Final = r"(?:[\r\n\\][\r\nrn\\]{0,9})?"
"""What stands for the end of a line between two letters, and some more."""
_STANDARD: Final = str.maketrans("-_", "+/")

Ways: TypeAlias = tuple[re.Pattern[str], ...]
"""What a character may be written as: any of these matches it."""


class Match(NamedTuple):
    """Where a form ends that begins at a place (-1: nowhere); whether more text may change it."""

    end: int
    is_open: bool


_NOWHERE: Final = Match(-1, is_open=False)


class Matches(NamedTuple):
    """What is to be masked. What more text cannot change ends at `certain`."""

    spans: tuple[tuple[int, int], ...]
    certain: int

    def masked(self, text: str) -> str:
        """Give *text*, which may end at `certain`, masked."""
        pieces, copied = [], 0
        for start, end in self.spans:
            if end > len(text):
                break
            pieces += [text[copied:start], MASK]
            copied = end
        return "".join([*pieces, text[copied:]])


class Form(Protocol):
    """One way to write a secret."""

    def match(self, text: str, start: int) -> Match:
        """Say whether *text* has the form at *start*."""


class SecretFinder:
    """Finds *secrets*. With *in_bytes* each character of a text stands for a byte."""

    def __init__(self, secrets: Iterable[str], *, in_bytes: bool = False) -> None:
        self._by_first: dict[str, list[Form]] = {}
        self._escaped: list[Form] = []
        """Those whose first character may be written in several ways."""
        anchors: dict[str, set[str]] = {}
        escaped_anchors: list[str] = []
        escaped_firsts: set[str] = set()
        for secret in secrets:
            parts = list(_parts(secret, in_bytes=in_bytes))
            first, rest = parts[0], "".join(part.pattern for part in parts[1:_ANCHOR])
            if first.ways:
                escaped_anchors.append(first.pattern + rest)
                escaped_firsts |= {first.own[0], "\\", "%"}
                self._escaped.append(_Characters(parts))
            else:
                anchors.setdefault(first.own, set()).add(rest)
                self._by_first.setdefault(first.own, []).append(_Characters(parts))
            for letters in _base64_of(secret):
                for beginning in _spellings(letters[:_ANCHOR]):
                    anchors.setdefault(beginning[0], set()).add(
                        _BREAK + _BREAK.join(map(re.escape, beginning[1:]))
                    )
                for letter in _spellings(letters[0]):
                    self._by_first.setdefault(letter, []).append(_Base64(letters))
        # Alternatives that begin with letters: the search skips whatever begins with none of them.
        groups = (
            f"{re.escape(first)}(?:{'|'.join(sorted(rests))})"
            for first, rests in sorted(anchors.items())
        )
        self._anchors = re.compile("|".join(groups) or r"(?!)")
        self._escaped_firsts = re.compile(
            f"[{re.escape(''.join(sorted(escaped_firsts)))}]" if escaped_firsts else "(?!)"
        )
        self._escaped_anchors = re.compile("|".join(escaped_anchors))

    def mask(self, text: str) -> str:
        """Give *text* with every secret masked."""
        matches = self.find(text)
        return matches.masked(text) if matches.spans else text

    def find(self, text: str, *, goes_on: bool = False) -> Matches:
        """Find every secret in *text*; where it *goes_on*, the last one may be cut off."""
        spans: list[tuple[int, int]] = []
        ends: dict[Form, int] = {}
        first_open = len(text)
        for start in self._candidates(text, goes_on=goes_on):
            if start >= first_open:
                break
            end = -1
            for form in self._forms_at(text, start):
                if start < ends.get(form, 0):  # Nothing is looked for inside of itself.
                    continue
                match = form.match(text, start)
                if match.end >= 0:
                    ends[form] = match.end
                    end = max(end, match.end)
                if match.is_open and goes_on:
                    first_open = start
            if end >= 0:
                if spans and start < spans[-1][1]:
                    spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
                else:
                    spans.append((start, end))
        certain = first_open
        if spans and spans[-1][1] > first_open:
            certain = spans[-1][0]
        return Matches(tuple(spans), certain)

    def _forms_at(self, text: str, start: int) -> Iterator[Form]:
        letter = text[start]
        yield from self._by_first.get(letter, ())
        if not (letter.isascii() and letter.isalnum()):
            yield from self._escaped

    def _candidates(self, text: str, *, goes_on: bool) -> list[int]:
        """Where a form may begin, in order: where its first characters stand, or may be cut off."""
        places = set()
        anchor = self._anchors.search(text)
        while anchor is not None:  # Also inside of other matches.
            places.add(anchor.start())
            anchor = self._anchors.search(text, anchor.start() + 1)
        for first in self._escaped_firsts.finditer(text):
            if self._escaped_anchors.match(text, first.start()):
                places.add(first.start())
        if goes_on:
            before = _ANCHOR - 1
            places.update(range(max(len(text) - before, 0), len(text)))
            for escape in _ESCAPING.finditer(text, max(len(text) - _ANCHOR * _LONGEST_PART, 0)):
                places.update(range(max(escape.start() - before, 0), escape.start() + 1))
        return sorted(places)


# --- the characters of a secret, each of which may be escaped -------------------------------------


class _Part(NamedTuple):
    """One character of a secret, or a run of backslashes."""

    own: str
    """As it is."""
    ways: tuple[str, ...] = ()
    """What it may be written as, itself included; none where nothing escapes it."""
    is_ambiguous: bool = False
    """Whether what begins as it is may be a longer way to write it."""

    @property
    def pattern(self) -> str:
        return f"(?:{'|'.join(self.ways)})" if self.ways else re.escape(self.own)


class _Characters:
    def __init__(self, parts: list[_Part]) -> None:
        self._ways: list[Ways] = [tuple(map(re.compile, part.ways)) for part in parts]
        self._own = "".join(part.own for part in parts)
        self._offsets = [0, *accumulate(len(part.own) for part in parts)]
        self._may_grow = parts[-1].is_ambiguous
        self._clear_until = [0] * len(parts)
        """For each part the first ambiguous one from it on: up to there, text has one reading."""
        stop = len(parts)
        for number in reversed(range(len(parts))):
            stop = number if parts[number].is_ambiguous else stop
            self._clear_until[number] = stop

    def match(self, text: str, start: int) -> Match:
        number, places, is_open = 0, {start}, False
        while number < len(self._ways):
            if len(places) == 1:
                (place,) = places
                number, place = self._skip(text, number, place)
                places = {place}
                if number == len(self._ways):
                    break
            ends: set[int] = set()
            for place in places:
                if ways := self._ways[number]:
                    ends.update(
                        matched.end() for way in ways if (matched := way.match(text, place))
                    )
                    is_open = is_open or _may_go_on(text, place)
                else:
                    own = self._own[self._offsets[number] : self._offsets[number + 1]]
                    ends.update([place + len(own)] if text.startswith(own, place) else [])
                    is_open = is_open or place == len(text)
            places, number = ends, number + 1
            if not places:
                return Match(-1, is_open)
        if self._may_grow:
            is_open = is_open or any(_may_go_on(text, place) for place in places)
        return Match(max(places), is_open)

    def _skip(self, text: str, number: int, place: int) -> tuple[int, int]:
        """Pass the parts from *number* on that *text* has as they are, from *place* on.

        Give which part comes then, and where. That takes few comparisons, whatever their number.
        """
        first = self._offsets[number]
        run = self._own[first : self._offsets[self._clear_until[number]]]
        if text.startswith(run, place):
            return self._clear_until[number], place + len(run)
        agreed, beyond = 0, len(run)
        while beyond - agreed > 1:
            middle = (agreed + beyond) // 2
            if text.startswith(run[agreed:middle], place + agreed):
                agreed = middle
            else:
                beyond = middle
        number = bisect_right(self._offsets, first + agreed) - 1
        return number, place + self._offsets[number] - first


def _may_go_on(text: str, place: int) -> bool:
    """Whether *text* may not hold all of what stands at *place*."""
    return place == len(text) or (
        len(text) - place < _LONGEST_PART and _ESCAPING.match(text, place) is not None
    )


def _parts(secret: str, *, in_bytes: bool) -> Iterator[_Part]:
    """Give the parts of *secret*. One of backslashes takes all that stand there for good."""
    slashes = _SLASHES
    for part in re.findall(r"\\+|[^\\]", secret):
        if part[0] == "\\":
            count = len(part)
            ways = (rf"\\{{{count},{count * 8}}}+", rf"(?i:%5c|{_SLASHES}(?:u005c|x5c)){{{count}}}")
            yield _Part(part, ways, is_ambiguous=True)
            slashes = r"\\{0,4}"  # The part before takes those of an escape, too.
            continue
        if part.isascii() and part.isalnum():
            yield _Part(part)
        else:
            own = part.encode("utf-8", "surrogateescape").decode("latin-1") if in_bytes else part
            yield _Part(
                own, (re.escape(own), *_escaped(part, slashes)), is_ambiguous=part in "%'\n"
            )
        slashes = _SLASHES


def _escaped(letter: str, slashes: str) -> Iterator[str]:
    """What matches *letter* as JSON, Python, URLs or a shell escape it."""
    data = letter.encode("utf-8", "surrogateescape")
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    yield "(?i:" + "".join(f"%{byte:02x}" for byte in data) + ")"
    codes = [units[start : start + 4] for start in range(0, len(units), 4)]
    yield "(?i:" + "".join(f"{slashes}u{code}" for code in codes) + ")"
    yield "(?i:" + "".join(f"{slashes}x{byte:02x}" for byte in data) + ")"
    yield "".join(f"{slashes}{byte:03o}" for byte in data)
    if ord(letter) > 0xFFFF:
        yield f"(?i:{slashes}U{ord(letter):08x})"
    if 0x80 <= ord(letter) < 0x100:
        yield f"(?i:{slashes}x{ord(letter):02x})"
    if short := _ESCAPES.get(letter) or _ESCAPES_OF_SHELLS.get(letter):
        yield slashes + short
    if letter == "\n":
        yield r"\r\n[ \t]{0,16}"
        yield r"\n[ \t]{1,16}"
        yield rf"{slashes}r{_SLASHES}n"
    elif letter != "\r" and letter.isascii():
        yield slashes + re.escape(letter)
    if letter == " ":
        yield r"\+"
    if letter == "'":
        yield r"'\\''"
        yield "'\"'\"'"


# --- its base64, in either alphabet, broken into lines anywhere -----------------------------------


class _Base64:
    def __init__(self, letters: str) -> None:
        self._letters = letters

    def match(self, text: str, start: int) -> Match:
        place, done, size = start, 0, len(self._letters)
        while True:
            end = place + size - done
            stop = _BASE64_BREAK.search(text, place, end)
            piece = text[place : stop.start() if stop else end].translate(_STANDARD)
            if not self._letters.startswith(piece, done) or (not piece and place < len(text)):
                return _NOWHERE
            done, place = done + len(piece), place + len(piece)
            if done == size:
                return Match(place, is_open=False)
            if place == len(text):
                return Match(-1, is_open=True)
            line_end = _LINE_END.match(text, place)
            if line_end is None:
                return Match(-1, is_open=_may_go_on(text, place))
            place = line_end.end()


def _base64_of(secret: str) -> Iterator[str]:
    data = secret.encode("utf-8", "surrogateescape")
    for offset in range(3):
        letters = _base64_inside(data, offset)
        if len(letters) >= SHORTEST_BASE64:
            yield letters


def _base64_inside(data: bytes, offset: int) -> str:
    """Give the characters that *data* alone decides, *offset* bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data).decode()
    first = (offset * 8 + 5) // 6
    whole_bits = (offset + len(data)) * 8
    return text[first : whole_bits // 6]


def _spellings(letters: str) -> Iterator[str]:
    """Give *letters* in each alphabet of base64, also mixed."""
    spelled = [""]
    for letter in letters:
        others = {"+": "+-", "/": "/_"}.get(letter, letter)
        spelled = [beginning + other for beginning in spelled for other in others]
    return iter(spelled)
