"""The rules of `.gitignore` files, and globs: which paths of a workspace are meant.

Works on bytes, as git does, so that any name has an answer. A test compares it with `git
check-ignore`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE_NAME = ".gitignore"

_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb" \t\n\r\f\v",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
_NOTHING = rb"(?!)"
_STAR = b"[^/]*"
_SPECIAL = re.compile(rb"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold in one folder: its own, then those of the folders above it.

    `groups` are runs of patterns of one sign, the last first; `prefix` is the length of the
    folder's path with its slash.
    """

    groups: tuple[tuple[bool, re.Pattern[bytes]], ...] = ()
    prefix: int = 0
    above: Rules | None = None

    def below(self, folder: str, text: bytes) -> Rules:
        """Give the rules in *folder* (relative, empty for the top), whose `.gitignore` holds
        *text*.
        """
        groups = tuple(_groups(text))
        return Rules(groups, len(_bytes(folder)) + 1 if folder else 0, self) if groups else self

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Say whether *path*, in a folder that is not ignored itself, is ignored."""
        if not self.groups and self.above is None:
            return False
        raw = _bytes(path) + b"/" * folder
        rules: Rules | None = self
        while rules is not None:
            for negated, pattern in rules.groups:
                if pattern.fullmatch(raw, rules.prefix):
                    return not negated
            rules = rules.above
        return False


def matcher(globs: Iterable[str]) -> re.Pattern[bytes]:
    """Give what matches the paths that *globs* mean, and all that is below them.

    A glob begins at the top folder; `*` and `?` stay inside a name, `**` crosses folders.
    """
    parts = [translate(_bytes(glob).strip(b"/").removeprefix(b"./")) for glob in globs]
    return re.compile(b"(?:%s)(?:/.*)?" % (b"|".join(parts) or _NOTHING), re.DOTALL)


def matches(pattern: re.Pattern[bytes], path: str) -> bool:
    """Say whether *pattern*, made by `matcher`, matches *path*."""
    return pattern.fullmatch(_bytes(path)) is not None


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _groups(text: bytes) -> list[tuple[bool, re.Pattern[bytes]]]:
    groups: list[tuple[bool, list[bytes]]] = []
    for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        negated, regex = _pattern(line.removesuffix(b"\r"))
        if not regex:
            continue
        if not groups or groups[-1][0] != negated:
            groups.append((negated, []))
        groups[-1][1].append(regex)
    compiled = [(negated, re.compile(b"|".join(parts), re.DOTALL)) for negated, parts in groups]
    return compiled[::-1]


def _pattern(line: bytes) -> tuple[bool, bytes]:
    """Give the sign and the expression of one line; an empty one for a line that means nothing."""
    if line.startswith(b"#"):
        return False, b""
    line = _without_trailing_spaces(line)
    negated = line.startswith(b"!")
    line = line[negated:]
    only_folders = line.endswith(b"/")
    line = line.removesuffix(b"/")
    anchored = b"/" in line
    line = line.removeprefix(b"/")
    if not line:
        return False, b""
    start = b"" if anchored else b"(?:.*/)?"
    return negated, start + translate(line, anchored=anchored) + (b"/" if only_folders else b"/?")


def _without_trailing_spaces(line: bytes) -> bytes:
    kept = line.rstrip(b" ")
    slashes = len(kept) - len(kept.rstrip(b"\\"))
    return kept + b" " if slashes % 2 and len(kept) < len(line) else kept


def translate(pattern: bytes, *, anchored: bool = True) -> bytes:
    """Give the regular expression of one pattern, without the slash that it may begin or end with.

    One that is not *anchored* is compared with a name, and no star in it crosses folders.
    """
    out: list[bytes] = []
    position, literal = 0, len(_SPECIAL.split(pattern, maxsplit=1)[0]) if anchored else -1
    while position < len(pattern):
        char = pattern[position : position + 1]
        if char == b"*":
            end = position
            while pattern[end : end + 1] == b"*":
                end += 1
            regex, position = _stars(pattern, position, end, literal)
            out.append(regex)
        elif char == b"[":
            regex, position = _bracket(pattern, position)
            out.append(regex)
        elif char == b"\\":
            if position + 1 == len(pattern):
                return _NOTHING
            out.append(re.escape(pattern[position + 1 : position + 2]))
            position += 2
        else:
            out.append(b"[^/]" if char == b"?" else re.escape(char))
            position += 1
    return b"".join(_without_retries(out))


def _without_retries(parts: list[bytes]) -> list[bytes]:
    """Let what stands between two stars of one name match where it first can, for good.

    The star behind it takes whatever follows, so no other place does better; trying them all would
    take for ever (`*a*a*a*b`).
    """
    out: list[bytes] = []
    begun: int | None = None
    for part in parts:
        if part == _STAR:
            if begun is not None:
                out[begun:] = [b"(?>[^/]*?", *out[begun + 1 :], b")"]
            begun = len(out)
        elif part == b"/" or b".*" in part or b".+" in part:
            begun = None
        out.append(part)
    return out


def _stars(pattern: bytes, position: int, end: int, literal: int) -> tuple[bytes, int]:
    """Give the expression for the stars in `pattern[at:end]`, and where to go on.

    Two cross folders after a slash, and, since git compares it beforehand, after the *literal*
    beginning.
    """
    starts = position == literal or pattern[position - 1 : position] == b"/"
    if end - position > 1 and starts:
        if end == len(pattern):
            return (b".+" if pattern[position - 1 : position] == b"/" else b".*"), end
        if pattern[end : end + 1] == b"/":
            return b"(?:.*/)?", end + 1
        if pattern[end : end + 2] == b"\\/":
            return b".*", end
    return _STAR, end


def _bracket(pattern: bytes, position: int) -> tuple[bytes, int]:
    """Give the expression for the bracket that begins at *position*, as git's wildmatch reads it.

    One that does not end matches nothing. Each member counts by itself, also as the end of a range.
    """
    here = position + 1
    negated = pattern[here : here + 1] in (b"!", b"^")
    here += negated
    start, members, before = here, b"", b""
    while here == start or pattern[here : here + 1] != b"]":
        char = pattern[here : here + 1]
        if not char:
            return _NOTHING, len(pattern)
        if char == b"-" and before and pattern[here + 1 : here + 2] not in (b"]", b""):
            high, here = _member(pattern, here + 1)
            if high and before <= high:
                members += b"%s-%s" % (_escaped(before), _escaped(high))
            before = b""
        elif pattern[here : here + 2] == b"[:" and (named := _named(pattern, here + 2)) is not None:
            name, here = named
            if name not in _CLASSES:
                return _NOTHING, len(pattern)
            members, before = members + _CLASSES[name], b""
        else:
            before, here = _member(pattern, here)
            members += _escaped(before)
    if not members:
        return (b"[^/]" if negated else _NOTHING), here + 1
    return (b"(?!/)[^%s]" if negated else b"(?!/)[%s]") % members, here + 1


def _named(pattern: bytes, start: int) -> tuple[bytes, int] | None:
    """Give the name of the class of characters that begins at *start*, and where to go on; None if
    it is none.
    """
    end = pattern.find(b"]", start)
    if end <= start or pattern[end - 1 : end] != b":":
        return None
    return pattern[start : end - 1], end + 1


def _member(pattern: bytes, position: int) -> tuple[bytes, int]:
    """Give the character at *position*, or the one that a backslash there stands before, and where
    to go on.
    """
    position += pattern[position : position + 1] == b"\\"
    return pattern[position : position + 1], position + 1


def _escaped(char: bytes) -> bytes:
    return b"\\x%02x" % ord(char) if char else b""
