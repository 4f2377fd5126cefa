"""Texts as the system and programs take and give them: UTF-8, whatever the locale.

Python decodes file names, arguments and the environment by the locale. A workflow's texts are
UTF-8, and so is what its commands are given. Bytes that are no UTF-8 go there and back unchanged.
"""

from __future__ import annotations

import os

from maverick.errors import StepFailed


def encode(text: str, what: str) -> bytes:
    """Give the bytes of *text*; *what* names it in the StepFailed where it has none."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X}"
        raise StepFailed(
            f"{what} holds {half}, which is half of a character: take it out"
        ) from None


def inherited() -> dict[str, str]:
    """Give the environment of this process, read as UTF-8."""
    return {_decode(name): _decode(value) for name, value in os.environb.items()}


def file_name(text: str) -> str:
    """Give the name by which Python finds the file that *text* names in UTF-8."""
    return os.fsdecode(encode(text, "a file's name"))


def name_text(path: str | os.PathLike[str]) -> str:
    """Give the text that names the file at *path*, for a command's argument or variable."""
    return _decode(os.fsencode(path))


def lines_of(text: str) -> list[str]:
    r"""Give the lines of *text*: what `\n` or `\r\n` ends, and what follows the last of them.

    `str.splitlines` breaks at nine other characters, which file names and progress bars hold.
    """
    *ended, last = text.split("\n")
    lines = [line.removesuffix("\r") for line in ended]
    return [*lines, last] if last else lines


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
