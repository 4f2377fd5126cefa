"""What of values, texts and logs has room in a page; what is left out is said in its place.

What comes out is JSON that a browser reads without loss, and text that hides nothing.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from maverick.visible import last_states, one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VALUE_BYTES: Final = 64 * 1024
STREAM_BYTES: Final = 64 * 1024
PROMPT_BYTES: Final = 32 * 1024
ERROR_BYTES: Final = 16 * 1024
DIFF_BYTES: Final = 64 * 1024
SHORT_BYTES: Final = 4 * 1024
PAGE_BYTES: Final = 16 * 1024 * 1024
"""What the details of all steps of a page may take; beyond it there is a note in their place."""
LEFT_OUT: Final = "$left_out"
_DEEPEST: Final = 60
_EXACT: Final = 1 << 53
"""Greater integers are rounded by browsers."""
_LONGEST_INT_BITS: Final = 14_000
_COLOURS: Final = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]")
"""What programs colour and move with. A page has no use for it, and shows it as nothing."""


class Budget:
    """What is left of the room that the details of a page have."""

    def __init__(self, left_bytes: int = PAGE_BYTES) -> None:
        self.left_bytes = left_bytes

    def take(self, taken_bytes: int) -> bool:
        """Take room for so many bytes, if there is so much."""
        if taken_bytes > self.left_bytes:
            return False
        self.left_bytes -= taken_bytes
        return True


@dataclass(slots=True)
class _Room:
    left: int


def bounded(value: object, most_bytes: int = VALUE_BYTES) -> Any:
    """Give *value* for the page, of about *most_bytes* of JSON at most."""
    return _bounded(value, _Room(most_bytes), 0)


def _bounded(value: object, room: _Room, depth: int) -> Any:
    if isinstance(value, str):
        return _bounded_text(value, room)
    if isinstance(value, dict | list | tuple):
        if depth >= _DEEPEST:
            return {LEFT_OUT: f"{len(value):,} more, {depth} levels deep"}
        if isinstance(value, dict):
            return _bounded_entries(value, room, depth)
        return _bounded_items(value, room, depth)
    room.left -= 8
    return _scalar(value)


def _scalar(value: object) -> Any:
    match value:
        case None | bool():
            return value
        case int() if value.bit_length() > _LONGEST_INT_BITS:
            return {LEFT_OUT: f"an integer of {value.bit_length():,} bits"}
        case int():
            return value if abs(value) <= _EXACT else {"$int": str(value)}
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return {"$bytes": f"{len(value):,} bytes"}
        case _:
            return visible(str(value))


def _bounded_items(value: Sequence[object], room: _Room, depth: int) -> list[Any]:
    items: list[Any] = []
    for item in value:
        if room.left <= 0:
            items.append({LEFT_OUT: f"{len(value) - len(items):,} more"})
            break
        room.left -= 2
        items.append(_bounded(item, room, depth + 1))
    return items


def _bounded_entries(value: Mapping[object, object], room: _Room, depth: int) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for name, item in value.items():
        if room.left <= 0:
            entries["…"] = {LEFT_OUT: f"{len(value) - len(entries):,} more"}
            break
        shown = one_line(str(name))
        key = shown if len(shown) <= 200 else f"{shown[:199]}…"
        room.left -= len(key) + 4
        entries[key] = _bounded(item, room, depth + 1)
    return entries


def _bounded_text(value: str, room: _Room) -> str:
    most = max(room.left, 80)
    text = visible(value[:most])
    room.left -= len(text) + 2
    return text if len(value) <= most else f"{text}\n… {len(value) - most:,} more characters"


def head_of(text: str, most: int) -> str:
    """Give *text*, made visible, of at most *most* characters, and how many more there are."""
    if len(text) <= most:
        return visible(last_states(text))
    return f"{visible(last_states(text[:most]))}\n… {len(text) - most:,} more characters"


def log_pieces(
    pieces: Iterable[tuple[str, bytes]], most_bytes: int = STREAM_BYTES
) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Give the ends of streams as texts, in the order of *pieces*, and how many bytes of each are
    left out before them.

    Neighbours of one stream are joined.
    """
    kept: list[tuple[str, list[bytes]]] = []
    room: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for stream, data in reversed(list(pieces)):
        left = room.setdefault(stream, most_bytes)
        end = data[max(len(data) - left, 0) :] if left else b""
        room[stream] = left - len(end)
        if len(end) < len(data):
            left_out[stream] = left_out.get(stream, 0) + len(data) - len(end)
        if not end:
            continue
        if kept and kept[-1][0] == stream:
            kept[-1][1].append(end)
        else:
            kept.append((stream, [end]))
    texts = [(stream, plain_text(b"".join(reversed(parts)))) for stream, parts in reversed(kept)]
    return texts, left_out


def plain_text(data: bytes) -> str:
    """Give what a program wrote as text, without colours, as its lines stand in the end."""
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return visible(last_states(_COLOURS.sub("", text)))


def size_of(fields: object) -> int:
    """Give how many bytes *fields* take in a page, about."""
    return len(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))
