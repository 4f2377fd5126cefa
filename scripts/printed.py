"""Types the pages that are named, and writes what the terminal shows below each command of a block
`console terminal`. Blocks of other kinds are typed as well, and left as they are.

What it writes is for a person to read before it is committed: a test compares the same, and takes
the page at its word.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from kit.pages import HOME_SHOWN, Page  # noqa: E402


def rewritten(path: Path) -> str:
    """The page with what its commands print now."""
    page = Page(path)
    text, place = page.text, 0
    with tempfile.TemporaryDirectory(prefix="ada-") as home:
        for typed in page.type(Path(home)):
            if not typed.is_expected:
                sys.exit(f"{path}: another exit code than the page says\n{typed.said}")
            place = text.index(f"$ {typed.command.line}\n", place) + len(typed.command.line) + 3
            if typed.block.about.startswith("terminal"):
                printed = re.sub(re.escape(home) + r"\S*…", HOME_SHOWN + "/…", typed.printed)
                printed = printed.replace(home, HOME_SHOWN)
                text = text[:place] + printed + text[place + len(typed.command.shown) :]
                place += len(printed)
            else:
                place += len(typed.command.shown)
    return text


def main() -> None:
    """Write the pages anew."""
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        path.write_text(rewritten(path), "utf-8")


if __name__ == "__main__":
    main()
