"""Draws the map of the code that CONTRIBUTING.md shows: the layers, and what each package holds.

The layers are the import contracts of `pyproject.toml`, the words the packages' docstrings. Prints
both; `--write` puts them into CONTRIBUTING.md, `--check` only says whether they are there.
"""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
SOURCE = ROOT / "src"
PACKAGE = "maverick"


def contracts() -> dict[str, list[list[str]]]:
    """Layers by package: the highest first, each with the modules that stand side by side in it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layered = (contract for contract in settings["contracts"] if contract["type"] == "layers")
    return {contract["name"]: list(map(_names, contract["layers"])) for contract in layered}


def _names(layer: str) -> list[str]:
    """The modules of a layer, below their package."""
    return [name.strip().removeprefix(f"{PACKAGE}.") for name in layer.split("|")]


def picture() -> str:
    """The layers of the whole from top to bottom, and beside a package its own."""
    inner = contracts()
    rows: list[tuple[str, list[str]]] = []
    for layer in inner.pop(PACKAGE):
        own = next((inner.pop(name) for name in layer if name in inner), [])
        lines = [_shown(modules, f"{layer[0]}.") for modules in own]
        rows.append((" | ".join(layer), lines))
    if inner:
        raise SystemExit(f"scripts/map.py: no layer of {PACKAGE} is named {', '.join(inner)}")
    left = max(len(name) for name, _ in rows)
    right = max(len(line) for _, lines in rows for line in lines)
    border = f"{'':─<{left + 2}}", f"{'':─<{right + 2}}"
    boxes = [
        [
            f"│ {'' if n else name:{left}} │ {line:{right}} │\n"
            for n, line in enumerate(lines or [""])
        ]
        for name, lines in rows
    ]
    between = f"├{'┼'.join(border)}┤\n".join("".join(box) for box in boxes)
    return f"┌{'┬'.join(border)}┐\n{between}└{'┴'.join(border)}┘\n"


def _shown(modules: list[str], prefix: str) -> str:
    return " | ".join(module.removeprefix(prefix) for module in modules)


def table() -> str:
    """Each package, and each module beside them, with the first sentence of its docstring."""
    top = SOURCE / PACKAGE
    places = [path.parent for path in top.rglob("*/__init__.py")]
    places += [path for path in top.glob("*.py") if not path.name.startswith("__")]
    rows = [
        f"| `{path.relative_to(top)}{'/' if path.is_dir() else ''}` | {sentence(path)} |\n"
        for path in sorted(places, key=lambda path: path.with_suffix("").parts)
    ]
    return "| | holds |\n| --- | --- |\n" + "".join(rows)


def sentence(path: Path) -> str:
    """The first sentence of the docstring of a module or package."""
    file = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    first = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=\.) ", first)[0]


def page() -> str:
    """CONTRIBUTING.md as it should be."""
    text = PAGE.read_text("utf-8")
    blocks = {"layers": f"```text\n{picture()}```\n", "packages": table()}
    for name, block in blocks.items():
        begin, end = f"<!-- {name}: made by scripts/map.py -->\n", f"<!-- end of {name} -->\n"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise SystemExit(f"{PAGE.name} has no place for the {name}:\n{begin}{end}")
        text = f"{before}{begin}\n{block}\n{end}{after}"
    return text


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), "utf-8")
    elif "--check" in sys.argv:
        if page() != PAGE.read_text("utf-8"):
            raise SystemExit(f"{PAGE.name} is out of date: run `python {sys.argv[0]} --write`")
    else:
        print(picture())
        print(table())
