"""Holds the prose of the documentation at 100 columns: `--check` names the lines that are longer,
and the tables that hold prose; `--fix` wraps.

Left as they are: fenced and indented code, headings, quotations, comments, generated parts, and a
line that is one word (an address, the name of a test). A paragraph whose lines all fit is left
alone. A table is for short facts: a cell of more than 100 characters is prose, and belongs in a
list or a section.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
COLUMNS = 100
_FOLDERS = (".", "docs", "docs/howto", "docs/decisions", ".github", "tests/golden", "examples/*")
_GENERATED = "<!-- what follows is generated"
_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"(\s*)([*+-]|\d+\.) +")
_NO_PROSE = re.compile(r"\s*([#|>]|<!--|\[[^]]+\]: )|-{3,}$| {4}(?=\S)")
_CODE = re.compile(r"`[^`]+`")
_UNBROKEN_COLUMNS = 80
_BEGINS_BLOCK = re.compile(r"([*+>#|-]|\d+\.|```)(\s|$)")
_BLANK = "\0"


def pages() -> Iterator[Path]:
    """The pages that people read."""
    for folder in _FOLDERS:
        yield from sorted(ROOT.glob(f"{folder}/*.md"))


def blocks(text: str) -> Iterator[tuple[int, list[str], bool]]:
    """The lines in blocks, each with the number of its first line, and whether it is prose: a
    paragraph, or an item of a list.
    """
    block: list[str] = []
    begun = 0
    in_code = done = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        done = done or line.startswith(_GENERATED)
        item = _ITEM.match(line)
        prose = not (in_code or fence or done or not line.strip())
        prose = prose and (bool(block) or bool(item) or not _NO_PROSE.match(line))
        prose = prose and not re.match(r"\s*(#+ |\||<!--)", line)
        if block and (item or not prose):
            yield begun, block, True
            block = []
        if prose:
            begun = begun if block else number
            block.append(line)
        else:
            yield number, [line], False
        in_code = in_code != bool(fence)
    if block:
        yield begun, block, True


def is_long(line: str) -> bool:
    """Whether the line could be shorter, and is to be."""
    return len(line) > COLUMNS and " " in _ITEM.sub("", line).strip()


def wrapped(block: list[str]) -> list[str]:
    """The lines of a block of prose, wrapped."""
    item = _ITEM.match(block[0])
    first = item[0] if item else block[0][: len(block[0]) - len(block[0].lstrip())]
    rest = " " * len(first)
    text = " ".join([block[0].removeprefix(first), *(line.strip() for line in block[1:])])
    text = _CODE.sub(_unbroken, text)
    lines = textwrap.wrap(
        " ".join(text.split()),
        COLUMNS,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = [line.replace(_BLANK, " ") for line in lines]
    if any(_BEGINS_BLOCK.match(line.strip()) for line in lines[1:]):
        raise SystemExit(f"scripts/prose.py: wrap this by hand:\n{' '.join(block)}")
    return lines


def _unbroken(code: re.Match[str]) -> str:
    return code[0].replace(" ", _BLANK) if len(code[0]) <= _UNBROKEN_COLUMNS else code[0]


def fixed(text: str) -> str:
    """The page with its prose wrapped."""
    lines: list[str] = []
    for _, block, prose in blocks(text):
        lines += wrapped(block) if prose and any(map(is_long, block)) else block
    return "\n".join(lines) + "\n"


def problems(text: str) -> Iterator[tuple[int, str]]:
    """What is wrong with a page, each with the number of its line."""
    for first, block, prose in blocks(text):
        for number, line in enumerate(block, first):
            if prose and is_long(line):
                yield number, f"longer than {COLUMNS} columns"
            elif line.startswith("|") and max(map(len, line.split(" | "))) > COLUMNS:
                yield number, "prose in a table; make it a list, or a section"


def main() -> None:
    """Wrap, or say what is to be wrapped."""
    failed = False
    for page in pages():
        text = page.read_text("utf-8")
        if "--fix" in sys.argv:
            page.write_text(fixed(text), "utf-8")
            continue
        for number, problem in problems(text):
            failed = True
            print(f"{page.relative_to(ROOT)}:{number}: {problem}")
    if failed:
        raise SystemExit("`.venv/bin/python scripts/prose.py --fix` wraps; look at what it did")


if __name__ == "__main__":
    main()
