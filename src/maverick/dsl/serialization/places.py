"""Where a part of a scalar's text stands in the file, through quotes, escapes, folding and
indentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.dsl.serialization.yaml_nodes import ScalarNode

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}
_BLANKS = frozenset(" \t\r\n")


class TextMap:
    """Maps offsets into a scalar's text to lines and columns of the file.

    Exact for whatever is not white space. Offsets are asked for in ascending order, so that one
    pass does.
    """

    def __init__(self, source: str, node: ScalarNode) -> None:
        self._raw = source[node.start : node.end]
        self._node = node
        self._in_text = 0
        self._in_raw = _content_start(self._raw, node.style)
        self._line = node.line
        self._counted = 0
        self._break = -1

    def place(self, offset: int) -> tuple[int, int]:
        """Give the line and column, from 1, of the character at *offset* (or of what follows the
        last).
        """
        self._advance(offset)
        self._line += self._raw.count("\n", self._counted, self._in_raw)
        self._break = max(self._break, self._raw.rfind("\n", self._counted, self._in_raw))
        self._counted = self._in_raw
        if self._break < 0:
            return self._line, self._node.column + self._in_raw
        return self._line, self._in_raw - self._break

    def _advance(self, offset: int) -> None:
        """Walk both texts until *offset*; white space may differ (folding, indentation), all else
        agrees.
        """
        raw, text, style = self._raw, self._node.text, self._node.style
        i, j = self._in_text, self._in_raw
        while j < len(raw):
            at_blank = raw[j] in _BLANKS
            joins = style == '"' and raw[j] == "\\" and raw[j + 1 : j + 2] in {"\n", "\r"}
            if (
                i >= offset
                and not joins
                and not (at_blank and i < len(text) and text[i] not in _BLANKS)
            ):
                break
            if style == '"' and raw[j] == "\\":
                j, consumed = _escape(raw, j)
                i += consumed
            elif i < len(text) and raw[j] == text[i]:
                j += 2 if style == "'" and raw[j] == "'" else 1
                i += 1
            elif at_blank:
                j += 1
                i += raw[j - 1] == "\n" and i < len(text) and text[i] == " "
            else:
                i += 1
                if i >= len(text):
                    break
        self._in_text, self._in_raw = i, j


def _content_start(raw: str, style: str) -> int:
    """Skip tag and anchor, then the opening quote or the header line of a block."""
    start = 0
    while raw[start : start + 1] in {"!", "&"}:
        while start < len(raw) and raw[start] not in _BLANKS:
            start += 1
        while start < len(raw) and raw[start] in _BLANKS:
            start += 1
    if style in {"|", ">"}:
        return raw.find("\n", start) + 1 or len(raw)
    return start + len(style)


def _escape(raw: str, start: int) -> tuple[int, int]:
    """Give the offset after the escape at *start* and how many characters of text it makes."""
    letter = raw[start + 1 : start + 2]
    if letter not in {"\n", "\r"}:
        return start + _ESCAPE_LENGTHS.get(letter, 2), 1
    start += 1
    while start < len(raw) and raw[start] in _BLANKS:
        start += 1
    return start, 0
