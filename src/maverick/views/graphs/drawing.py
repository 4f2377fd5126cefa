"""A graph of steps as text, as Mermaid and as DOT. No name breaks out, whatever it holds."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from maverick.views.graphs.graph import every, folded
from maverick.views.signs import STEP_SIGNS
from maverick.visible import columns, fit, one_line, padded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from maverick.views.graphs.graph import Graph, Node

_COLOURS: Final = {  # fill, line, text: legible on white and on black.
    "done": ("#dafbe1", "#1a7f37", "#0b3d1a"),
    "failed": ("#ffebe9", "#cf222e", "#6e0b14"),
    "running": ("#ddf4ff", "#0969da", "#0a3069"),
    "waiting": ("#fff8c5", "#9a6700", "#4d2d00"),
    "skipped": ("#f6f8fa", "#8c959f", "#57606a"),
    "pending": ("#ffffff", "#8c959f", "#24292f"),
}
LONGEST_LABEL: Final = 60
"""Characters of one line in a drawing."""
_LEAST_WAY: Final = 6
MERMAID_NODES: Final = 240
"""What draws Mermaid refuses more than 500 edges, and more than 50,000 characters."""


def lines_of(node: Node) -> list[str]:
    """Give what a drawing says of *node*: its name, what it does, and when."""
    sign = f"{STEP_SIGNS.get(node.status, '')} " if node.status else ""
    mark = "● " if node.is_checkpoint else ""
    what = f"{node.type} {node.what}".rstrip()
    counts = ", ".join(f"{count} {status}" for status, count in node.counts.items())
    folded = f"{node.left_out} steps inside" if node.left_out else ""
    when = f"when {node.when}" if node.when else ""
    lines = [f"{sign}{mark}{node.name}", what, when, counts, folded]
    return [_shortened(one_line(line)) for line in lines if line]


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


# --- as text --------------------------------------------------------------------------------------


def as_text(graph: Graph, width: int | None = None) -> str:
    """Give *graph* as a tree for people, a line for each step, of at most *width* columns."""
    head = one_line(graph.workflow + (f"  {graph.run}  {graph.status}" if graph.run else ""))
    most = 10_000 if width is None else max(width // 2, 20)
    rows = list(_rows(graph.nodes, "", most))
    column = min(max((columns(left) for left, _ in rows), default=0), most * 4 // 3)
    lines = [head]
    for left, parts in rows:
        begin = padded(left, column) + "  "
        room = None if width is None else width - columns(begin)
        lines.append(f"{begin}{_joined(parts, room)}".rstrip())
    return "".join(f"{line if width is None else fit(line, width)}\n" for line in lines)


def _joined(parts: list[str], room: int | None) -> str:
    """Give *parts* on a line; in a narrow *room* each of the last two has half of what there is."""
    text = " · ".join(parts)
    if room is None or columns(text) <= room or len(parts) < 2:
        return text
    rest = room - columns(" · ".join(["", *parts[:-2]])) if len(parts) > 2 else room
    half = max((rest - 3) // 2, rest - 3 - columns(parts[-1]))
    return " · ".join([*parts[:-2], fit(parts[-2], max(half, 1)), parts[-1]])


def _rows(nodes: tuple[Node, ...], indent: str, most: int) -> Iterator[tuple[str, list[str]]]:
    """Yield what stands left and right of each step. Of more than *most* columns, the condition of
    an option is cut.
    """
    for number, node in enumerate(nodes, 1):
        is_last = number == len(nodes)
        sign = f"{STEP_SIGNS.get(node.status, ' ')} " if node.status else ""
        mark = "● " if node.is_checkpoint else ""
        counts = ", ".join(f"{count} {status}" for status, count in node.counts.items())
        what = "" if node.is_checkpoint and not node.what else f"{node.type} {node.what}".rstrip()
        parts = [counts, what, f"when {node.when}" if node.when else ""]
        left = f"{indent}{'└─' if is_last else '├─'} {sign}{mark}"
        name = one_line(node.name)
        if node.way:
            room = most - columns(left) - columns(name) - len("[] ")
            name = f"[{fit(one_line(node.way), max(room, _LEAST_WAY))}] {name}"
        yield left + name, [one_line(part) for part in parts if part]
        yield from _rows(node.inside, indent + ("   " if is_last else "│  "), most)


# --- as Mermaid and as DOT ------------------------------------------------------------------------


def as_mermaid(graph: Graph) -> str:
    """Give *graph* as a flowchart of Mermaid, folded where that would refuse it."""
    graph = folded(graph, MERMAID_NODES)
    lines, classes = ["flowchart TD"], dict[str, list[str]]()
    numbers = _numbered(graph)
    _mermaid_block(graph.nodes, "  ", numbers, lines, classes, beside=False)
    if graph.left_out:
        lines.append(f"  more[{_mermaid_text([f'{graph.left_out} steps are left out'])}]")
    for status, names in classes.items():
        fill, line, text = _COLOURS[status]
        lines.append(f"  classDef {status} fill:{fill},stroke:{line},color:{text}")
        lines.append(f"  class {','.join(names)} {status}")
    return "".join(f"{line}\n" for line in lines)


def _numbered(graph: Graph) -> dict[int, str]:
    """Names of our own: those of steps may hold anything."""
    return {id(node): f"s{number}" for number, node in enumerate(every(graph.nodes), 1)}


def _mermaid_block(
    nodes: tuple[Node, ...],
    indent: str,
    numbers: Mapping[int, str],
    lines: list[str],
    classes: dict[str, list[str]],
    *,
    beside: bool,
) -> None:
    for node in nodes:
        name, label = numbers[id(node)], _mermaid_text(lines_of(node))
        if node.inside:
            # Mermaid draws the second line of a title over what is inside.
            title = _mermaid_text([_shortened(" · ".join(lines_of(node)))])
            lines.append(f"{indent}subgraph {name}[{title}]")
            inner = f"{indent}  "
            if any(way.way for way in node.inside):
                lines.append(f"{inner}{name}w{{{_mermaid_text(['?'])}}}")
            _mermaid_block(node.inside, inner, numbers, lines, classes, beside=node.is_beside)
            lines.extend(
                f"{inner}{name}w -->|{_mermaid_text([_shortened(one_line(way.way))])}| "
                f"{numbers[id(way)]}"
                for way in node.inside
                if way.way
            )
            lines.append(f"{indent}end")
        elif node.is_checkpoint:
            lines.append(f"{indent}{name}([{label}])")
        else:
            lines.append(f"{indent}{name}[{label}]")
        if node.status:
            classes.setdefault(node.status, []).append(name)
    if not beside:
        lines.extend(
            f"{indent}{numbers[id(one)]} --> {numbers[id(next_one)]}"
            for one, next_one in pairwise(nodes)
        )


def _mermaid_text(lines: Iterable[str]) -> str:
    """Give *lines* as a quoted label. What Mermaid, Markdown or HTML would obey is a number."""
    return '"' + "<br/>".join(map(_mermaid_line, lines)) + '"'


def _mermaid_line(line: str) -> str:
    return _NOT_PLAIN.sub(_entity, _REPLACED.sub("\u200b", line))


_REPLACED: Final = re.compile(
    # What Mermaid looks for when numbers are characters again: the end of a line,
    r"(?<=\\)(?=n)"
    r"|(?<=\$)(?=\$)"  # a formula,
    r"|(?<=fa:)(?=fa-)|(?<=fa[bklrs]:)(?=fa-)"  # an icon,
    r"|(?<=ﬂ)(?=°)|(?<=¶)(?=ß)"  # and its own sign for a number.
)


_NOT_PLAIN: Final = re.compile(
    r"[^\w ,._]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # Emphasis is not inside of words.
    r"|(?<![^\W\d])\.|\.(?!\w)|(?<=(?i:www))\."  # Lists and links.
)


def _entity(match: re.Match[str]) -> str:
    return f"#{ord(match[0])};"


def as_dot(graph: Graph) -> str:
    """Give *graph* in the language of Graphviz."""
    numbers = _numbered(graph)
    lines = [
        f"digraph {_dot_text([one_line(graph.workflow)])} {{",
        '  graph [compound=true, rankdir=TB, fontname="sans-serif"]',
        '  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="sans-serif"]',
        '  edge [fontname="sans-serif"]',
    ]
    _dot_block(graph.nodes, "  ", numbers, lines, beside=False)
    return "".join(f"{line}\n" for line in [*lines, "}"])


def _dot_block(
    nodes: tuple[Node, ...],
    indent: str,
    numbers: Mapping[int, str],
    lines: list[str],
    *,
    beside: bool,
) -> None:
    for node in nodes:
        name, label = numbers[id(node)], _dot_text(lines_of(node))
        fill, line, text = _COLOURS.get(node.status, ("#ffffff", "#57606a", "#24292f"))
        look = f'color="{line}", fontcolor="{text}"'
        if node.inside:
            lines.append(f"{indent}subgraph cluster_{name} {{")
            lines.append(f'{indent}  label={label}; style="rounded"; {look.replace(", ", "; ")}')
            inner = f"{indent}  "
            if any(way.way for way in node.inside):
                lines.append(f'{inner}{name} [label="?", shape=diamond, {look}]')
            _dot_block(node.inside, inner, numbers, lines, beside=node.is_beside)
            for way in node.inside:
                if way.way:
                    condition = _dot_text([_shortened(one_line(way.way))])
                    lines.append(
                        f"{inner}{name} -> {_dot_end(way, numbers, first=True)} "
                        f"[label={condition}{_dot_heads(None, way, numbers)}]"
                    )
            lines.append(f"{indent}}}")
        else:
            shape = "shape=oval, " if node.is_checkpoint else ""
            lines.append(f'{indent}{name} [label={label}, {shape}fillcolor="{fill}", {look}]')
    if not beside:
        lines.extend(
            f"{indent}{_dot_end(one, numbers, first=False)} -> "
            f"{_dot_end(next_one, numbers, first=True)}"
            f"{_dot_heads(one, next_one, numbers, alone=True)}"
            for one, next_one in pairwise(nodes)
        )


def _dot_end(node: Node, numbers: Mapping[int, str], *, first: bool) -> str:
    """A step at which an edge can end: Graphviz draws none between clusters."""
    while node.inside:
        if first and any(way.way for way in node.inside):
            break
        node = node.inside[0 if first else -1]
    return numbers[id(node)]


def _dot_heads(
    tail: Node | None, head: Node, numbers: Mapping[int, str], *, alone: bool = False
) -> str:
    """The clusters at whose borders an edge ends."""
    ends = []
    if tail is not None and tail.inside:
        ends.append(f"ltail=cluster_{numbers[id(tail)]}")
    if head.inside:
        ends.append(f"lhead=cluster_{numbers[id(head)]}")
    if ends:
        ends.append("minlen=2")  # Room for the arrow between two borders.
    if alone:
        return f" [{', '.join(ends)}]" if ends else ""
    return "".join(f", {end}" for end in ends)


def _dot_text(lines: Iterable[str]) -> str:
    escaped = (
        line.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in lines
    )
    return '"' + "\\n".join(escaped) + '"'
