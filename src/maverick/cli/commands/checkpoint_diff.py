"""Compare two runs, or two checkpoints.

Without a name, the newest run is compared with the run before it of the same workflow; with one
name, that run with the one before it.

It compares inputs, definition, files, and what steps gave, down to the value that changed; and the
code that gave it: actions, agents, instructions. Text is shown as a unified diff, other files by
their sizes. A loop or branch is not shown when a step inside it is. Long lists, and what is alike
in many iterations, are folded; --all shows everything. Files are compared if both checkpoints hold
some. If nothing differs, nothing is printed. With --times or --costs their table comes first.

Examples:
  maverick diff
  maverick diff train@{1} train@{0} --times --costs
  maverick diff RUN-A RUN-B --step plan
  maverick diff RUN@phase_1 RUN@phase_2 --stat
"""

from __future__ import annotations

from collections import Counter
from difflib import unified_diff
from typing import TYPE_CHECKING, Annotated, Any, Final, assert_never

import typer

from maverick.checkpoints.workspace.capture import FOLDER, LINK
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import SIGNS, json_text, plural, size, table
from maverick.cli.terminal.streams import print_err, print_json, print_out
from maverick.dsl.journal.tree import RunTree
from maverick.dsl.workflow.outcome import in_words
from maverick.errors import NotFound
from maverick.runs.listing import run_before
from maverick.views.comparing.file_comparison import FileDifference
from maverick.views.comparing.folding import Fold, More, fold
from maverick.views.comparing.run_comparison import CodeDifference, ValueDifference, compare
from maverick.visible import duration, nearest, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints import Checkpoint, Store
    from maverick.views.comparing.expenses import Expense
    from maverick.views.comparing.folding import Shown

_SIGNS: Final = {**SIGNS, "code": "~"}
_CODE: Final = {
    "action": "the source of its action",
    "agent": "its agent",
    "instructions": "the instructions of its agent",
    "generator": "its generator",
    "stages": "its stages",
}


def command(
    old: Annotated[
        str, typer.Argument(metavar="[A]", help="A run or revision.", show_default=False)
    ] = "",
    new: Annotated[
        str,
        typer.Argument(metavar="[B]", help="What to compare it with.", show_default=False),
    ] = "",
    step: Annotated[
        str, typer.Option(metavar="STEP", help="Compare this step and those in it only.")
    ] = "",
    *,
    stat: Annotated[
        bool, typer.Option("--stat", help="Print one line for each change, without values.")
    ] = False,
    unfold: Annotated[
        bool, typer.Option("--all", "--full", help="Fold nothing, however long it is.")
    ] = False,
    times: Annotated[
        bool, typer.Option("--times", help="Print how long each step took, side by side.")
    ] = False,
    costs: Annotated[
        bool, typer.Option("--costs", help="Print what agents cost, side by side.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    project = this_project()
    store = project.open_store()
    before, after = _two(store, old, new)
    sides = RunTree(store.snapshot(before)), RunTree(store.snapshot(after))
    if step:
        _check_step(sides, step)
    differences = compare(store, *sides, step)
    expenses = _expenses(str(project.root), store, (before, after), step, times, costs)
    if as_json:
        rows = [row for difference in differences for row in difference.rows()]
        print_json([*rows, *filter(None, (each.row() for each in expenses))])
        return
    rest = differences if unfold else fold(differences)
    if (times or costs) and _print_expenses(expenses, (before.run, after.run), unfold=unfold):
        rest = _apart(rest)
    _print(rest, stat=stat)
    without = [side.checkpoint.run for side in sides if not side.holds_files]
    if len(without) == 1 and not step:
        print_err(f"note: files are not compared: {without[0]} holds none")


# --- what is compared -----------------------------------------------------------------------------


def _two(store: Store, old: str, new: str) -> tuple[Checkpoint, Checkpoint]:
    """Give the checkpoints to compare; one name is compared with the run before it."""
    if new:
        return store.resolve(old), store.resolve(new)
    after = store.resolve(old or "@latest")
    before = _run_before(store, after)
    print_err(f"{before.run} (the run before it) -> {after.run}")
    return before, after


def _run_before(store: Store, checkpoint: Checkpoint) -> Checkpoint:
    """Give where the run before that of *checkpoint* stands, of the same workflow."""
    ref = run_before(store, checkpoint.run, checkpoint.group)
    if ref is None:
        what = f"of {checkpoint.group} " if checkpoint.group else ""
        raise NotFound(
            f"there is no run {what}before {checkpoint.run} to compare it with; name two, as in "
            "`maverick diff A B`"
        )
    return store.checkpoint(ref.checkpoint)


def _check_step(sides: Iterable[RunTree], step: str) -> None:
    """Refuse a *step* that none of *sides* knows, recorded or begun, itself or below it."""
    steps = {name for side in sides for name in (*side.steps, *side.begun)}
    if not any(name.is_within(step) for name in steps):
        hint = nearest(step, steps) or f"; there are {', '.join(sorted(steps)[:8]) or 'none'}"
        raise NotFound(f"there is no step {step!r} in either checkpoint{hint}")


# --- differences ----------------------------------------------------------------------------------


def _apart(differences: Iterable[Shown]) -> Iterator[Shown]:
    """Print an empty line before the first of *differences*, if there is one."""
    for number, difference in enumerate(differences):
        if not number:
            print_out("\n")
        yield difference


def _print(differences: Iterable[Shown], *, stat: bool) -> None:
    counts: Counter[str] = Counter()
    for difference in differences:
        print_out(_short(difference) if stat else _full(difference))
        counts += _counts(difference)
    if stat:
        print_out(_summary(counts))


def _counts(difference: Shown) -> Counter[str]:
    """How many changes of each kind it stands for."""
    match difference:
        case Fold(counts=counts):
            return counts
        case More(number=number, change=change):
            return Counter({change: number})
        case _:
            return Counter({difference.change: 1})


def _summary(counts: Counter[str]) -> str:
    """How many there are of each kind of change, in a line; nothing for none."""
    listed = ", ".join(f"{counts[kind]} {kind}" for kind in _SIGNS if counts[kind])
    return f"{plural(counts.total(), 'change')}: {listed}\n" if listed else ""


def _head(change: str, path: str) -> str:
    return f"{_SIGNS[change]} {one_line(path)}"


def _short(difference: Shown) -> str:
    """Give a difference without values."""
    match difference:
        case FileDifference():
            return _short_file(difference)
        case CodeDifference(path, part):
            return f"{_head('code', path)}: {_code(part)}\n"
        case Fold() | More():
            return _full(difference)
        case ValueDifference():
            return _head(difference.change, difference.path) + "\n"
        case _:
            assert_never(difference)


def _full(difference: Shown) -> str:
    """Give a difference with its values; text of several lines as a unified diff."""
    match difference:
        case FileDifference():
            return _full_file(difference)
        case CodeDifference():
            return _full_code(difference)
        case Fold():
            return f"{_head(difference.change, difference.path)}: {difference.words()}\n"
        case More(path, number, change, part):
            what = f"{_code(part)} in " if part else ""
            return f"{_head(change, path)}: {what}{number} more (--all shows them)\n"
        case ValueDifference():
            return _full_value(difference)
        case _:
            assert_never(difference)


def _full_value(difference: ValueDifference) -> str:
    head = _head(difference.change, difference.path)
    texts = [side for side in (difference.old, difference.new) if side is not None]
    if all(isinstance(side, str) for side in texts) and any("\n" in side for side in texts):
        return f"{head}\n{_text_diff(difference.old, difference.new)}"
    old, new = (json_text(side, indent=None) for side in (difference.old, difference.new))
    match difference.change:
        case "added":
            return f"{head}: {new}\n"
        case "removed":
            return f"{head}: {old}\n"
        case _:
            return f"{head}: {old} -> {new}\n"


def _code(part: str) -> str:
    return f"{_CODE.get(part) or f'its {in_words([part])}'} changed"


def _full_code(difference: CodeDifference) -> str:
    """Say what of the code changed; of an agent, from whom to whom."""
    old, new = difference.old, difference.new
    told = ""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        sides = [
            json_text({name: side.get(name) for name in names}, indent=None) for side in (old, new)
        ]
        told = f": {' -> '.join(sides)}"
    return f"{_head('code', difference.path)}: {_code(difference.part)}{told}\n"


def _text_diff(old: str | None, new: str | None) -> str:
    """The lines that differ, indented; empty if only the newline at the end does."""
    body = unified_diff(_lines(old), _lines(new), "old", "new", lineterm="")
    return "".join(f"    {one_line(line.expandtabs())}\n" for line in list(body)[2:])


def _lines(text: str | None) -> list[str]:
    lines = (text or "").split("\n")
    return lines if lines[-1] else lines[:-1]


# --- files ----------------------------------------------------------------------------------------


def _short_file(file: FileDifference) -> str:
    """Give a file without contents."""
    old, new = (_kind(side.mode, side.size) for side in file.sides)
    what = {"added": new, "removed": old, "mode": ""}.get(file.of.change, f"{old} -> {new}")
    return f"{_file_head(file)}{f': {what}' if what else ''}\n"


def _full_file(file: FileDifference) -> str:
    """Give a file with its contents: text as a unified diff, links by where they lead, the rest by
    its size.
    """
    old, new = file.contents()
    is_text = isinstance(old, str | None) and isinstance(new, str | None)
    if file.of.change == "mode" or not is_text:
        return _with_links(file, old, new)
    body = _text_diff(old, new)
    if not body and old and new:  # Only one ends in a newline.
        return _short_file(file)
    return f"{_file_head(file)}\n{body}"


def _with_links(file: FileDifference, old: Any, new: Any) -> str:
    ends = [
        f"link to {one_line(side['link'])}" if isinstance(side, dict) and "link" in side else ""
        for side in (old, new)
    ]
    if not any(ends):
        return _short_file(file)
    told = [end or _kind(side.mode, side.size) for end, side in zip(ends, file.sides, strict=True)]
    return f"{_head(file.of.change, file.path)}: {' -> '.join(filter(None, told))}\n"


def _file_head(file: FileDifference) -> str:
    mode = f" ({file.of.old_mode} -> {file.of.new_mode})" if file.has_other_mode else ""
    return f"{_head(file.of.change, file.path)}{mode}"


def _kind(mode: str, count: int) -> str:
    match mode:
        case "":
            return ""
        case _ if mode == FOLDER:
            return "empty folder"
        case _ if mode == LINK:
            return "link"
        case _:
            return size(count)


# --- times and costs ------------------------------------------------------------------------------


def _expenses(
    project: str,
    store: Store,
    checkpoints: tuple[Checkpoint, Checkpoint],
    step: str,
    times: bool,
    costs: bool,
) -> list[Expense]:
    """Give the times and costs that are asked for; of *step*, if one is given."""
    if not times and not costs:
        return []
    from maverick.views.comparing import expenses  # noqa: PLC0415 - reads the facts of every step
    from maverick.views.page_loader import load_page  # noqa: PLC0415

    pages = [load_page(project, store, checkpoint) for checkpoint in checkpoints]
    every = [
        *(expenses.times(*pages) if times else ()),
        *(expenses.costs(*pages) if costs else ()),
    ]
    return [each for each in every if not step or (each.path and each.path.is_within(step))]


def _print_expenses(expenses: list[Expense], runs: tuple[str, str], *, unfold: bool) -> bool:
    """Print a table: without *unfold* times of the steps that stand in no other. Gives whether
    there was anything to print.
    """
    rows = [
        (
            str(each.path) or "the run",
            each.measure if each.measure != "seconds" else "time",
            _amount(each.measure, each.old),
            _amount(each.measure, each.new),
            _difference(each),
        )
        for each in expenses
        if (
            unfold or each.path.depth == 0
            if each.measure == "seconds"
            else each.old or each.new  # What costs nothing is left out; what took no time is not.
        )
    ]
    if rows:
        ends = tuple(run.rpartition("-")[2] for run in runs)
        names = ends if all(ends) and ends[0] != ends[1] else runs
        print_out(table(("STEP", "", *names, ""), rows, right=(2, 3, 4)))
    else:
        print_err("note: neither side has such a step, or cost anything")
    return bool(rows)


def _amount(measure: str, value: float | None) -> str:
    if value is None:
        return "-"
    if measure == "seconds":
        return duration(value)
    return f"${value:,.4f}".rstrip("0").rstrip(".") if measure == "usd" else f"{value:,.0f}"


def _difference(expense: Expense) -> str:
    if expense.old is None or expense.new is None or expense.old == expense.new:
        return ""
    difference = expense.new - expense.old
    return f"{'+' if difference > 0 else '-'}{_amount(expense.measure, abs(difference))}"
