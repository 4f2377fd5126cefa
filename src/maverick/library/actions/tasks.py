"""Reads task files: Markdown with `## Phase …` headings, and `- [ ]` items below them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from maverick.encoding import lines_of
from maverick.errors import StepFailed

EXAMPLE = "## Phase 1: Set up\n\n- [ ] Create the package\n- [x] Choose a licence"
_HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")
_PHASE = re.compile(r"phase\b[ \t]*(\d+)?[ \t]*[:.)\u2013\u2014-]*[ \t]*(.*)", re.IGNORECASE)
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[([ xX])\][ \t]+(.*)")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")


def read_markdown(path: Path, name: str) -> str:
    """Give the text of the file at *path*; *name* names it in the StepFailed if it is no UTF-8."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StepFailed(
            f"{name} is no UTF-8 text ({error.reason} at byte {error.start})"
        ) from None


def without_closing(title: str) -> str:
    """Give the text of a heading without the `#` that may stand behind it."""
    return title.rstrip("#").rstrip(" \t")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One item of a phase."""

    text: str
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a task file.

    `number` is the one in the heading if all phases have one and no two the same, else its position
    from 1; `name` is the whole heading, `title` what follows the number; `text` is everything from
    the heading to the next one.
    """

    number: int
    name: str
    title: str
    tasks: list[Task]
    done: bool
    text: str
    file: str


def get_phases(
    task_file: str | None = None, branch_name: str = "", pending_only: bool = False, cwd: str = "."
) -> list[Phase]:
    """Read the phases of a task file: by default `specs/<branch_name>/tasks.md`, then `tasks.md`.

    A phase is done when it has items and all are ticked; *pending_only* leaves those out.
    """
    path = _find(task_file, branch_name, cwd)
    text = read_markdown(Path(cwd) / path, f"the task file {path}")
    phases = _parse(text, path)
    if not phases:
        raise StepFailed(
            f"the task file {path} has no phases; a phase looks like this:\n\n{EXAMPLE}"
        )
    return [phase for phase in phases if not (pending_only and phase.done)]


def get_phase_names(
    task_file: str | None = None, branch_name: str = "", cwd: str = "."
) -> list[str]:
    """Read the headings of the phases of a task file, done or not. As `get_phases`."""
    return [phase.name for phase in get_phases(task_file, branch_name, cwd=cwd)]


def _find(task_file: str | None, branch_name: str, cwd: str) -> str:
    usual = [f"specs/{branch_name}/tasks.md", "tasks.md"] if branch_name else ["tasks.md"]
    candidates = [task_file] if task_file else usual
    for candidate in candidates:
        if (Path(cwd) / candidate).is_file():
            return candidate
    raise StepFailed(
        f"there is no task file (looked for {' and '.join(candidates)} in {Path(cwd).resolve()}); "
        f"write one, or name it as `task_file`. A phase looks like this:\n\n{EXAMPLE}"
    )


def _parse(text: str, file: str) -> list[Phase]:
    sections = _sections(text)
    stated = [match[1] for heading, _ in sections if (match := _PHASE.match(heading))]
    numbers = [int(number) for number in stated if number]
    as_stated = len(set(numbers)) == len(sections)
    return [
        _phase(heading, lines, numbers[index] if as_stated else index + 1, file)
        for index, (heading, lines) in enumerate(sections)
    ]


def _sections(text: str) -> list[tuple[str, list[str]]]:
    """Give the phases' headings, each with its lines (the heading's too); none inside a fence."""
    sections: list[tuple[str, list[str]]] = []
    inside, fence = False, ""
    for line in lines_of(text):
        if (mark := _FENCE.match(line)) and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and (heading := _HEADING.fullmatch(line)) and len(heading[1]) <= 2:
            title = without_closing(heading[2])
            inside = len(heading[1]) == 2 and _PHASE.match(title) is not None
            if inside:
                sections.append((title, []))
        if inside:
            sections[-1][1].append(line)
    return sections


def _phase(heading: str, lines: list[str], number: int, file: str) -> Phase:
    match = _PHASE.match(heading)
    items = [item for line in lines if (item := _ITEM.fullmatch(line.rstrip()))]
    tasks = [Task(text=item[2], done=item[1] != " ") for item in items]
    return Phase(
        number=number,
        name=heading,
        title=(match[2] if match else "") or heading,
        tasks=tasks,
        done=bool(tasks) and all(task.done for task in tasks),
        text="\n".join(lines).strip(),
        file=file,
    )
