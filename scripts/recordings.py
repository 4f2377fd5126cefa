"""Records sessions of a real terminal as pictures for the documentation (`docs/images/*.svg`), and
the page of a run (`docs/images/report.png`), which takes Chromium.

Each recording is a story: files, and commands that are typed in a shell on a terminal. What the
terminal shows becomes an SVG that moves by itself, without a script. Times and the ends of names
differ from one recording to the next, so they are made anew only on purpose: `make recordings`.
Arguments name those to make.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from kit.pages import Page, surroundings  # noqa: E402
from kit.screens import PLAIN, Cell, Row, Session, Shot, Style  # noqa: E402

REPORT = "report"
KEY_SECONDS = 0.04
READING_SECONDS = 2.5
"""How long what a command came to is shown."""
SHORTEST_SECONDS = 0.1
"""Shots that follow each other faster are shown as one."""
WIDE, HIGH = 8.4, 18
"""The size of a character's cell."""
_COLORS = {
    "black": "#3b4252",
    "red": "#e06c75",
    "green": "#98c379",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d7dae0",
}
_PAPER, _INK = "#1e2127", "#d7dae0"

FILMS = """\
version: "1.0"
name: films
steps:
  - name: film
    for_each: [harvest, harbour, winter, market, river, night]
    max_concurrency: 3
    steps:
      - name: encode
        env: {FILM: "${{ item }}"}
        run: for part in 1 2 3 4; do echo "$FILM, part $part of 4"; sleep 0.6; done
  - name: publish
    run: echo "${{ len(steps.film.output) }} films"
outputs: ${{ steps.publish.output.value }}
"""


@dataclass(frozen=True, slots=True)
class Story:
    """What is typed, in a folder with these files."""

    files: dict[str, str]
    commands: tuple[str, ...]
    columns: int = 80
    rows: int = 24


def stories() -> dict[str, Story]:
    """Each recording by its name."""
    readme = Page(ROOT / "README.md")
    report = next(block.text for block in readme.blocks if block.language == "yaml")
    return {
        "first-run": Story(
            {"maverick.yaml": "", "report.yaml": report},
            (
                "maverick run report.yaml",
                "touch network.up",
                "maverick resume",
                "maverick why",
            ),
            columns=88,
        ),
        "side-by-side": Story(
            {"maverick.yaml": "", "films.yaml": FILMS},
            ("maverick run films.yaml", "maverick runs"),
            columns=88,
            rows=18,
        ),
    }


def record(story: Story) -> list[Shot]:
    """Type the story; give what the terminal showed."""
    with _project(story) as project:
        session = Session(project, surroundings(project.parent), story.columns, story.rows)
        waited = 0.0
        shots: list[Shot] = []
        for command in story.commands:
            session.type(command, pause_seconds=KEY_SECONDS)
            shots += [Shot(shot.seconds + waited, shot.rows) for shot in session.shots]
            session.shots.clear()
            waited += READING_SECONDS
        session.end()
        return shots


def photograph_report(story: Story, picture: Path) -> None:
    """Run the first command of the story, and make a picture of the run's page."""
    from kit.browser import launched  # noqa: PLC0415 - only this needs Chromium

    with _project(story) as project:
        session = Session(project, surroundings(project.parent), story.columns, story.rows)
        session.type(story.commands[0])
        session.type("maverick report -o report.html")
        session.end()
        size = {"width": 1100, "height": 820}
        with launched() as browser, browser.open(project / "report.html", viewport=size) as opened:
            opened.page.screenshot(path=picture)


@contextmanager
def _project(story: Story) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ada-") as home:
        project = Path(home, "project")
        project.mkdir()
        for name, text in story.files.items():
            (project / name).write_text(text)
        yield project


def frames(shots: Sequence[Shot]) -> list[tuple[float, tuple[Row, ...]]]:
    """What is shown, with for how long."""
    shown: list[Shot] = []
    for shot in shots:
        if shown and (shot.seconds - shown[-1].seconds < SHORTEST_SECONDS):
            shown[-1] = Shot(shown[-1].seconds, shot.rows)
        elif not shown or shown[-1].rows != shot.rows:
            shown.append(shot)
    ends = [*(shot.seconds for shot in shown[1:]), shown[-1].seconds + 2 * READING_SECONDS]
    return [(end - shot.seconds, shot.rows) for shot, end in zip(shown, ends, strict=True)]


def svg(story: Story, shots: Sequence[Shot]) -> str:
    """The picture: a strip of frames behind a window that shows one after the other."""
    shown = frames(shots)
    width, height = round(story.columns * WIDE) + 24, story.rows * HIGH + 48
    rows: dict[Row, int] = {}
    strip = []
    for place, (_, screen) in enumerate(shown):
        uses = "".join(
            f'<use href="#r{rows.setdefault(row, len(rows))}" y="{line * HIGH}"/>'
            for line, row in enumerate(screen)
            if any(cell != Cell() for cell in row)
        )
        strip.append(f'<g transform="translate({place * width})">{uses}</g>')
    total = sum(seconds for seconds, _ in shown)
    begins = [sum(seconds for seconds, _ in shown[:place]) for place in range(len(shown))]
    steps = "".join(
        f"{begin / total:.3%}{{transform:translateX({-place * width}px)}}"
        for place, begin in enumerate(begins)
    )
    drawn = "\n".join(f'<g id="r{number}">{_drawn(row)}</g>' for row, number in rows.items())
    last = f"transform:translateX({-(len(shown) - 1) * width}px)"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-label="{escape(_told(story), {'"': "&quot;"})}">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
white-space: pre }}
#strip {{ {last}; animation: roll {total:.1f}s step-end infinite }}
@keyframes roll {{ {steps} }}
@media (prefers-reduced-motion) {{ #strip {{ animation: none }} }}
</style>
<defs>
{drawn}
</defs>
<rect width="{width}" height="{height}" rx="8" fill="{_PAPER}"/>
<circle cx="18" cy="16" r="5" fill="#e06c75"/><circle cx="36" cy="16" r="5" fill="#e5c07b"/>\
<circle cx="54" cy="16" r="5" fill="#98c379"/>
<svg x="12" y="34" width="{width - 24}" height="{story.rows * HIGH + 4}">
<g id="strip" fill="{_INK}">
{chr(10).join(strip)}
</g>
</svg>
</svg>
"""


def _told(story: Story) -> str:
    return "A terminal in which these are typed: " + "; ".join(story.commands)


def _drawn(row: Row) -> str:
    """A row: each stretch of one style is a text of that width."""
    parts = []
    column = 0
    for style, cells in _stretches(row):
        text = "".join(cell.text for cell in cells)
        x, width = column * WIDE, len(cells) * WIDE
        column += len(cells)
        ink, paper = _paint(style)
        if paper:
            parts.append(f'<rect x="{x:.1f}" width="{width:.1f}" height="{HIGH}" fill="{paper}"/>')
        if not text.strip():
            continue
        looks = [f'fill="{ink}"'] if ink != _INK else []
        looks += ['font-weight="bold"'] if style.bold else []
        looks += ['font-style="italic"'] if style.italic else []
        looks += ['text-decoration="underline"'] if style.underline else []
        looks += ['opacity=".6"'] if style.dim else []
        parts.append(
            f'<text x="{x:.1f}" y="14" textLength="{width:.1f}" {" ".join(looks)}>'
            f"{escape(text)}</text>"
        )
    return "".join(parts)


def _stretches(row: Row) -> Iterable[tuple[Style, list[Cell]]]:
    """The cells by their styles, without the blanks at the end, which nobody sees."""
    end = max((n for n, cell in enumerate(row, 1) if cell != Cell(" ", PLAIN)), default=0)
    for style, cells in groupby(row[:end], key=lambda cell: cell.style):
        yield style, list(cells)


def _paint(style: Style) -> tuple[str, str | None]:
    """The colours of text and ground."""
    ink, paper = (
        None if color is None else _COLORS.get(color.removeprefix("bright "), color)
        for color in (style.color, style.background)
    )
    return (paper or _PAPER, ink or _INK) if style.reverse else (ink or _INK, paper)


def main(names: Sequence[str]) -> None:
    """Make the pictures of these names, or all."""
    known = stories()
    if unknown := set(names) - {*known, REPORT}:
        sys.exit(f"there is no picture {min(unknown)}; choose of {', '.join([*known, REPORT])}")
    IMAGES.mkdir(exist_ok=True)
    for name in names or [*known, REPORT]:
        picture = IMAGES / f"{name}.{'png' if name == REPORT else 'svg'}"
        if name == REPORT:
            photograph_report(known["first-run"], picture)
        else:
            picture.write_text(svg(known[name], record(known[name])), "utf-8")
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
