"""Reads the text of a file, with a problem that names what is wrong where it cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.dsl.serialization.yaml_nodes import MAX_TEXT_CHARACTERS
from maverick.errors import Problem, WorkflowInvalid
from maverick.owners import ownership

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path) -> str:
    """Give the text of the UTF-8 file at *path*. Raises WorkflowInvalid where there is none."""
    file = str(path)
    try:
        if path.is_dir():
            raise WorkflowInvalid([Problem(file, 0, 0, "is a folder, not a file")])
        with path.open("rb") as stream:
            data = stream.read(4 * MAX_TEXT_CHARACTERS + 1)
    except FileNotFoundError as error:
        raise WorkflowInvalid([Problem(file, 0, 0, "there is no such file")]) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        closed = f"; {ownership(path)}" if isinstance(error, PermissionError) else ""
        raise WorkflowInvalid([Problem(file, 0, 0, f"cannot be read: {why}{closed}")]) from error
    return decode_text(data, file)


def decode_text(data: bytes, file: str) -> str:
    """Decode UTF-8. Raises WorkflowInvalid with the place of the first byte that is not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8"
        problem = Problem(file, before.count(b"\n") + 1, column, message)
        raise WorkflowInvalid([problem]) from error
